use smc_model::RdmaPort;

use super::*;
use crate::testing::test_values;

fn port(device: &str, pnetid: Option<&str>) -> RdmaPort {
    let pnetid = pnetid.map(|id| id.parse().unwrap());
    RdmaPort { device: device.into(), port: 1, active: true, pnetid, netdev: None, pods: 0 }
}

fn facts() -> NodeFacts {
    test_values::node(vec![port("rxe0", Some("A"))])
}

/// A node from which everything was taken.
fn bare() -> NodeFacts {
    let why = String::new();
    NodeFacts {
        ueids: Vec::new(),
        ports: vec![port("rxe0", None)],
        conversion: Conversion::None { why: why.clone() },
        guard: Guard::Missing { why: why.clone() },
        guard_pins: None,
        anchor: Anchor::Missing { why },
        ..facts()
    }
}

fn names(before: &NodeFacts, found: &NodeFacts, now: &NodeFacts) -> Vec<&'static str> {
    let look = LookedAt { before, found, found_rules: None, now };
    losses(look).iter().map(Reason::name).collect()
}

const ALL: [&str; 5] =
    ["NoUeid", "PnetidMissing", "NoConversion", "SameNodeGuardMissing", "SourceAnchorMissing"];

#[test]
fn what_was_in_place_and_had_to_be_made_again_was_lost() {
    assert_eq!(names(&facts(), &bare(), &facts()), ALL);
    let anew = NodeFacts { anchor: Anchor::Ready { index: 9 }, ..facts() };
    assert_eq!(names(&facts(), &anew, &anew), ["SourceAnchorMissing"], "it has another index");
    let up = NodeFacts { anchor: Anchor::Missing { why: "up".to_owned() }, ..facts() };
    assert_eq!(names(&facts(), &up, &facts()), ["SourceAnchorMissing"]);
}

#[test]
fn what_is_made_for_the_first_time_or_not_put_back_is_no_loss() {
    let none: [&str; 0] = [];
    assert_eq!(names(&bare(), &bare(), &facts()), none);
    assert_eq!(names(&facts(), &bare(), &bare()), none);
    assert_eq!(names(&facts(), &facts(), &facts()), none);
    let plugged_in = NodeFacts { ports: vec![port("rxe0", Some("A")), port("rxe1", None)], ..facts() };
    assert_eq!(names(&facts(), &plugged_in, &plugged_in), none);
}

#[test]
fn with_the_module_goes_what_it_had_and_no_more_is_told() {
    let unloaded = NodeFacts { smc_loaded: false, ..bare() };
    assert_eq!(names(&facts(), &unloaded, &facts()), ["NoUeid", "PnetidMissing"]);
}

#[test]
fn rules_that_somebody_changed_were_lost_but_not_those_that_the_settings_changed() {
    let (facts, rules) = (facts(), PeerRules::new());
    let closed =
        NodeFacts { inbound: smc_model::Inbound::Only("10.0.0.0/8".parse().unwrap()), ..facts.clone() };
    let lost = |before: &NodeFacts, now: &NodeFacts| {
        losses(LookedAt { before, found: now, found_rules: Some(&rules), now })
    };
    let filter: Vec<_> = lost(&closed, &closed).iter().map(Reason::name).collect();
    assert_eq!(filter, ["PeerFilterMissing"]);
    assert_eq!(lost(&closed, &facts), []);
    assert_eq!(lost(&facts, &closed), []);
}

#[test]
fn a_port_that_somebody_else_named_anew_is_told() {
    let other = NodeFacts { ports: vec![port("rxe0", Some("B"))], ..facts() };
    let [pnetid, had] = ["B", "A"].map(|id| id.parse().unwrap());
    let foreign = Reason::ForeignPnetid { port: "rxe0/1".into(), pnetid, had };
    let renamed = |before: &NodeFacts, found: &NodeFacts| {
        renamed_ports(LookedAt { before, found, found_rules: None, now: found })
    };
    assert_eq!(renamed(&facts(), &other), [foreign]);
    let gone = NodeFacts { ports: vec![port("rxe0", None)], ..facts() };
    assert_eq!(renamed(&facts(), &gone), []);
    assert_eq!(renamed(&gone, &facts()), []);
}
