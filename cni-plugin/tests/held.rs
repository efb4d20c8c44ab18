//! A kernel that does not come back: a worker that is stopped stands for one that waits for a lock of the kernel's, which no
//! signal ends either.

#[cfg(test)]
mod support;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Lab, PREV_RESULT, held};
use test_support::TestNetns;

#[track_caller]
fn once(lab: &Lab, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let lines = lab.log_lines();
        if wanted(&lines) {
            return lines;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{lines:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_add_that_the_kernel_holds_hands_the_pod_on_and_its_worker_settles_the_record() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let add = lab.add(&lab.conf("0.4.0").annotated("true"), &netns);
    held(&lab, &add).succeeded_with(PREV_RESULT);
    let lines = once(&lab, |lines| lines.len() == 2);
    assert!(lines[0]["message"].as_str().unwrap().starts_with("not done after"), "{lines:?}");
    assert_eq!((&lines[0]["level"], &lines[0]["pod"]), (&json!("error"), &json!("web-0")));
    assert_eq!(lines[0]["id"], lines[1]["id"], "two lines of one call");
    let record = lab.record();
    assert_eq!(record["phase"], "settled", "{record}");
    assert_eq!(record["id"], lines[1]["id"]);
}

#[test]
fn a_pod_that_requires_smc_fails_for_a_kernel_that_holds_it() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let add = lab.add(&lab.conf("1.0.0").annotated("true").required(), &netns);
    let said = held(&lab, &add).failed_with(101, "1.0.0");
    assert!(said.contains("SMC is required") && said.contains("not done after"), "{said}");
    once(&lab, |lines| lines.len() == 2);
}

#[test]
fn a_del_that_the_kernel_holds_succeeds_and_its_worker_releases_the_pod() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true");
    lab.add(&conf, &netns).run().succeeded_with(PREV_RESULT);
    held(&lab, &lab.call("DEL", &conf)).succeeded_with("");
    let lines = once(&lab, |_| lab.record()["phase"] == "tombstone");
    assert!(lines[1]["message"].as_str().unwrap().starts_with("not done after"), "{lines:?}");
}
