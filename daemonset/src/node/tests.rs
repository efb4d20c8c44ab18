use super::*;
use crate::node::plan::Plan;

fn plan(steps: &[Step]) -> Plan {
    Plan { steps: steps.to_vec(), problems: Vec::new() }
}

#[test]
fn a_step_is_tried_once_at_a_look_and_one_that_does_not_last_is_told() {
    let (link, smc) = (Step::MakeAnchorLink, Step::LoadSmcDiag);
    let (mut work, mut named) = (Work::default(), BTreeSet::new());
    let both = plan(&[link.clone(), smc.clone()]);
    assert_eq!(work.due(both.clone()), [link.clone(), smc.clone()]);
    assert!(!work.took(link.clone(), Err("EPERM".to_owned().into()), &mut named));
    assert!(work.took(smc.clone(), Ok(Effect::default()), &mut named));
    assert_eq!(work.due(both.clone()), []);
    assert_eq!(work.failed.len(), 2, "{:?}", work.failed);
    assert!(work.failed[1].contains("still missing"), "{:?}", work.failed);
    assert_eq!(work.due(both), [], "nor is it told again");
    assert_eq!(work.failed.len(), 2);
}

#[test]
fn the_log_is_told_what_to_do_and_pods_are_told_the_cause() {
    let mut work = Work::default();
    let failed = Failed { why: "the kernel says no".to_owned(), remedy: Some("give it more".to_owned()) };
    work.took(Step::LoadSmc, Err(failed), &mut BTreeSet::new());
    assert_eq!(work.failed, ["cannot load the smc module: the kernel says no; give it more"]);
    assert_eq!(work.failures.0, [(Step::LoadSmc, "the kernel says no".to_owned())]);
    work.took(Step::LoadSmcDiag, Err("cannot do it".to_owned().into()), &mut BTreeSet::new());
    assert_eq!(work.failed[1], "cannot do it", "once is enough");
}

#[test]
fn what_is_still_due_after_all_rounds_is_told_but_for_what_failed() {
    let mut work = Work::default();
    work.took(Step::MakeAnchorLink, Err("EPERM".to_owned().into()), &mut BTreeSet::new());
    work.leave(&plan(&[Step::MakeAnchorLink, Step::LoadSmcDiag]));
    assert_eq!(work.undone, ["still due after 6 rounds: load the kernel module smc_diag"]);
    work.leave(&plan(&[Step::MakeAnchorLink]));
    assert_eq!(work.undone, [""; 0]);
}
