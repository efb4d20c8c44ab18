use std::process::Command;

use super::*;

const INSIDE: &str = "KUBE_SMC_TEST_WITHOUT_INOTIFY";

#[tokio::test]
async fn a_change_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let mut watch = Watch::new(dir.path());
    watch.begin().unwrap();
    assert!(watch.changed().await, "what was there before");
    std::fs::write(dir.path().join("record.json"), "{}").unwrap();
    assert!(watch.changed().await);
}

/// In a user namespace of its own, in which nobody may have an inotify instance.
#[test]
fn where_inotify_is_used_up_the_directory_is_looked_at_and_the_sysctl_is_named() {
    if std::env::var_os(INSIDE).is_none() {
        let myself = std::env::current_exe().unwrap();
        let script = r#"echo 0 >/proc/sys/user/max_inotify_instances && exec "$1" --exact --nocapture "$2""#;
        let test = "pods::records::watch::tests::where_inotify_is_used_up_the_directory_is_looked_at_and_the_sysctl_is_named";
        let ran = Command::new("unshare")
            .args(["--user", "--map-root-user", "sh", "-c", script, "sh"])
            .arg(myself)
            .arg(test)
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut watch = Watch::new(dir.path());
    let told = watch.begin().unwrap_err();
    assert!(told.contains("fs.inotify.max_user_instances") && told.contains("once a second"), "{told}");
    let executor = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert!(!executor.block_on(watch.changed()));
}
