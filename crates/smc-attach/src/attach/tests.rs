use std::time::Duration;

use smc_host::Cause;
use smc_model::{Binding, Note};

use super::*;

fn job(netns: &str) -> Job {
    Job {
        id: "id".into(),
        attachment: AttachmentId::new("abc", "eth0").unwrap(),
        network: "terway-chainer".into(),
        pod: PodName::default(),
        netns: netns.into(),
        wish: Wish::Enabled,
    }
}

fn budget() -> Budget {
    Budget { deadline: Instant::now() + Duration::from_secs(2), started_ms: 1 }
}

fn guard_step() -> Step {
    Step::Guard { address: [10, 0, 0, 21].into() }
}

#[test]
fn the_hosts_own_namespace_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("state"));
    let error = attach(&store, "boot", &job("/proc/thread-self/ns/net"), budget()).unwrap_err();
    assert!(matches!(error, AttachError::HostNetns { .. }), "{error}");
    assert!(!store.dir().exists());
}

#[test]
fn a_namespace_that_is_gone_is_an_error_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("state"));
    let error = attach(&store, "boot", &job("/run/netns/that-is-gone"), budget()).unwrap_err();
    assert!(matches!(error, AttachError::Netns(_)), "{error}");
    assert!(!store.dir().exists());
}

#[test]
fn a_budget_that_is_used_up_tells_what_was_being_done() {
    let budget = Budget { deadline: Instant::now(), started_ms: 1 };
    let expected = Reason::BudgetExceeded { during: "waiting".into() };
    assert_eq!(budget.check(|| "waiting".into()), Err(expected));
}

#[test]
fn a_later_rounds_steps_and_notes_follow_the_earlier_ones_and_its_bindings_win() {
    let binding = |device: &str| Binding {
        interface: "eth0".into(),
        device: device.into(),
        port: 1,
        pnetid: "NET1".parse().unwrap(),
    };
    let stale = Note::StalePnetidReplaced { interface: "eth0".into(), stale: "OLD".parse().unwrap() };
    let earlier =
        Plan { bindings: vec![binding("a")], steps: vec![Step::ConvertBySysctl], notes: vec![stale.clone()] };
    let later = Plan {
        bindings: vec![binding("b")],
        steps: vec![guard_step()],
        notes: vec![Note::ConversionAdopted],
    };
    let merged = merge(earlier, later);
    assert_eq!(merged.bindings, [binding("b")]);
    assert_eq!(merged.steps, [Step::ConvertBySysctl, guard_step()]);
    assert_eq!(merged.notes, [stale, Note::ConversionAdopted]);
}

#[test]
fn only_a_guard_set_that_is_not_there_is_reported_as_missing_guard() {
    let error = |errno| HostError::new("do it", Cause::System(std::io::Error::from_raw_os_error(errno)));
    let (absent, forbidden) = (2, 1);
    assert_eq!(refused_step(&guard_step(), &error(absent)).name(), "SameNodeGuardMissing");
    assert_eq!(refused_step(&guard_step(), &error(forbidden)).name(), "StepFailed");
    assert_eq!(refused_step(&Step::ConvertBySysctl, &error(absent)).name(), "StepFailed");
}
