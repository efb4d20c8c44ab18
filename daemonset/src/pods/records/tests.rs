use smc_model::Reason;

use super::*;
use crate::testing::test_values::record;

#[test]
fn each_change_is_returned_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    store.create().unwrap();
    let (mut records, mut web) = (Records::default(), record("web-1", Verdict::Configured));
    store.write(&web).unwrap();
    assert_eq!(records.look(&store), [Change::Seen(Arc::new(web.clone()))]);
    assert_eq!(records.look(&store), []);
    web.verdict = Some(Verdict::refused(Reason::NoRdmaDevice));
    store.write(&web).unwrap();
    assert_eq!(records.look(&store), [Change::Seen(Arc::new(web.clone()))]);
    store.remove(&web.attachment).unwrap();
    assert_eq!(records.look(&store), [Change::Ended(web.attachment)]);
    assert_eq!(records.look(&store), []);
}

#[test]
fn records_are_read_again_when_their_directory_changed_or_something_is_left_to_sweep() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    store.create().unwrap();
    let mut records = Records::default();
    // The directory as if nothing had changed for a while.
    let rest = || {
        let pods = std::fs::File::open(store.pods_dir()).unwrap();
        pods.set_modified(SystemTime::now() - 2 * TELLS_CHANGES_APART).unwrap();
    };
    assert!(records.need_a_look(&store), "nothing was looked at");
    records.look(&store);
    assert!(records.need_a_look(&store), "another record may have come within the same tick");
    rest();
    records.look(&store);
    assert!(!records.need_a_look(&store));
    let mut web = record("web-1", Verdict::Configured);
    store.write(&web).unwrap();
    assert!(records.need_a_look(&store));
    rest();
    records.look(&store);
    assert!(!records.need_a_look(&store));
    web.phase = Phase::Tombstone;
    store.write(&web).unwrap();
    records.look(&store);
    rest();
    assert!(records.need_a_look(&store), "it was swept, and is looked for once more");
    records.look(&store);
    assert!(!records.need_a_look(&store));
}
