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

/// All that puts a node right on which nothing is left, in the order of the plan.
fn all() -> Vec<Step> {
    let offer = smc_model::SynOption { kind: 254, data: Vec::new() };
    vec![
        Step::AttachConversion { protocol: 256 },
        Step::MakeAnchorLink,
        Step::LoadGuard { offer },
        Step::NamePort { port: port("rxe0", None), pnetid: "A".parse().unwrap() },
        Step::AddUeid(facts().ueids[0].clone()),
    ]
}

fn names(before: &NodeFacts, found: &NodeFacts, done: &[Step]) -> Vec<&'static str> {
    let look = LookedAt { before, found, found_rules: None, done, now: before };
    losses(look).iter().map(Reason::name).collect()
}

#[test]
fn what_was_in_place_and_had_to_be_made_again_was_lost() {
    assert_eq!(
        names(&facts(), &bare(), &all()),
        ["NoConversion", "SourceAnchorMissing", "SameNodeGuardMissing", "PnetidMissing", "NoUeid"]
    );
    let anew = NodeFacts { anchor: Anchor::Ready { index: 9 }, ..facts() };
    assert_eq!(names(&facts(), &anew, &[]), ["SourceAnchorMissing"], "it has another index");
    let up = NodeFacts { anchor: Anchor::Missing { why: "up".to_owned() }, ..facts() };
    let down = Step::KeepAnchorDown { index: 7, up: true, local: [].into() };
    assert_eq!(names(&facts(), &up, &[down]), ["SourceAnchorMissing"]);
}

#[test]
fn what_is_made_for_the_first_time_or_not_put_back_is_no_loss() {
    let none: [&str; 0] = [];
    assert_eq!(names(&bare(), &bare(), &all()), none);
    assert_eq!(names(&facts(), &bare(), &[]), none, "nobody put it back, or only could not look");
    assert_eq!(names(&facts(), &facts(), &[]), none);
    let plugged_in = Step::NamePort { port: port("rxe1", None), pnetid: "A".parse().unwrap() };
    assert_eq!(names(&facts(), &facts(), &[plugged_in]), none);
}

#[test]
fn enterprise_ids_that_were_lost_at_once_are_told_one_by_one() {
    let ids: Vec<smc_model::Ueid> = ["ONE", "TWO"].map(|id| id.parse().unwrap()).to_vec();
    let before = NodeFacts { ueids: ids.clone(), ..facts() };
    let done: Vec<Step> = ids.into_iter().map(Step::AddUeid).collect();
    assert_eq!(names(&before, &bare(), &done), ["NoUeid", "NoUeid"]);
}

#[test]
fn with_the_module_goes_what_it_had_and_no_more_is_told() {
    let unloaded = NodeFacts { smc_loaded: false, ..bare() };
    assert_eq!(names(&facts(), &unloaded, &all()), ["PnetidMissing", "NoUeid"]);
}

#[test]
fn rules_that_somebody_changed_were_lost_but_not_those_that_the_settings_changed() {
    let ranges = smc_model::Inbound::Only("10.0.0.0/8".parse().unwrap());
    let closed = NodeFacts { inbound: ranges.clone(), ..facts() };
    let written = [Step::LetIn(ranges)];
    let lost = |before: &NodeFacts, now: &NodeFacts, done: &[Step]| {
        let rules = PeerRules::new();
        losses(LookedAt { before, found: now, found_rules: Some(&rules), done, now })
    };
    let names: Vec<_> = lost(&closed, &closed, &written).iter().map(Reason::name).collect();
    assert_eq!(names, ["PeerFilterMissing"]);
    assert_eq!(lost(&closed, &closed, &[]), [], "nobody wrote them anew");
    assert_eq!(lost(&closed, &facts(), &written), []);
    assert_eq!(lost(&facts(), &closed, &written), []);
}

#[test]
fn a_port_that_somebody_else_named_anew_is_told() {
    let other = NodeFacts { ports: vec![port("rxe0", Some("B"))], ..facts() };
    let [pnetid, had] = ["B", "A"].map(|id| id.parse().unwrap());
    let foreign = Reason::ForeignPnetid { port: "rxe0/1".into(), pnetid, had };
    let renamed = |before: &NodeFacts, found: &NodeFacts| {
        renamed_ports(LookedAt { before, found, found_rules: None, done: &[], now: found })
    };
    assert_eq!(renamed(&facts(), &other), [foreign]);
    let gone = NodeFacts { ports: vec![port("rxe0", None)], ..facts() };
    assert_eq!(renamed(&facts(), &gone), []);
    assert_eq!(renamed(&gone, &facts()), []);
}
