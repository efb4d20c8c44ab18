use smc_host::Cause;
use smc_model::Binding;
use smc_state::{Phase, PodName, RECORD_VERSION};
use std::collections::BTreeSet;

use super::*;

fn guard_step() -> Step {
    Step::Guard {
        address: [10, 0, 0, 21].into(),
        interface: None,
        also: BTreeSet::new(),
        pins: Some("/pins".into()),
        peers: None,
    }
}

fn binding(device: &str) -> Binding {
    Binding { interface: "eth0".into(), device: device.into(), port: 1, pnetid: "NET1".parse().unwrap() }
}

#[test]
fn a_later_rounds_steps_and_notes_follow_the_earlier_ones_and_its_bindings_win() {
    let stale = Note::StalePnetidReplaced { interface: "eth0".into(), stale: "OLD".parse().unwrap() };
    let earlier = Plan {
        bindings: vec![binding("a")],
        steps: vec![Step::ConvertBySysctl { mptcp_off: false }],
        notes: vec![stale.clone()],
    };
    let later = Plan {
        bindings: vec![binding("b")],
        steps: vec![guard_step()],
        notes: vec![Note::ConversionAdopted],
    };
    let merged = merge(earlier, later);
    assert_eq!(merged.bindings, [binding("b")]);
    assert_eq!(merged.steps, [Step::ConvertBySysctl { mptcp_off: false }, guard_step()]);
    assert_eq!(merged.notes, [stale, Note::ConversionAdopted]);
}

#[test]
fn only_a_guard_set_that_is_not_there_is_reported_as_missing_guard() {
    let error = |errno| HostError::new("do it", Cause::System(std::io::Error::from_raw_os_error(errno)));
    let (absent, forbidden) = (2, 1);
    assert_eq!(refused_step(&guard_step(), &error(absent), false).name(), "SameNodeGuardMissing");
    assert_eq!(refused_step(&guard_step(), &error(forbidden), false).name(), "StepFailed");
    assert_eq!(refused_step(&guard_step(), &error(forbidden), true).name(), "PeerFilterMissing");
    assert_eq!(
        refused_step(&Step::ConvertBySysctl { mptcp_off: false }, &error(absent), true).name(),
        "StepFailed"
    );
}

#[test]
fn only_other_pods_that_are_set_up_count_and_what_was_published_does_not() {
    let record = |container: &str, verdict| Record {
        version: RECORD_VERSION,
        phase: Phase::Settled,
        id: "id".into(),
        network: "n".into(),
        attachment: AttachmentId::new(container, "eth0").unwrap(),
        pod: PodName::default(),
        netns: "/run/netns/x".into(),
        netns_id: None,
        cookie: None,
        verdict,
        seen: String::new(),
        remedy: String::new(),
        plan: Plan { bindings: vec![binding("a")], ..Plan::default() },
        owned: Owned::default(),
        timings: Vec::new(),
        started_ms: 1,
        repaired_ms: None,
        unknown: serde_json::Map::new(),
    };
    let port = |device: &str, pods| RdmaPort {
        device: device.into(),
        port: 1,
        active: true,
        pnetid: None,
        netdev: None,
        pods,
    };
    let configured = Some(Verdict::Configured);
    let records = [
        record("own", configured.clone()),
        record("other", configured.clone()),
        record("refused", Some(Verdict::refused(Reason::NoUeid))),
        record("intent", None),
        Record { phase: Phase::Tombstone, ..record("dead", configured) },
    ];
    let mut ports = [port("a", 7), port("b", 7)];
    count_pods(&mut ports, &records.map(Into::into), &AttachmentId::new("own", "eth0").unwrap());
    assert_eq!(ports.map(|port| port.pods), [1, 0]);
}
