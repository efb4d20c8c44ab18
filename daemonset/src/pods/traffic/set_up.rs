//! Whether what was set up for a pod is still there.

use std::net::IpAddr;

use smc_host::anchor;
use smc_host::traffic::SetUp;
use smc_model::{HostState, NodeFacts, Reason, Step, Switch};
use smc_state::Record;

/// What of a record's set-up is not there. Where the feature is off, or the node cannot have it, nothing is missed.
pub(super) fn lost(record: &Record, facts: &NodeFacts, inside: &SetUp, host: &HostState) -> Vec<Reason> {
    if facts.switch != Switch::On {
        return Vec::new();
    }
    let mut lost = smc_model::lost(&record.plan, inside.converts, &inside.pnetids);
    if let Some(anchored) = &host.anchored {
        lost.extend(record.owned.anchored.difference(anchored).map(|address| Reason::SourceAnchorMissing {
            why: format!("{address} was removed from the link {}", anchor::LINK),
        }));
    }
    if let Some(held) = &host.held {
        lost.extend(record.owned.held.difference(held).map(|address| Reason::SourceAnchorMissing {
            why: format!("the route in table local that holds the packets of {address} was removed"),
        }));
    }
    if let (Some(_), Some((pins, guarded))) = (facts.guard_for_pods(), &host.guarded)
        && record.owned.guard_pins.as_ref() == Some(pins)
    {
        let there = |address: &IpAddr| guarded.contains(address) || host.is_node(address);
        let gone = record.owned.in_guard().filter(|address| !there(address));
        lost.extend(gone.map(|address| Reason::SameNodeGuardMissing {
            why: format!("{address} was removed from its map"),
        }));
        let taken = inside.unguarded.iter().filter(|interface| had_guard(record, interface));
        lost.extend(taken.map(|interface| Reason::SameNodeGuardMissing {
            why: format!("its program is not on the pod's interface {interface}"),
        }));
    }
    lost
}

/// Whether the pod has an interface that came after its set-up, as Multus gives them: nobody's doing, but to be guarded.
pub(super) fn has_new_interface(record: &Record, inside: &SetUp) -> bool {
    record.owned.guard_pins.is_some()
        && inside.unguarded.iter().any(|interface| !had_guard(record, interface))
}

fn had_guard(record: &Record, interface: &str) -> bool {
    let is_guarded = |step: &Step| matches!(step, Step::Guard { interface: Some(of), .. } if of == interface);
    record.plan.bindings.iter().any(|binding| binding.interface == interface)
        || record.plan.steps.iter().any(is_guarded)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use smc_model::{Binding, Owned, Plan, Verdict};

    use super::*;
    use crate::testing::test_values;

    fn record() -> Record {
        let address = BTreeSet::from([Ipv4Addr::new(10, 0, 0, 5)]);
        let binding = Binding {
            interface: "eth0".into(),
            device: "rxe0".into(),
            port: 1,
            pnetid: "A".parse().unwrap(),
        };
        Record {
            plan: Plan { bindings: vec![binding], ..Plan::default() },
            owned: Owned {
                anchored: address.clone(),
                held: address.clone(),
                guarded: address,
                guard_pins: Some("/pins".into()),
                ..Owned::default()
            },
            ..test_values::record("web-1", Verdict::Configured)
        }
    }

    fn names(facts: &NodeFacts, pnetid: &str, converts: bool, host: &[u8]) -> Vec<&'static str> {
        let pnetids = [("eth0".to_owned(), pnetid.parse().unwrap())].into();
        let addresses: BTreeSet<_> = host.iter().map(|last| Ipv4Addr::new(10, 0, 0, *last)).collect();
        let host = HostState {
            anchored: Some(addresses.clone()),
            held: Some(addresses.clone()),
            guarded: Some(("/pins".into(), addresses.into_iter().map(IpAddr::V4).collect())),
            ..HostState::default()
        };
        let inside = SetUp { pnetids, converts, unguarded: Vec::new() };
        lost(&record(), facts, &inside, &host).iter().map(Reason::name).collect()
    }

    #[test]
    fn what_is_in_place_is_not_missed() {
        assert_eq!(names(&test_values::node(Vec::new()), "A", true, &[5, 6]), [""; 0]);
    }

    #[test]
    fn each_part_that_was_taken_away_is_named() {
        assert_eq!(names(&test_values::node(Vec::new()), "B", true, &[5]), ["PnetidMismatch"]);
        assert_eq!(names(&test_values::node(Vec::new()), "A", false, &[5]), ["ConversionLost"]);
        assert_eq!(
            names(&test_values::node(Vec::new()), "A", true, &[6]),
            ["SourceAnchorMissing", "SourceAnchorMissing", "SameNodeGuardMissing"]
        );
    }

    #[test]
    fn a_pod_whose_packets_are_not_held_any_more_is_missed_by_that_alone() {
        let address = BTreeSet::from([Ipv4Addr::new(10, 0, 0, 5)]);
        let host = HostState {
            anchored: Some(address.clone()),
            held: Some(BTreeSet::new()),
            guarded: Some(("/pins".into(), address.into_iter().map(IpAddr::V4).collect())),
            ..HostState::default()
        };
        let pnetids = [("eth0".to_owned(), "A".parse().unwrap())].into();
        let inside = SetUp { pnetids, converts: true, unguarded: Vec::new() };
        let facts = test_values::node(Vec::new());
        let lost_of = |record: &Record| lost(record, &facts, &inside, &host);
        assert!(lost_of(&record())[0].to_string().contains("holds the packets of 10.0.0.5"));
        let mut of_an_earlier_version = record();
        of_an_earlier_version.owned.held.clear();
        assert_eq!(lost_of(&of_an_earlier_version), [], "what was not made was not lost");
    }

    #[test]
    fn an_interface_that_lost_the_guards_program_is_named_and_one_that_never_had_it_is_new() {
        let address = BTreeSet::from([Ipv4Addr::new(10, 0, 0, 5)]);
        let guarded = address.into_iter().map(IpAddr::V4).collect();
        let host = HostState { guarded: Some(("/pins".into(), guarded)), ..HostState::default() };
        let pnetids = [("eth0".to_owned(), "A".parse().unwrap())].into();
        let inside = SetUp { pnetids, converts: true, unguarded: vec!["eth0".to_owned()] };
        let facts = test_values::node(Vec::new());
        let lost_of = |record: &Record| lost(record, &facts, &inside, &host);
        assert!(lost_of(&record())[0].to_string().contains("eth0"));
        assert!(!has_new_interface(&record(), &inside));
        let later = SetUp { unguarded: vec!["net1".to_owned()], ..inside.clone() };
        assert_eq!(lost(&record(), &facts, &later, &host), [], "nobody took it away");
        assert!(has_new_interface(&record(), &later));
        let mut of_an_earlier_version = record();
        of_an_earlier_version.owned.guard_pins = None;
        assert_eq!(lost_of(&of_an_earlier_version), [], "it is set up anew");
    }

    #[test]
    fn nothing_is_missed_where_the_feature_is_off() {
        let off = NodeFacts { switch: Switch::Off { why: "x".into() }, ..test_values::node(Vec::new()) };
        assert_eq!(names(&off, "B", false, &[]), [""; 0]);
    }
}
