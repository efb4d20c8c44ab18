use super::*;

#[tokio::test]
async fn a_second_one_names_the_first_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("state"));
    let first = take(&store, Work::Run).await.unwrap();
    let second = take_within(&store, Work::Run, Duration::ZERO).await.unwrap_err().to_string();
    for part in ["smc-agent run", &format!("process {}", std::process::id()), "delete one of the DaemonSets"]
    {
        assert!(second.contains(part), "{part}: {second}");
    }
    let uninstall = take_within(&store, Work::Uninstall, Duration::ZERO).await.unwrap_err().to_string();
    for part in ["the agent still runs", "nothing was undone", "delete its DaemonSet first"] {
        assert!(uninstall.contains(part), "{part}: {uninstall}");
    }
    drop(first);
    take_within(&store, Work::Uninstall, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_is_ending_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let first = take(&store, Work::Run).await.unwrap();
    let (second, ()) = tokio::join!(take(&store, Work::Run), async {
        tokio::time::sleep(AGAIN).await;
        drop(first);
    });
    second.unwrap();
}

#[tokio::test]
async fn after_the_state_was_cleared_the_lock_can_be_had_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let uninstalling = take(&store, Work::Uninstall).await.unwrap();
    store.mark_uninstalled().unwrap();
    store.clear().unwrap();
    take_within(&store, Work::Run, Duration::ZERO).await.unwrap();
    drop(uninstalling);
}
