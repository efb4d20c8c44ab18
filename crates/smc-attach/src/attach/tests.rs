use std::time::Duration;

use super::*;

mod fake;
mod runs;

fn job(netns: &str) -> Job {
    Job {
        id: "id".into(),
        attachment: AttachmentId::new("abc", "eth0").unwrap(),
        network: "terway-chainer".into(),
        pod: PodName::default(),
        netns: netns.into(),
        wish: Wish::Enabled,
        particulars: Particulars::default(),
    }
}

fn budget() -> Budget {
    Budget { deadline: Instant::now() + Duration::from_secs(2), started_ms: 1 }
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
