//! Whole runs on a simulated kernel: what is recorded against what is really there.

mod records;

use std::fs;

use smc_model::{Guard, Inbound, Note, Owned, PeerRanges, Switch};
use smc_state::NodeFile;

use super::fake::{ADDRESS, COOKIE, Fake};
use super::*;
use crate::detach;

struct Rig {
    _dir: tempfile::TempDir,
    store: Store,
    kernel: Fake,
}

impl Rig {
    fn new(kernel: Fake) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("state"));
        let facts = kernel.0.borrow().node.clone();
        let file = NodeFile { version: 1, boot_id: "boot".into(), agent: "0".into(), written: 0, facts };
        store.write_node(&file).unwrap();
        Self { _dir: dir, store, kernel }
    }

    fn try_attach(&self, wish: Wish, budget: Budget) -> Result<Outcome, AttachError> {
        let job = Job { wish, ..job("/run/netns/x") };
        attach_on(&self.kernel, NetnsId { device: 4, inode: 5 }, &self.store, "boot", &job, budget)
    }

    fn attach(&self) -> Outcome {
        self.try_attach(Wish::Enabled, budget()).unwrap()
    }

    /// A pod that only these may speak SMC with.
    fn attach_for(&self, peers: Option<PeerRanges>) -> Outcome {
        self.attach_with(Particulars { peers, ..Particulars::default() })
    }

    fn attach_with(&self, particulars: Particulars) -> Outcome {
        let job = Job { particulars, ..job("/run/netns/x") };
        let netns = NetnsId { device: 4, inode: 5 };
        attach_on(&self.kernel, netns, &self.store, "boot", &job, budget()).unwrap()
    }

    fn converted(&self) -> bool {
        let kernel = self.kernel.0.borrow();
        kernel.sysctl || kernel.in_map
    }

    fn recorded(&self) -> Record {
        self.store.read(&job("x").attachment).unwrap().unwrap()
    }
}

/// What is found to be ours without a record: a PNETID may be somebody else's.
fn found() -> Owned {
    Owned { named: [].into(), ..ours() }
}

fn ours() -> Owned {
    Owned {
        guarded: [ADDRESS].into(),
        guard_pins: Some("/pins".into()),
        converted: Some(("/map".into(), COOKIE)),
        named: [("eth0".to_owned(), "NET1".parse().unwrap())].into(),
        ..Owned::default()
    }
}

#[test]
fn our_own_sysctl_stays_ours_when_it_is_read_back_and_in_every_later_run() {
    let rig = Rig::new(Fake::alibaba());
    for changed in [true, false] {
        let outcome = rig.attach();
        assert_eq!((outcome.changed, outcome.record.owned.sysctl), (changed, true));
        assert_eq!(outcome.record.verdict, Some(Verdict::Configured));
        assert_eq!(outcome.record.plan.notes, []);
        assert_eq!(rig.recorded(), outcome.record);
    }
}

#[test]
fn a_kernel_without_namespace_cookies_converts_by_sysctl() {
    let rig = Rig::new(Fake::alibaba());
    rig.kernel.0.borrow_mut().cookie = None;
    for changed in [true, false] {
        let outcome = rig.attach();
        assert_eq!(outcome.record.verdict, Some(Verdict::Configured));
        assert_eq!(
            (outcome.changed, outcome.record.owned.sysctl, outcome.record.cookie),
            (changed, true, None)
        );
    }
}

#[test]
fn a_sysctl_that_somebody_else_set_never_becomes_ours() {
    let rig = Rig::new(Fake::alibaba());
    rig.kernel.0.borrow_mut().sysctl = true;
    let outcome = rig.attach();
    assert!(!outcome.record.owned.sysctl);
    assert_eq!(outcome.record.plan.notes, [Note::ConversionAdopted]);
}

#[test]
fn a_converted_pod_whose_guard_is_gone_becomes_plain_tcp_and_keeps_the_rest() {
    let rig = Rig::new(Fake::mainline());
    assert_eq!(rig.attach().record.owned, ours());
    rig.kernel.0.borrow_mut().node.guard = Guard::Missing { why: "flushed".into() };
    let refused = rig.attach().record;
    assert_eq!(refused.verdict.unwrap().reason().unwrap().name(), "SameNodeGuardMissing");
    assert!(!rig.converted());
    assert_eq!(refused.owned, Owned { converted: None, ..ours() });
    assert!(!rig.attach().changed, "said once");
}

/// A node that needs no same-node guard, whose agent has loaded its program all the same.
fn with_program() -> Rig {
    let kernel = Fake::alibaba();
    kernel.0.borrow_mut().node.guard_pins = Some("/pins".into());
    Rig::new(kernel)
}

#[test]
fn a_node_that_needs_no_guard_gives_its_pods_the_program_and_does_without_where_it_cannot_be_had() {
    let owned = with_program().attach().record.owned;
    assert_eq!((owned.guarded, owned.guard_pins), (ours().guarded, ours().guard_pins));

    let rig = with_program();
    rig.kernel.0.borrow_mut().refuses = Some("guard");
    let without = rig.attach().record;
    assert_eq!(without.verdict, Some(Verdict::Configured));
    assert!(matches!(&without.plan.notes[..], [Note::NotFiltered { .. }]), "{:?}", without.plan.notes);
    assert_eq!(
        without.owned,
        Owned { sysctl: true, converted: None, ..ours() },
        "what is in the maps goes with the pod"
    );
    assert!(rig.converted());
}

#[test]
fn a_pod_that_not_everybody_may_speak_smc_with_is_refused_where_nobody_can_be_kept_out() {
    let ranges = || Some("10.0.0.0/8".parse().unwrap());
    let rig = with_program();
    rig.kernel.0.borrow_mut().refuses = Some("guard");
    let refused = rig.attach_for(ranges()).record;
    assert_eq!(refused.verdict.unwrap().reason().unwrap().name(), "PeerFilterMissing");
    assert!(!rig.converted());

    let rig = with_program();
    let mut other = rig.attach().record;
    other.attachment = AttachmentId::new("another", "eth0").unwrap();
    rig.store.write(&other).unwrap();
    rig.kernel.0.borrow_mut().guarded.clear();
    let refused = rig.attach_for(ranges()).record;
    assert!(refused.seen.contains("is another pod's as well"), "{}", refused.seen);
    assert!(!rig.converted());

    let rig = Rig::new(Fake::alibaba());
    let refused = rig.attach_for(ranges()).record;
    assert_eq!(refused.verdict.unwrap().reason().unwrap().name(), "PeerFilterMissing");

    let rig = with_program();
    let record = rig.attach_for(ranges()).record;
    assert_eq!((record.verdict, record.owned.peers), (Some(Verdict::Configured), ranges()));
    assert!(record.plan.steps.iter().any(|step| step.to_string().contains("let only 10.0.0.0/8 speak SMC")));

    let rig = with_program();
    rig.kernel.0.borrow_mut().node.inbound = Inbound::Only(ranges().unwrap());
    rig.kernel.0.borrow_mut().refuses = Some("guard");
    assert!(!rig.attach().record.verdict.unwrap().is_set_up());
}

#[test]
fn a_pod_of_the_hosts_network_is_put_on_record_once_and_ends_like_any_other() {
    let rig = Rig::new(Fake::mainline());
    let refuse = || refuse(&rig.store, &job(""), Reason::HostNetworkPod, budget()).unwrap();
    let first = refuse();
    assert_eq!(first.record.verdict, Some(Verdict::refused(Reason::HostNetworkPod)));
    assert_eq!((first.changed, first.record.netns_id, &first.record.owned), (true, None, &Owned::default()));
    assert_eq!(rig.recorded(), first.record);
    assert!(!refuse().changed);
    detach(&rig.store, &job("").attachment, budget().deadline);
    assert!(!rig.recorded().is_live());
    assert!(refuse().changed, "a tombstone is no record of a living pod");
}

#[test]
fn a_misspelt_annotation_leaves_the_pod_as_it_is() {
    let rig = Rig::new(Fake::mainline());
    let wish = Wish::Misspelt { key: "smc.asm.alibabacloud.com/enable".into() };
    let refused = rig.try_attach(wish, budget()).unwrap().record;
    assert_eq!(refused.verdict.unwrap().reason().unwrap().name(), "AnnotationMisspelt");
    assert!(!rig.converted());
}

#[test]
fn a_limited_pod_stays_tcp_unless_its_owner_takes_it_that_the_limit_does_not_hold() {
    let rig = Rig::new(Fake::mainline());
    let limited = |accepted| Wish::Limited { key: "kubernetes.io/egress-bandwidth".into(), accepted };
    let refused = rig.try_attach(limited(false), budget()).unwrap().record;
    assert_eq!(refused.verdict.unwrap().reason().unwrap().name(), "BandwidthLimited");
    assert!(!rig.converted());
    // Also when it is looked at again.
    for _ in 0..2 {
        let record = rig.try_attach(limited(true), budget()).unwrap().record;
        assert_eq!(record.verdict, Some(Verdict::Configured));
        let notes: Vec<String> = record.plan.notes.iter().map(ToString::to_string).collect();
        let [note] = &notes[..] else { panic!("{notes:?}") };
        assert!(note.contains("egress-bandwidth") && note.contains("does not hold"), "{note}");
    }
}

#[test]
fn a_converted_pod_whose_annotation_became_invalid_becomes_plain_tcp() {
    for kernel in [Fake::mainline(), Fake::alibaba()] {
        let rig = Rig::new(kernel);
        rig.attach();
        assert!(rig.converted());
        let refused = rig.try_attach(Wish::Invalid("yes".into()), budget()).unwrap().record;
        assert!(!rig.converted());
        assert!(refused.owned.converted.is_none() && !refused.owned.sysctl);
    }
}

#[test]
fn mptcp_is_off_while_the_sysctl_converts_and_on_again_after_it() {
    let rig = Rig::new(Fake::alibaba());
    let mptcp = || rig.kernel.0.borrow().mptcp;
    rig.kernel.0.borrow_mut().mptcp = true;
    let set_up = rig.attach().record;
    assert!(set_up.owned.mptcp_off && !mptcp());
    assert!(!rig.attach().changed);
    let refused = rig.try_attach(Wish::Invalid("yes".into()), budget()).unwrap().record;
    assert!(!refused.owned.mptcp_off && mptcp());
    // A version that left MPTCP alone set it up.
    rig.attach();
    rig.kernel.0.borrow_mut().mptcp = true;
    assert!(rig.attach().changed && !mptcp());
}

#[test]
fn a_pod_with_a_sidecar_is_refused_where_its_owner_would_be_hidden_and_nothing_is_changed() {
    for (kernel, refused) in [(Fake::mainline(), true), (Fake::alibaba(), false)] {
        let rig = Rig::new(kernel);
        let particulars = Particulars { sidecar: Some("Istio"), ..Particulars::default() };
        let record = rig.attach_with(particulars).record;
        let reason = record.verdict.unwrap().reason().map(Reason::name);
        assert_eq!((reason, rig.converted()), (refused.then_some("MeshSidecar"), !refused));
    }
}

#[test]
fn a_converted_pod_whose_port_is_down_stays_converted_and_the_record_says_so() {
    let rig = Rig::new(Fake::mainline());
    rig.attach();
    rig.kernel.0.borrow_mut().node.ports[0].active = false;
    let refused = rig.attach().record;
    assert_eq!(refused.verdict.unwrap().reason().unwrap().name(), "RdmaPortDown");
    assert!(rig.converted());
    assert_eq!((refused.plan.notes, refused.owned), (vec![Note::ConversionKept], ours()));
    assert!(!rig.attach().changed);
}

#[test]
fn a_step_that_fails_ends_an_earlier_conversion_and_leaves_nothing_of_this_run() {
    let rig = Rig::new(Fake::mainline());
    rig.attach();
    {
        let mut kernel = rig.kernel.0.borrow_mut();
        kernel.guarded.clear();
        kernel.pnetid = None;
        kernel.refuses = Some("PNETID");
    }
    let refused = rig.attach().record;
    assert_eq!(refused.verdict.unwrap().reason().unwrap().name(), "StepFailed");
    assert!(!rig.converted());
    assert!(rig.kernel.0.borrow().guarded.is_empty());
    assert_eq!(refused.owned.converted, None);
}

#[test]
fn what_was_found_in_place_is_still_owned_when_a_later_step_fails() {
    let rig = Rig::new(Fake::mainline());
    {
        let mut kernel = rig.kernel.0.borrow_mut();
        kernel.guarded.insert(ADDRESS);
        kernel.refuses = Some("PNETID");
    }
    let refused = rig.attach().record;
    let Owned { guarded, guard_pins, .. } = ours();
    assert_eq!(refused.owned, Owned { guarded, guard_pins, ..Owned::default() });
    assert!(rig.kernel.0.borrow().guarded.contains(&ADDRESS));
}

#[test]
fn a_running_pod_is_set_up_in_place_and_told_to_restart_what_listens_on_older_sockets() {
    let rig = Rig::new(Fake::mainline());
    let nginx = smc_model::Listener { port: 80, process: None };
    {
        let mut kernel = rig.kernel.0.borrow_mut();
        kernel.pod_runs = true;
        kernel.listeners = vec![nginx.clone()];
    }
    let needs_restart = Verdict::NeedsRestart { listeners: vec![nginx] };
    for changed in [true, false] {
        let outcome = rig.attach();
        assert_eq!((outcome.changed, outcome.record.verdict.as_ref()), (changed, Some(&needs_restart)));
        assert_eq!(outcome.record.repaired_ms, Some(1));
    }
    rig.kernel.0.borrow_mut().listeners.clear();
    let restarted = rig.attach();
    assert_eq!((restarted.changed, restarted.record.verdict), (true, Some(Verdict::Configured)));
    assert_eq!(restarted.record.repaired_ms, Some(1), "it stays known that the pod was set up late");
    assert!(rig.converted());
}

#[test]
fn a_pod_that_is_just_being_made_has_no_older_sockets() {
    let rig = Rig::new(Fake::mainline());
    rig.kernel.0.borrow_mut().listeners.push(smc_model::Listener { port: 80, process: None });
    let record = rig.attach().record;
    assert_eq!((record.verdict, record.repaired_ms), (Some(Verdict::Configured), None));
}

#[test]
fn a_pod_loses_its_conversion_when_the_feature_is_switched_off_and_gets_it_back() {
    for kernel in [Fake::mainline(), Fake::alibaba()] {
        let rig = Rig::new(kernel);
        assert_eq!(rig.attach().record.verdict, Some(Verdict::Configured));
        for (switch, converted) in
            [(Switch::Off { why: "smcEnabled is false".into() }, false), (Switch::On, true)]
        {
            let mut facts = rig.kernel.0.borrow().node.clone();
            facts.switch = switch;
            let file = NodeFile { version: 1, boot_id: "boot".into(), agent: "0".into(), written: 0, facts };
            rig.store.write_node(&file).unwrap();
            let verdict = rig.attach().record.verdict.unwrap();
            assert_eq!((rig.converted(), verdict.is_set_up()), (converted, converted), "{verdict:?}");
        }
    }
}
