use std::fs;

use serde_json::json;
use smc_model::{Owned, Plan};

use super::*;

/// What is read of a healthy record after a change to it.
fn read(change: impl FnOnce(&mut Value)) -> Result<Record, String> {
    let mut record = json!({
        "version": RECORD_VERSION, "phase": "settled", "id": "i", "network": "n", "attachment": {"container": "c1", "ifname": "eth0"},
        "pod": {"namespace": "d", "name": "web"}, "netns": "/run/netns/x", "started_ms": 7,
        "verdict": {"is": "configured"},
        "plan": {"bindings": [], "steps": [{"do": "guard", "address": "10.0.0.5"}]},
        "owned": {"anchored": ["10.0.0.5"], "converted": ["/map", 9]},
    });
    change(&mut record);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c1-eth0.json");
    fs::write(&path, record.to_string()).unwrap();
    read_record(&path).map(Option::unwrap).map_err(|error| error.with_cause())
}

#[test]
fn a_record_in_words_that_this_version_does_not_know_is_read_for_what_it_owns() {
    let known = read(|_| ()).unwrap();
    assert!(known.verdict.is_some() && known.owned != Owned::default());
    let changes: [fn(&mut Value); 6] = [
        |record| record["plan"]["steps"][0]["do"] = "from-the-future".into(),
        |record| record["plan"]["notes"] = json!([{"note": "from-the-future"}]),
        |record| record["verdict"] = json!({"is": "refused", "reason": {"reason": "FromTheFuture"}}),
        |record| record["verdict"] = json!({"is": "from-the-future"}),
        |record| record["timings"] = "none".into(),
        |record| record["version"] = (RECORD_VERSION + 1).into(),
    ];
    for change in changes {
        let expected = Record { verdict: None, plan: Plan::default(), ..known.clone() };
        assert_eq!(read(change).unwrap(), expected);
    }
}

#[test]
fn ownership_in_a_field_that_this_version_does_not_know_is_kept_for_the_one_that_does() {
    let record = read(|record| {
        record["version"] = 2.into();
        record["links"] = json!(["x"]);
    });
    assert_eq!(record.unwrap().unknown["links"], json!(["x"]));
}

#[test]
fn a_record_that_does_not_tell_what_it_owns_is_none() {
    type Change = (fn(&mut Value), &'static str);
    let changes: [Change; 4] = [
        (|record| record["owned"]["anchored"] = "10.0.0.5".into(), "invalid type"),
        (|record| record["attachment"]["container"] = "c2".into(), "it is the record of c2-eth0"),
        (|record| drop(record.as_object_mut().unwrap().remove("netns")), "missing field `netns`"),
        (|record| record["version"] = "one".into(), "invalid type"),
    ];
    for (change, expected) in changes {
        let error = read(change).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
