use super::*;

#[test]
fn what_a_killed_self_test_left_is_swept_and_a_living_ones_is_not() {
    let state = tempfile::tempdir().unwrap();
    let node = Store::new(state.path());
    let living = Cleanup::begin(&node).unwrap();
    let dead = state.path().join("selftest/77-1");
    fs::create_dir_all(&dead).unwrap();
    fs::write(dead.join(ALIVE), "").unwrap();
    let next = Cleanup::begin(&node).unwrap();
    assert!(living.store.dir().exists() && next.store.dir().exists() && !dead.exists());
    assert_eq!((living.finish(), next.finish()), (Vec::new(), Vec::new()));
    assert!(!living.store.dir().exists() && !next.store.dir().exists());
}

#[test]
fn nothing_is_made_after_the_end() {
    let state = tempfile::tempdir().unwrap();
    let cleanup = Cleanup::begin(&Store::new(state.path())).unwrap();
    cleanup.finish();
    let address = Ipv4Addr::LOCALHOST;
    let error = cleanup.set_up("x", address, Path::new("/none"), "", Path::new("/proc")).unwrap_err();
    assert_eq!(error.to_string(), "interrupted");
}
