use smc_model::{Listener, Particulars};

use super::*;
use crate::testing::test_values::record;

const ON: Wanted = Wanted::On { missed: true, program: Program::None, hides_owner: false };
const ON_BUT_MISSED: Wanted = Wanted::On { missed: false, program: Program::None, hides_owner: false };

fn sandbox(id: &str, wish: Wish) -> Sandbox {
    let (pod, handler) = (smc_state::PodName::default(), String::new());
    Sandbox { id: id.to_owned(), pod, wish, particulars: Particulars::default(), ready: true, handler }
}

fn of(record: &Record) -> Sandbox {
    sandbox(record.attachment.container(), Wish::Enabled)
}

fn listed(record: &Record) -> Arc<Record> {
    Arc::new(record.clone())
}

fn whys(record: &Record, wanted: Wanted) -> Vec<Why> {
    due(&[of(record)], &[listed(record)], wanted, &BTreeSet::new(), &BTreeSet::new(), 1_000_000)
        .iter()
        .map(|due| due.why)
        .collect()
}

#[test]
fn a_running_annotated_pod_without_a_record_was_missed() {
    let pods = [sandbox("a", Wish::Enabled), sandbox("b", Wish::Disabled)];
    let found = due(&pods, &[], ON, &BTreeSet::new(), &BTreeSet::new(), 0);
    assert_eq!(
        (found.len(), found[0].why, found[0].attachment.to_string()),
        (1, Why::Missed, "a-eth0".into())
    );
    for wanted in [ON_BUT_MISSED, Wanted::Off, Wanted::Unknown] {
        assert_eq!(due(&pods, &[], wanted, &BTreeSet::new(), &BTreeSet::new(), 0), []);
    }
    let stopped = Sandbox { ready: false, ..sandbox("a", Wish::Enabled) };
    assert_eq!(due(&[stopped], &[], ON, &BTreeSet::new(), &BTreeSet::new(), 0), []);
}

#[test]
fn a_pod_that_is_set_up_is_left_alone_until_it_is_switched_off() {
    let configured = record("web", Verdict::Configured);
    assert_eq!(whys(&configured, ON), []);
    assert_eq!(whys(&configured, Wanted::Unknown), []);
    assert_eq!(whys(&configured, Wanted::Off), [Why::SwitchedOff]);
}

#[test]
fn a_pod_that_lost_something_is_set_up_again_unless_it_is_switched_off() {
    let web = record("web", Verdict::Configured);
    let lost = BTreeSet::from([web.attachment.clone()]);
    let why = |wanted| due(&[of(&web)], &[listed(&web)], wanted, &lost, &BTreeSet::new(), 0)[0].why;
    assert_eq!(why(ON), Why::Lost);
    assert_eq!(why(ON_BUT_MISSED), Why::Lost);
    assert_eq!(why(Wanted::Off), Why::SwitchedOff);
}

#[test]
fn what_was_set_up_for_a_pod_with_a_kernel_of_its_own_is_undone_once_whatever_is_wanted() {
    let whys = |record: &Record, wanted| -> Vec<Why> {
        let own = BTreeSet::from([record.attachment.container()]);
        let due = due(&[of(record)], &[listed(record)], wanted, &BTreeSet::new(), &own, 1_000_000);
        due.iter().map(|due| due.why).collect()
    };
    let web = record("web", Verdict::Configured);
    for wanted in [ON, Wanted::Off, Wanted::Unknown] {
        assert_eq!(whys(&web, wanted), [Why::OwnKernel]);
    }
    for reason in [Reason::OwnKernel { runtime: "kata".into() }, Reason::HostNetworkPod] {
        assert_eq!(whys(&record("web", Verdict::refused(reason)), ON), []);
    }
    let mut intent = web;
    (intent.phase, intent.started_ms) = (Phase::Intent, 999_000);
    assert_eq!(whys(&intent, ON), [], "whoever works on it ends first");
}

#[test]
fn a_pod_that_an_earlier_version_set_up_gets_what_this_one_makes() {
    let mut web = record("web", Verdict::Configured);
    web.owned.anchored.insert([10, 0, 0, 5].into());
    assert_eq!(whys(&web, ON), [Why::SetUpByEarlier]);
    web.owned.held.clone_from(&web.owned.anchored);
    assert_eq!(whys(&web, ON), []);
}

#[test]
fn a_pod_that_has_not_what_keeps_others_out_gets_it() {
    let with = |program| Wanted::On { missed: true, program, hides_owner: false };
    let mut web = record("web", Verdict::Configured);
    for (program, due) in [(Program::None, false), (Program::Wanted, true), (Program::Needed, true)] {
        assert_eq!(!whys(&web, with(program)).is_empty(), due, "{program:?}");
    }
    web.owned.guard_pins = Some("/pins".into());
    web.plan.notes = vec![Note::NotFiltered { error: "no clsact".into() }];
    assert_eq!(whys(&web, with(Program::Wanted)), [], "it could not, and need not");
    assert_eq!(whys(&web, with(Program::Needed)), [Why::SetUpByEarlier]);

    let web = record("web", Verdict::Configured);
    let peers = "10.0.0.0/8".parse().ok();
    let choosy = Sandbox { particulars: Particulars { peers, ..Particulars::default() }, ..of(&web) };
    let why = |wanted| {
        due(std::slice::from_ref(&choosy), &[listed(&web)], wanted, &BTreeSet::new(), &BTreeSet::new(), 0)
    };
    assert_eq!(why(ON)[0].why, Why::SetUpByEarlier);
    assert_eq!(why(Wanted::Unknown), []);
}

#[test]
fn a_pod_that_an_earlier_version_set_up_without_asking_for_mptcp_or_a_sidecar_is_due() {
    let web = record("web", Verdict::Configured);
    let due_with = |web: &Record, particulars: Particulars, hides_owner| {
        let sandbox = Sandbox { particulars, ..of(web) };
        let wanted = Wanted::On { missed: true, program: Program::None, hides_owner };
        let (records, none) = ([listed(web)], BTreeSet::new());
        !due(std::slice::from_ref(&sandbox), &records, wanted, &none, &BTreeSet::new(), 0).is_empty()
    };
    let keeps = Particulars { keep_mptcp: true, ..Particulars::default() };
    assert!(due_with(&web, keeps.clone(), false));
    let mut kept = web.clone();
    kept.owned.keep_mptcp = true;
    assert!(!due_with(&kept, keeps, false));
    let meshed = Particulars { sidecar: Some("Istio"), ..Particulars::default() };
    assert!(due_with(&web, meshed.clone(), true));
    assert!(!due_with(&web, meshed.clone(), false));
    let refused = record("web", Verdict::Refused { reason: Reason::MeshSidecar { mesh: "Istio".into() } });
    assert!(!due_with(&refused, meshed, true));
}

#[test]
fn set_up_pods_of_a_node_that_could_harm_them_are_due_until_they_are_refused_and_come_back() {
    let listeners = vec![Listener { port: 80, process: None }];
    for verdict in [Verdict::Configured, Verdict::NeedsRestart { listeners }] {
        assert_eq!(whys(&record("web", verdict), Wanted::Obstructed), [Why::Obstructed]);
    }
    let why = "its program is gone".to_owned();
    let refused = record("web", Verdict::refused(Reason::SameNodeGuardMissing { why }));
    for wanted in [ON, Wanted::Obstructed] {
        assert_eq!(whys(&refused, wanted), [Why::Refused]);
    }
    let missed = sandbox("a", Wish::Enabled);
    assert_eq!(due(&[missed], &[], Wanted::Obstructed, &BTreeSet::new(), &BTreeSet::new(), 0), []);
}

#[test]
fn a_switched_off_pod_is_taken_up_again_when_it_is_switched_on() {
    let off = record("web", Verdict::refused(Reason::SwitchedOff { why: "x".into() }));
    assert_eq!(whys(&off, Wanted::Off), []);
    assert_eq!(whys(&off, ON_BUT_MISSED), [Why::Refused]);
}

#[test]
fn what_may_have_changed_is_looked_at_again_and_what_cannot_change_is_not() {
    assert_eq!(whys(&record("web", Verdict::refused(Reason::NoRdmaDevice)), ON), [Why::Refused]);
    let invalid = Verdict::refused(Reason::AnnotationInvalid { key: None, value: "yes".into() });
    assert_eq!(whys(&record("web", invalid), ON), []);
    let misspelt = Verdict::refused(Reason::AnnotationMisspelt { key: "x".into() });
    assert_eq!(whys(&record("web", misspelt), ON), []);
    let host_network = record("web", Verdict::refused(Reason::HostNetworkPod));
    assert_eq!((whys(&host_network, ON), whys(&host_network, Wanted::Off)), (vec![], vec![]));
    let listeners = vec![Listener { port: 80, process: None }];
    assert_eq!(whys(&record("web", Verdict::NeedsRestart { listeners }), ON), [Why::NeedsRestart]);
}

#[test]
fn a_pod_of_the_hosts_network_is_on_record_until_its_sandbox_stops() {
    let mut web = record("web", Verdict::refused(Reason::HostNetworkPod));
    web.attachment = AttachmentId::new(web.attachment.container(), HOST_NETWORK).unwrap();
    assert_eq!(orphans(&[of(&web)], &[listed(&web)]), BTreeSet::new());
    let stopped = Sandbox { ready: false, ..of(&web) };
    assert_eq!(orphans(&[stopped], &[listed(&web)]), [web.attachment.clone()].into());
    let misspelt = sandbox("a", Wish::Misspelt { key: "x".into() });
    assert_eq!(due(&[misspelt], &[], ON, &BTreeSet::new(), &BTreeSet::new(), 0)[0].why, Why::Missed);
}

#[test]
fn an_add_under_way_is_not_disturbed_and_one_that_died_is_finished() {
    let mut intent = record("web", Verdict::Configured);
    (intent.phase, intent.verdict) = (Phase::Intent, None);
    intent.started_ms = 999_000;
    assert_eq!(whys(&intent, ON), []);
    intent.started_ms = 900_000;
    assert_eq!(whys(&intent, ON), [Why::Interrupted]);
    intent.phase = Phase::Tombstone;
    assert_eq!(whys(&intent, ON), []);
}

#[test]
fn a_record_whose_sandbox_the_runtime_forgot_is_an_orphan() {
    let web = record("web", Verdict::Configured);
    assert_eq!(orphans(&[of(&web)], &[listed(&web)]).len(), 0);
    let stopped = Sandbox { ready: false, ..of(&web) };
    assert_eq!(orphans(&[stopped], &[listed(&web)]).len(), 0);
    assert_eq!(orphans(&[], &[listed(&web)]), [web.attachment].into());
}
