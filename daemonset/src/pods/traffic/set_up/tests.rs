use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use smc_model::{Binding, Owned, Plan, Verdict};

use super::*;
use crate::testing::test_values;

fn record() -> Record {
    let address = BTreeSet::from([Ipv4Addr::new(10, 0, 0, 5)]);
    let binding =
        Binding { interface: "eth0".into(), device: "rxe0".into(), port: 1, pnetid: "A".parse().unwrap() };
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
