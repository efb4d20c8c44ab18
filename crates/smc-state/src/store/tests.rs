use std::fs::File;
use std::time::Duration;

use serde_json::json;
use smc_model::{Owned, Plan, Verdict};

use super::*;
use crate::{Phase, PodName, RECORD_VERSION};

fn record(container: &str, address: [u8; 4]) -> Record {
    Record {
        version: RECORD_VERSION,
        phase: Phase::Settled,
        id: "id".into(),
        network: "terway-chainer".into(),
        attachment: AttachmentId::new(container, "eth0").unwrap(),
        pod: PodName::default(),
        netns: "/run/netns/x".into(),
        netns_id: None,
        cookie: None,
        verdict: Some(Verdict::Configured),
        seen: String::new(),
        remedy: String::new(),
        plan: Plan::default(),
        owned: Owned { guarded: [address.into()].into(), ..Owned::default() },
        timings: Vec::new(),
        started_ms: 1,
        repaired_ms: None,
        unknown: serde_json::Map::new(),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("state"));
    store.create().unwrap();
    (dir, store)
}

#[test]
fn a_record_comes_back_as_it_was_written() {
    let (_dir, store) = store();
    let mut written = record("a", [10, 0, 0, 1]);
    written.verdict = Some(Verdict::refused(Reason::NoUeid));
    store.write(&written).unwrap();
    assert_eq!(store.read(&written.attachment).unwrap().unwrap(), written);
}

#[test]
fn only_what_was_written_since_is_read_again() {
    let (_dir, store) = store();
    let (mut a, b) = (record("a", [10, 0, 0, 1]), record("b", [10, 0, 0, 2]));
    store.write(&a).unwrap();
    store.write(&b).unwrap();
    let before = RecordCache::default();
    assert_eq!(store.list_again(&before).records.len(), 2);
    // In place, of the same length and age, which nobody does: it shows that the file is not read.
    let path = store.record_path(&b.attachment);
    let (text, age) = (fs::read_to_string(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
    fs::write(&path, text.replace("terway-chainer", "chainer-terway")).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(age).unwrap();
    a.verdict = Some(Verdict::refused(Reason::NoUeid));
    store.write(&a).unwrap();
    let mut records = store.list_again(&before).records;
    records.sort_by_key(|record| record.attachment.clone());
    assert_eq!(records, [a.clone().into(), b.clone().into()]);
    store.remove(&a.attachment).unwrap();
    assert_eq!(store.list_again(&before).records, [b.into()]);
    assert_eq!(store.list().records[0].network, "chainer-terway");
}

#[test]
fn fields_of_a_newer_version_survive_a_rewrite() {
    let (_dir, store) = store();
    let mut value = serde_json::to_value(record("a", [10, 0, 0, 1])).unwrap();
    value["from_the_future"] = json!({"x": 1});
    fs::write(store.pods_dir().join("a-eth0.json"), value.to_string()).unwrap();
    let read = store.read(&AttachmentId::new("a", "eth0").unwrap()).unwrap().unwrap();
    store.write(&read).unwrap();
    let rewritten = fs::read_to_string(store.pods_dir().join("a-eth0.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&rewritten).unwrap(), value);
}

#[test]
fn an_address_belongs_to_others_only_while_their_record_lives() {
    let (_dir, store) = store();
    let (mine, mut other) = (record("a", [10, 0, 0, 1]), record("b", [10, 0, 0, 1]));
    store.write(&mine).unwrap();
    assert!(store.addresses_of_others(&mine.attachment, &RecordCache::default()).unwrap().is_empty());
    store.write(&other).unwrap();
    assert_eq!(store.addresses_of_others(&mine.attachment, &RecordCache::default()).unwrap().len(), 1);
    other.phase = Phase::Tombstone;
    store.write(&other).unwrap();
    assert!(store.addresses_of_others(&mine.attachment, &RecordCache::default()).unwrap().is_empty());
}

#[test]
fn whose_an_address_is_is_known_of_what_was_written_since_the_records_were_read() {
    let (_dir, store) = store();
    let (mine, mut other) = (record("a", [10, 0, 0, 1]), record("b", [10, 0, 0, 1]));
    store.write(&mine).unwrap();
    let before = RecordCache::default();
    store.list_again(&before);
    store.write(&other).unwrap();
    assert_eq!(store.addresses_of_others(&mine.attachment, &before).unwrap().len(), 1);
    other.phase = Phase::Tombstone;
    store.write(&other).unwrap();
    assert!(store.addresses_of_others(&mine.attachment, &before).unwrap().is_empty());
}

#[test]
fn a_store_beside_the_nodes_leaves_the_addresses_of_its_pods_alone_and_waits_for_its_lock() {
    let (dir, node) = store();
    let beside = Store::beside(&node, dir.path().join("selftest/1"));
    beside.create().unwrap();
    let (mine, pods) = (record("a", [10, 0, 0, 1]), record("b", [10, 0, 0, 1]));
    beside.write(&mine).unwrap();
    node.write(&pods).unwrap();
    assert_eq!(beside.addresses_of_others(&mine.attachment, &RecordCache::default()).unwrap().len(), 1);
    assert_eq!(beside.list().records.len(), 1, "its own attachments only");
    let held = node.lock_addresses(Instant::now()).unwrap();
    assert!(beside.lock_addresses(Instant::now()).is_err());
    drop(held);
    beside.lock_addresses(Instant::now()).unwrap();
}

#[test]
fn an_unreadable_record_is_listed_as_an_error_and_hides_no_other() {
    let (_dir, store) = store();
    store.write(&record("a", [10, 0, 0, 1])).unwrap();
    fs::write(store.pods_dir().join("b-eth0.json"), "{\"version\":").unwrap();
    let listing = store.list();
    assert_eq!((listing.records.len(), listing.errors.len()), (1, 1));
    assert!(
        store.addresses_of_others(&AttachmentId::new("c", "eth0").unwrap(), &RecordCache::default()).is_err()
    );
}

#[test]
fn a_second_holder_waits_until_its_deadline_and_then_says_so() {
    let (_dir, store) = store();
    let attachment = AttachmentId::new("a", "eth0").unwrap();
    let held = store.lock(&attachment, Instant::now()).unwrap();
    let error = store.lock(&attachment, Instant::now() + Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error, StateError::Locked { .. }), "{error}");
    drop(held);
    store.lock(&attachment, Instant::now()).unwrap();
}

#[test]
fn a_lock_whose_file_was_swept_is_taken_on_the_new_file() {
    let (_dir, store) = store();
    let attachment = AttachmentId::new("a", "eth0").unwrap();
    let first = store.lock(&attachment, Instant::now()).unwrap();
    store.remove(&attachment).unwrap();
    let second = store.lock(&attachment, Instant::now()).unwrap();
    drop(first);
    assert!(store.lock(&attachment, Instant::now()).is_err(), "the second holder still holds it");
    drop(second);
}

#[test]
fn node_facts_that_are_absent_half_written_or_of_another_boot_are_told_apart() {
    let (_dir, store) = store();
    assert!(matches!(store.node_facts("boot"), Err(Reason::AgentNotReady { .. })));
    fs::write(store.node_path(), "{\"version\":1,").unwrap();
    assert!(matches!(store.node_facts("boot"), Err(Reason::NodeFileUnusable { .. })));
    let mut file = json!({
        "version": 1, "boot_id": "boot", "agent": "0.1.0", "written": 0, "unknown": true,
        "facts": {
            "kernel": {"release": "6.12", "family": "mainline", "new": 1}, "smc_loaded": true,
            "conversion": "tcp2smc", "rdma_netns_mode": "shared", "ports": [], "ueids": [],
            "guard": "ready", "anchor": "not-needed", "datapath": "netfilter",
        },
    });
    fs::write(store.node_path(), file.to_string()).unwrap();
    assert_eq!(store.node_facts("boot").unwrap().kernel.release, "6.12");
    assert!(
        matches!(store.node_facts("other"), Err(Reason::NodeFileUnusable { problem, .. }) if problem.contains("reboot"))
    );
    file["version"] = json!(2);
    fs::write(store.node_path(), file.to_string()).unwrap();
    assert!(matches!(store.node_facts("boot"), Err(Reason::NodeFileUnusable { .. })));
}

#[test]
fn a_record_of_another_version_holds_its_addresses_and_one_of_another_attachment_cannot_be_read() {
    let (_dir, store) = store();
    let mut other = record("a", [10, 0, 0, 1]);
    other.version = RECORD_VERSION + 1;
    store.write(&other).unwrap();
    let nobody = AttachmentId::new("c", "eth0").unwrap();
    assert_eq!(store.addresses_of_others(&nobody, &RecordCache::default()).unwrap().len(), 1);
    let moved = store.pods_dir().join("b-eth0.json");
    let written = serde_json::to_vec(&record("c", [10, 0, 0, 1])).unwrap();
    fs::write(moved, written).unwrap();
    let error = store.read(&AttachmentId::new("b", "eth0").unwrap()).unwrap_err().with_cause();
    assert!(error.contains("the record of c-eth0"), "{error}");
    assert_eq!(store.list().errors.len(), 1);
}

#[test]
fn an_unreadable_record_is_set_aside_and_holds_no_address_then() {
    let (_dir, store) = store();
    let good = record("a", [10, 0, 0, 1]);
    store.write(&good).unwrap();
    fs::write(store.pods_dir().join("b-eth0.json"), "{").unwrap();
    let problems = store.quarantine_all(Instant::now());
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(store.pods_dir().join("b-eth0.json.unreadable").exists());
    assert!(store.list().errors.is_empty());
    assert_eq!(
        store
            .addresses_of_others(&AttachmentId::new("c", "eth0").unwrap(), &RecordCache::default())
            .unwrap()
            .len(),
        1
    );
    assert_eq!(store.read(&good.attachment).unwrap(), Some(good));
}

#[test]
fn an_unreadable_record_that_somebody_works_on_is_left_alone() {
    let (_dir, store) = store();
    let attachment = AttachmentId::new("b", "eth0").unwrap();
    fs::write(store.pods_dir().join("b-eth0.json"), "{").unwrap();
    let held = store.lock(&attachment, Instant::now()).unwrap();
    let problems = store.quarantine_all(Instant::now());
    assert!(matches!(problems.as_slice(), [StateError::Locked { .. }]), "{problems:?}");
    assert!(store.read(&attachment).is_err());
    drop(held);
    assert!(store.read_or_quarantine(&attachment).unwrap().1.is_some());
    assert!(store.read(&attachment).unwrap().is_none());
}
