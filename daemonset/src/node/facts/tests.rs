use std::path::Path;

use smc_model::{Reason, Switch};

use super::*;
use crate::node::test_nodes::{asked, bare, offer, prepared, ueids};

fn facts_of(seen: &Observed, failed: &[(Step, &str)]) -> NodeFacts {
    let failures = failed.iter().map(|(step, why)| (step.clone(), (*why).to_owned())).collect();
    let ueids = ueids();
    facts(seen, &asked(&ueids), &Inbound::Any, Path::new("/pins"), &Failures(failures))
}

#[test]
fn pods_of_a_prepared_node_can_use_smc() {
    let facts = facts_of(&prepared(), &[]);
    assert_eq!(facts.unfit(), None, "{facts:?}");
    assert_eq!((&facts.guard, facts.guard_pins.as_deref()), (&Guard::Ready, Some(Path::new("/pins"))));
    assert_eq!(facts.anchor, Anchor::Ready { index: 9 });
    assert_eq!(facts.syn_option, Some(offer()));
}

#[test]
fn what_could_not_be_done_is_why_pods_stay_on_tcp() {
    let why = "EPERM";
    let with = |failed: Step, change: &dyn Fn(&mut Rest)| {
        let mut node = prepared();
        change(node.rest.as_mut().unwrap());
        facts_of(&node, &[(failed, why)]).unfit().map(|reason| reason.to_string()).unwrap_or_default()
    };
    let attach = Step::AttachConversion { protocol: 256 };
    let unconverted = |rest: &mut Rest| rest.program = Program::NotInPlace { protocol: 256, other: true };
    assert!(with(attach, &unconverted).contains(why));
    let load = Step::LoadGuard { offer: offer() };
    assert!(with(load, &|rest| rest.guard = GuardPins::Missing).contains(why));
    let mut unanchored = prepared();
    unanchored.rest.as_mut().unwrap().anchor = Ok(None);
    let anchor = facts_of(&unanchored, &[(Step::MakeAnchorLink, why)]).anchor;
    assert_eq!(anchor, Anchor::Missing { why: why.to_owned() });

    // What a later round put right is right, whatever failed before.
    assert_eq!(facts_of(&prepared(), &[(Step::MakeAnchorLink, why)]).anchor, Anchor::Ready { index: 9 });
    let load = Step::LoadGuard { offer: offer() };
    assert_eq!(facts_of(&prepared(), &[(load, why)]).guard, Guard::Ready);

    let unloaded = facts_of(&bare(), &[(Step::LoadSmc, why)]);
    assert_eq!(unloaded.smc_missing.as_deref(), Some(why));
    assert!(matches!(unloaded.unfit(), Some(Reason::SmcNotAvailable { .. })));
}

#[test]
fn who_is_to_be_kept_out_is_never_let_in_for_a_map_that_cannot_be_written() {
    let ranges = Inbound::Only("10.0.0.0/8".parse().unwrap());
    let failures = Failures(vec![(Step::LetIn(ranges.clone()), "ENOSPC".to_owned())]);
    let ueids = ueids();
    let pins = Path::new("/pins");
    let facts = |inbound: &Inbound| facts(&prepared(), &asked(&ueids), inbound, pins, &failures);
    assert!(matches!(facts(&ranges).unfit(), Some(Reason::SameNodeGuardMissing { .. })));
    assert_eq!(facts(&Inbound::Any).unfit(), None, "nobody was to be kept out");
}

#[test]
fn a_node_that_is_only_looked_at_says_so_and_a_switch_that_is_off_comes_first() {
    let seen = Observed { rest: None, ..bare() };
    assert_eq!(facts_of(&seen, &[]).unfit(), Some(Reason::NoRdmaDevice));
    let ueids = ueids();
    let switch = Switch::Off { why: "x".to_owned() };
    let asked = Asked { switch, ..asked(&ueids) };
    let off = facts(&seen, &asked, &Inbound::Any, Path::new("/pins"), &Failures::default());
    assert!(off.only_looked_at && matches!(off.unfit(), Some(Reason::SwitchedOff { .. })));
}
