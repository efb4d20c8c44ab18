//! Which pods need work: from what the runtime lists and what is on record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smc_model::{NodeFacts, Note, Reason, Verdict, Wish};
use smc_state::{AttachmentId, Phase, Record};

use super::HOST_NETWORK;
use crate::cri::Sandbox;

/// The interface that runtimes give to a pod first.
const FIRST_INTERFACE: &str = "eth0";
/// How long a record may be an intent before whoever wrote it is taken for dead: an ADD has two seconds, and one that the kernel
/// holds for longer holds the attachment's lock.
const INTENT_PATIENCE_MS: u64 = 10_000;

/// What the operator wants now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Pods are set up; those that started without the plugin only with `missed`.
    On {
        /// Whether missed pods are set up, too.
        missed: bool,
        /// Whether pods are to have the guard's program.
        program: Program,
    },
    /// Pods would be, but the node lacks something without which those that are converted could come to harm.
    Obstructed,
    /// No pod is.
    Off,
    /// Nobody knows yet: pods stay as they are.
    Unknown,
}

/// Whether pods are to have the guard's program, which they get when they are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The node has none.
    None,
    /// Those that can have it.
    Wanted,
    /// All: not everybody may speak SMC with them.
    Needed,
}

impl Program {
    /// What a node's facts call for.
    pub fn of(node: &NodeFacts) -> Self {
        match (node.guard_for_pods(), node.inbound.is_any()) {
            (None, _) => Self::None,
            (Some(_), true) => Self::Wanted,
            (Some(_), false) => Self::Needed,
        }
    }

    /// Whether a pod that is set up lacks it, and may get it.
    fn is_lacked_by(self, record: &Record) -> bool {
        let could_not = record.plan.notes.iter().any(|note| matches!(note, Note::NotFiltered { .. }));
        match self {
            Self::None => false,
            Self::Wanted => record.owned.guard_pins.is_none(),
            Self::Needed => record.owned.guard_pins.is_none() || could_not,
        }
    }
}

/// A pod to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its attachment.
    pub attachment: AttachmentId,
    /// The sandbox.
    pub sandbox: Sandbox,
    /// The network's name, as far as it is known.
    pub network: String,
    /// Why.
    pub why: Why,
}

/// Why a pod is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There is no record of it.
    Missed,
    /// Whoever set it up did not end.
    Interrupted,
    /// It was refused, which may have changed.
    Refused,
    /// Programs that listen on older sockets may have been restarted.
    NeedsRestart,
    /// Something of its set-up was taken away.
    Lost,
    /// An earlier version set it up, without what this one makes.
    SetUpByEarlier,
    /// The feature is switched off.
    SwitchedOff,
    /// It runs on a kernel of its own, and was set up.
    OwnKernel,
    /// The node has come to lack something without which it could come to harm.
    Obstructed,
}

/// Which running pods need work, in the runtime's order. `lost` are those that are set up by their records, but not by
/// what the kernel shows; `own_kernel` the sandboxes that have a kernel of their own.
pub fn due(
    sandboxes: &[Sandbox],
    records: &[Arc<Record>],
    wanted: Wanted,
    lost: &BTreeSet<AttachmentId>,
    own_kernel: &BTreeSet<&str>,
    now_ms: u64,
) -> Vec<Due> {
    let mut due = Vec::new();
    for sandbox in sandboxes.iter().filter(|sandbox| sandbox.ready && sandbox.wish != Wish::Disabled) {
        let mut missed = true;
        for record in records.iter().filter(|record| record.attachment.container() == sandbox.id) {
            missed = false;
            let why = if own_kernel.contains(sandbox.id.as_str()) {
                is_to_be_refused_for_its_kernel(record).then_some(Why::OwnKernel)
            } else {
                let why = why(record, wanted, lost.contains(&record.attachment), now_ms);
                why.or_else(|| lacks_peers(record, sandbox, wanted).then_some(Why::SetUpByEarlier))
            };
            if let Some(why) = why {
                let (attachment, network) = (record.attachment.clone(), record.network.clone());
                due.push(Due { attachment, sandbox: sandbox.clone(), network, why });
            }
        }
        if missed && matches!(wanted, Wanted::On { missed: true, .. }) {
            // An id that cannot name a record is none that a runtime gives.
            let Ok(attachment) = AttachmentId::new(&sandbox.id, FIRST_INTERFACE) else { continue };
            let (sandbox, network) = (sandbox.clone(), String::new());
            due.push(Due { attachment, sandbox, network, why: Why::Missed });
        }
    }
    due
}

/// Whether who may speak SMC with a pod is not on its record as its owner says it: an earlier version wrote that.
fn lacks_peers(record: &Record, sandbox: &Sandbox, wanted: Wanted) -> bool {
    let configured = record.phase == Phase::Settled && record.verdict == Some(Verdict::Configured);
    matches!(wanted, Wanted::On { .. }) && configured && record.owned.peers != sandbox.peers
}

/// Whatever is wanted: what was set up in such a pod serves nobody.
fn is_to_be_refused_for_its_kernel(record: &Record) -> bool {
    let reason = record.verdict.as_ref().and_then(Verdict::reason);
    let refused = matches!(reason, Some(Reason::OwnKernel { .. } | Reason::HostNetworkPod));
    record.phase == Phase::Settled && !refused
}

fn why(record: &Record, wanted: Wanted, lost: bool, now_ms: u64) -> Option<Why> {
    // Its DEL came already.
    if record.phase == Phase::Tombstone || wanted == Wanted::Unknown {
        return None;
    }
    let reason = record.verdict.as_ref().and_then(Verdict::reason);
    if wanted == Wanted::Off {
        let has_nothing =
            reason.is_some_and(|reason| reason.is_switched_off() || *reason == Reason::HostNetworkPod);
        return (!has_nothing && record.phase == Phase::Settled).then_some(Why::SwitchedOff);
    }
    match &record.verdict {
        Some(verdict)
            if wanted == Wanted::Obstructed && verdict.is_set_up() && record.phase == Phase::Settled =>
        {
            Some(Why::Obstructed)
        }
        _ if record.phase == Phase::Intent => {
            (now_ms.saturating_sub(record.started_ms) > INTENT_PATIENCE_MS).then_some(Why::Interrupted)
        }
        Some(Verdict::Configured) if lost => Some(Why::Lost),
        Some(Verdict::Configured) if record.owned.is_of_earlier_version() => Some(Why::SetUpByEarlier),
        Some(Verdict::Configured) if matches!(wanted, Wanted::On { program, .. } if program.is_lacked_by(record)) => {
            Some(Why::SetUpByEarlier)
        }
        Some(Verdict::Configured) => None,
        Some(Verdict::Refused { reason }) if reason.lasts_as_long_as_the_pod() => None,
        Some(Verdict::NeedsRestart { .. }) => Some(Why::NeedsRestart),
        Some(Verdict::Refused { .. }) => Some(Why::Refused),
        None => Some(Why::Interrupted),
    }
}

/// Living records whose sandbox the runtime does not know (any more), not even as stopped: their DEL never came. A pod of
/// the host's network has none, and ends when its sandbox stops.
/// That alone ends none: a pod that is being made is set up before it is listed, and another runtime's is never.
pub fn orphans(sandboxes: &[Sandbox], records: &[Arc<Record>]) -> BTreeSet<AttachmentId> {
    let known: BTreeMap<&str, bool> =
        sandboxes.iter().map(|sandbox| (sandbox.id.as_str(), sandbox.ready)).collect();
    let unknown = records.iter().filter(|record| {
        let ready = known.get(record.attachment.container());
        record.is_live() && ready.is_none_or(|ready| !ready && record.attachment.ifname() == HOST_NETWORK)
    });
    unknown.map(|record| record.attachment.clone()).collect()
}

#[cfg(test)]
mod tests {
    use smc_model::Listener;

    use super::*;
    use crate::testing::test_values::record;

    const ON: Wanted = Wanted::On { missed: true, program: Program::None };
    const ON_BUT_MISSED: Wanted = Wanted::On { missed: false, program: Program::None };

    fn sandbox(id: &str, wish: Wish) -> Sandbox {
        let (pod, handler) = (smc_state::PodName::default(), String::new());
        Sandbox { id: id.to_owned(), pod, wish, peers: None, ready: true, handler }
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
        let with = |program| Wanted::On { missed: true, program };
        let mut web = record("web", Verdict::Configured);
        for (program, due) in [(Program::None, false), (Program::Wanted, true), (Program::Needed, true)] {
            assert_eq!(!whys(&web, with(program)).is_empty(), due, "{program:?}");
        }
        web.owned.guard_pins = Some("/pins".into());
        web.plan.notes = vec![Note::NotFiltered { error: "no clsact".into() }];
        assert_eq!(whys(&web, with(Program::Wanted)), [], "it could not, and need not");
        assert_eq!(whys(&web, with(Program::Needed)), [Why::SetUpByEarlier]);

        let web = record("web", Verdict::Configured);
        let choosy = Sandbox { peers: "10.0.0.0/8".parse().ok(), ..of(&web) };
        let why = |wanted| {
            due(std::slice::from_ref(&choosy), &[listed(&web)], wanted, &BTreeSet::new(), &BTreeSet::new(), 0)
        };
        assert_eq!(why(ON)[0].why, Why::SetUpByEarlier);
        assert_eq!(why(Wanted::Unknown), []);
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
        let invalid = Verdict::refused(Reason::AnnotationInvalid { value: "yes".into() });
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
}
