use super::*;

#[test]
fn the_first_configuration_by_name_counts_as_for_the_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let first = || active(dir.path(), Uses::First).map(|conf| conf.path.file_name().unwrap().to_owned());
    assert!(matches!(first(), Err(Problem::NoConfiguration { .. })));
    fs::create_dir(dir.path().join("01-directory.conflist")).unwrap();
    for name in
        ["20-b.conflist", "10-a.conflist", "00-README", "05-x.conflist.bak", ".00.conflist.kube-smc-1"]
    {
        fs::write(dir.path().join(name), "").unwrap();
    }
    assert_eq!(first().unwrap(), "10-a.conflist");
    fs::write(dir.path().join("00-single.conf"), "").unwrap();
    assert_eq!(first().unwrap(), "00-single.conf");
    assert!(matches!(active(&dir.path().join("absent"), Uses::First), Err(Problem::NoDirectory { .. })));
}

#[test]
fn a_runtime_that_passes_over_what_it_cannot_read_uses_the_first_that_it_can() {
    let list = r#"{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a"}]}"#;
    let long_ago = SystemTime::now() - 2 * UNFINISHED_FOR;
    for (name, content, age) in [
        ("05-left.conf", "", Some(long_ago)),
        ("05-lo.conflist", r#"{"cniVersion":"0.3.1","type":"loopback""#, Some(long_ago)),
        ("05-lo.conflist", r#"{"cniVersion":"0.3.1","type":"loopback"}"#, None),
        ("05-podman.conflist", "/dev/null", None),
        ("05-list.conf", list, None),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), content).unwrap();
        fs::write(dir.path().join("10-a.conflist"), list).unwrap();
        if let Some(age) = age {
            File::open(dir.path().join(name)).unwrap().set_modified(age).unwrap();
        }
        let used = |uses| active(dir.path(), uses).unwrap().path.file_name().unwrap().to_owned();
        assert_eq!(used(Uses::FirstValid), "10-a.conflist", "{name}: {content}");
        assert_eq!(used(Uses::First), name, "containerd stays with it");
    }
    let dir = tempfile::tempdir().unwrap();
    let half = dir.path().join("05-a.conflist");
    fs::write(&half, &list[..20]).unwrap();
    fs::write(dir.path().join("10-a.conflist"), list).unwrap();
    assert_eq!(active(dir.path(), Uses::FirstValid).unwrap().path, half, "its owner is at it");
    fs::remove_file(dir.path().join("10-a.conflist")).unwrap();
    File::open(&half).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(active(dir.path(), Uses::FirstValid).unwrap().path, half, "there is no other");
}

#[test]
fn a_link_that_leads_nowhere_is_named_with_its_end() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/nowhere/x.conflist", dir.path().join("10-a.conflist")).unwrap();
    let problem = active(dir.path(), Uses::First).unwrap_err();
    assert!(matches!(problem, Problem::DanglingLink { .. }), "{problem}");
    assert!(problem.to_string().contains("/nowhere/x.conflist"), "{problem}");
}

#[test]
fn a_file_is_current_until_it_is_written_to_or_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("10-a.conflist");
    fs::write(&path, "one").unwrap();
    let conf = read(&path).unwrap();
    assert!(conf.is_current());
    fs::write(&path, "two").unwrap();
    assert!(!conf.is_current());
    let conf = read(&path).unwrap();
    fs::write(dir.path().join("t"), "two").unwrap();
    fs::rename(dir.path().join("t"), &path).unwrap();
    assert!(!conf.is_current());
    assert_eq!(content(&conf.file).unwrap(), b"two");
}
