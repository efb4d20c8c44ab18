use smc_model::Reason;

use super::*;
use crate::testing::test_values::record;

#[test]
fn a_refusal_says_what_was_seen_what_it_means_and_what_to_do() {
    let refused = Announcement::of(&record("web-1", Verdict::refused(Reason::NoRdmaDevice))).unwrap();
    assert_eq!((refused.warning, refused.reason), (true, "NoRdmaDevice"));
    for part in ["no RDMA device is known", "SMC-R needs", "attach an eRDMA", "(id id-web-1)"] {
        assert!(refused.message.contains(part), "{part}: {}", refused.message);
    }
}

#[test]
fn a_pod_with_an_older_listener_is_told_which_program_to_restart() {
    let process = Some(smc_model::Process { name: "nginx".into(), pid: 12 });
    let listeners = vec![Listener { port: 80, process }];
    let event = Announcement::of(&record("web-1", Verdict::NeedsRestart { listeners })).unwrap();
    assert_eq!((event.warning, event.reason), (true, "NeedsRestart"));
    assert!(event.message.contains("port 80 (nginx, process 12)"), "{}", event.message);
}

#[test]
fn a_switch_is_no_warning() {
    let verdict = Verdict::refused(Reason::SwitchedOff { why: "set by --mesh".into() });
    assert!(!Announcement::of(&record("web-1", verdict)).unwrap().warning);
}

#[test]
fn a_configured_pod_is_told_by_a_normal_event() {
    let event = Announcement::of(&record("web-1", Verdict::Configured)).unwrap();
    assert_eq!((event.warning, event.reason), (false, "SMCConfigured"));
}

#[test]
fn nothing_is_announced_before_the_verdict_or_after_the_end_or_for_a_name_that_is_none() {
    let mut intent = record("web-1", Verdict::Configured);
    intent.phase = Phase::Intent;
    assert_eq!(Announcement::of(&intent), None);
    intent.phase = Phase::Tombstone;
    assert_eq!(Announcement::of(&intent), None);
    for name in ["", "../../nodes", "a/b", "Web", ".web", "a?b", "a%2fb"] {
        assert_eq!(Announcement::of(&record(name, Verdict::Configured)), None, "{name:?}");
    }
}
