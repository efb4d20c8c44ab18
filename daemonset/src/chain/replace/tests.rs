use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::*;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_with_its_mode_and_nothing_stays_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("10-a.conflist");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let access = Access::of(&fs::metadata(&file).unwrap());
    replace(&file, b"new", access).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(Access::of(&fs::metadata(&file).unwrap()), access);
    assert_eq!(names(dir.path()), ["10-a.conflist"]);
}

/// What containerd loads its network anew for, by its own watch (fsnotify's): writes, removals, and renames away.
fn reloads(watch: &Inotify) -> Vec<String> {
    let ignored = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ATTRIB;
    let events = match watch.read_events() {
        Err(nix::errno::Errno::EAGAIN) => Vec::new(),
        events => events.unwrap(),
    };
    let heeded = events.into_iter().filter(|event| !event.mask.intersects(ignored));
    heeded.map(|event| format!("{:?} {:?}", event.mask, event.name)).collect()
}

#[test]
fn a_file_that_is_replaced_is_one_event_for_the_runtime_and_it_is_in_place_by_then() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("10-a.conflist");
    fs::write(&file, "old").unwrap();
    let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    let heeded = AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_ATTRIB
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_MOVE;
    watch.add_watch(dir.path(), heeded).unwrap();
    let seen_when_asked = std::cell::RefCell::new(Vec::new());
    let still = || {
        seen_when_asked.borrow_mut().extend(reloads(&watch));
        true
    };
    assert!(replace_if(&file, b"new", Access::own(0o644), still).unwrap());
    assert_eq!(*seen_when_asked.borrow(), [""; 0], "nothing is seen of what is being written");
    let seen = reloads(&watch);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].contains("IN_DELETE"), "after the rename: {seen:?}");
    nudge(dir.path()).unwrap();
    assert_eq!(reloads(&watch).len(), 1);
}

#[test]
fn the_owner_is_kept() {
    if !test_support::as_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::chown(&file, Some(1234), Some(4321)).unwrap();
    replace(&file, b"new", Access::of(&fs::metadata(&file).unwrap())).unwrap();
    let after = fs::metadata(&file).unwrap();
    assert_eq!((after.uid(), after.gid()), (1234, 4321));
}

#[test]
fn a_file_that_changed_meanwhile_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, "theirs").unwrap();
    assert!(!replace_if(&file, b"ours", Access::own(0o600), || false).unwrap());
    assert_eq!(
        (fs::read_to_string(&file).unwrap().as_str(), names(dir.path())),
        ("theirs", vec!["f".into()])
    );
}

#[test]
fn only_our_own_leftovers_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let others = [".10-a.conflist.swp", ".kube-smc-", "10-a.conflist", "x.kube-smc-7", ".x.kube-smc-7a"];
    for name in others.iter().chain(&[".10-a.conflist.kube-smc-7", ".nudge.kube-smc-8"]) {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let aside = dir.path().join(".10-b.conflist.kube-smc-9");
    fs::create_dir(&aside).unwrap();
    fs::write(aside.join("10-b.conflist"), "").unwrap();
    assert_eq!(sweep(dir.path()).unwrap(), 3);
    assert_eq!(
        names(dir.path()),
        [".10-a.conflist.swp", ".kube-smc-", ".x.kube-smc-7a", "10-a.conflist", "x.kube-smc-7"]
    );
    assert_eq!(sweep(&dir.path().join("absent")).unwrap(), 0);
}

#[test]
fn a_nudge_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    nudge(dir.path()).unwrap();
    assert_eq!(names(dir.path()), [""; 0]);
}
