//! What needs no kernel: records that own nothing, or only what another attachment owns too.

use std::net::Ipv4Addr;

use smc_model::{Plan, Verdict};
use smc_state::{PodName, RECORD_VERSION};

use super::*;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 21);

fn id(container: &str) -> AttachmentId {
    AttachmentId::new(container, "eth0").unwrap()
}

fn record(container: &str, owned: Owned) -> Record {
    Record {
        version: RECORD_VERSION,
        phase: Phase::Settled,
        id: "id".into(),
        network: "terway-chainer".into(),
        attachment: id(container),
        pod: PodName::default(),
        netns: "/run/netns/x".into(),
        netns_id: None,
        cookie: None,
        verdict: Some(Verdict::Configured),
        seen: String::new(),
        remedy: String::new(),
        plan: Plan::default(),
        owned,
        timings: Vec::new(),
        started_ms: 1,
        repaired_ms: None,
        unknown: serde_json::Map::new(),
    }
}

fn store_with(records: &[Record]) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("state"));
    store.create().unwrap();
    for record in records {
        store.write(record).unwrap();
    }
    (dir, store)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(2)
}

fn address() -> Owned {
    Owned { guarded: [ADDRESS].into(), anchored: [ADDRESS].into(), ..Owned::default() }
}

#[test]
fn ending_an_attachment_that_never_was_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("state"));
    let detached = detach(&store, &id("a"), soon());
    assert!(detached.record.is_none() && detached.problems.is_empty(), "{detached:?}");
    assert!(!store.dir().exists());
}

#[test]
fn ending_an_attachment_leaves_a_tombstone_and_ending_it_again_does_nothing() {
    let alive = record("a", Owned::default());
    let (_dir, store) = store_with(std::slice::from_ref(&alive));
    assert_eq!(detach(&store, &id("a"), soon()).record, Some(alive.clone()));
    let tombstone = store.read(&id("a")).unwrap().unwrap();
    let phases: Vec<&str> = tombstone.timings.iter().map(|timing| timing.phase.as_str()).collect();
    assert_eq!(phases, ["lock", "release"]);
    let timings = tombstone.timings.clone();
    assert_eq!(tombstone, Record { phase: Phase::Tombstone, timings, ..alive });
    let again = detach(&store, &id("a"), soon());
    assert!(again.record.is_none() && again.problems.is_empty(), "{again:?}");
    assert_eq!(store.read(&id("a")).unwrap(), Some(tombstone));
}

#[test]
fn an_address_that_a_living_attachment_owns_too_passes_to_it() {
    let (_dir, store) = store_with(&[record("a", address()), record("b", address())]);
    let detached = detach(&store, &id("a"), soon());
    assert_eq!(detached.problems, Vec::<String>::new(), "the kernel was not asked");
    assert_eq!(store.read(&id("a")).unwrap().unwrap().owned, Owned::default());
    assert_eq!(store.read(&id("b")).unwrap().unwrap().owned, address());
}

#[test]
fn nothing_is_released_while_some_record_cannot_be_read_and_the_sweep_sets_that_one_aside() {
    let (_dir, store) = store_with(&[record("a", address()), record("c", address())]);
    std::fs::write(store.pods_dir().join("b-eth0.json"), "{").unwrap();
    let detached = detach(&store, &id("a"), soon());
    assert_eq!(detached.problems.len(), 1, "{detached:?}");
    let tombstone = store.read(&id("a")).unwrap().unwrap();
    assert_eq!((tombstone.phase, tombstone.owned), (Phase::Tombstone, address()));
    let (swept, problems) = sweep(&store, soon());
    assert_eq!(swept, [id("a")]);
    assert_eq!(problems.len(), 1, "the record that was set aside: {problems:?}");
    assert_eq!(sweep(&store, soon()), (vec![], vec![]));
}

#[test]
fn ending_an_attachment_whose_own_record_cannot_be_read_sets_it_aside_and_says_so() {
    let (_dir, store) = store_with(&[]);
    std::fs::write(store.pods_dir().join("a-eth0.json"), "{").unwrap();
    let detached = detach(&store, &id("a"), soon());
    assert!(detached.record.is_none());
    assert_eq!(detached.problems.len(), 1, "{detached:?}");
    assert!(store.pods_dir().join("a-eth0.json.unreadable").exists());
    assert!(detach(&store, &id("a"), soon()).problems.is_empty());
}

#[test]
fn the_lock_on_the_hosts_addresses_is_held_until_the_record_tells_what_was_released() {
    let (_dir, store) = store_with(&[record("a", address()), record("b", address())]);
    let alive = store.read(&id("a")).unwrap().unwrap();
    let released = release_owned(&store, &alive, soon(), &mut Vec::new());
    assert!(store.lock_addresses(Instant::now()).is_err(), "the other DEL has to wait");
    drop(released);
    store.lock_addresses(Instant::now()).unwrap();
}

#[test]
fn a_tombstone_remembers_that_the_sysctl_was_ours_and_is_swept_all_the_same() {
    let sysctl = Owned { sysctl: true, ..Owned::default() };
    let (_dir, store) = store_with(&[record("a", sysctl.clone())]);
    assert!(detach(&store, &id("a"), soon()).problems.is_empty());
    assert_eq!(store.read(&id("a")).unwrap().unwrap().owned, sysctl);
    assert_eq!(sweep(&store, soon()), (vec![id("a")], vec![]));
}

#[test]
fn the_lock_file_of_an_add_that_left_no_record_goes_with_its_del() {
    let (_dir, store) = store_with(&[]);
    drop(store.lock(&id("a"), soon()).unwrap());
    assert!(detach(&store, &id("a"), soon()).problems.is_empty());
    assert!(!store.knows(&id("a")));
}

#[test]
fn sweeping_removes_tombstones_and_their_locks_and_nothing_else() {
    let dead = Record { phase: Phase::Tombstone, ..record("dead", Owned::default()) };
    let intent = Record { phase: Phase::Intent, verdict: None, ..record("intent", Owned::default()) };
    let (_dir, store) = store_with(&[dead, intent, record("alive", Owned::default())]);
    let (swept, problems) = sweep(&store, soon());
    assert_eq!((swept, problems), (vec![id("dead")], vec![]));
    let mut left: Vec<String> =
        store.list().records.iter().map(|record| record.attachment.to_string()).collect();
    left.sort();
    assert_eq!(left, ["alive-eth0", "intent-eth0"]);
    assert!(!store.dir().join("locks/dead-eth0").exists());
}

#[test]
fn a_tombstone_whose_address_another_attachment_took_over_is_swept() {
    let dead = Record { phase: Phase::Tombstone, ..record("dead", address()) };
    let (_dir, store) = store_with(&[dead, record("alive", address())]);
    assert_eq!(sweep(&store, soon()), (vec![id("dead")], vec![]));
    assert_eq!(store.read(&id("alive")).unwrap().unwrap().owned, address());
}

#[test]
fn a_del_that_cannot_wait_leaves_a_mark_that_the_sweep_carries_out() {
    let alive = record("a", Owned::default());
    let (_dir, store) = store_with(std::slice::from_ref(&alive));
    let held = store.lock(&id("a"), soon()).unwrap();
    let detached = detach(&store, &id("a"), Instant::now());
    assert_eq!(detached.problems.len(), 1, "{detached:?}");
    assert_eq!(store.read(&id("a")).unwrap(), Some(alive), "not ended behind anybody's back");
    drop(held);
    assert_eq!(sweep(&store, soon()), (vec![id("a")], vec![]));
    assert!(!store.knows(&id("a")));
}

#[test]
fn a_del_during_an_add_that_has_no_record_yet_leaves_a_mark_too() {
    let (_dir, store) = store_with(&[]);
    let _held = store.lock(&id("a"), soon()).unwrap();
    assert_eq!(detach(&store, &id("a"), Instant::now()).problems.len(), 1);
    assert!(store.is_marked_deleted(&id("a")));
}
