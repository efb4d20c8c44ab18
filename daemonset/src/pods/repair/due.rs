//! Which pods need work: from what the runtime lists and what is on record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smc_model::{NodeFacts, Note, Particulars, Reason, Verdict, Wish};
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
        /// Whether the kernel hides from a mesh's rules whose an SMC socket is, so that pods with its sidecar are refused.
        hides_owner: bool,
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
                why.or_else(|| lacks_particulars(record, sandbox, wanted).then_some(Why::SetUpByEarlier))
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

/// Whether a pod's record does not say how it is to be set up as its owner does, or it must not be: an earlier version wrote it.
fn lacks_particulars(record: &Record, sandbox: &Sandbox, wanted: Wanted) -> bool {
    let Wanted::On { hides_owner, .. } = wanted else { return false };
    let configured = record.phase == Phase::Settled && record.verdict == Some(Verdict::Configured);
    let Particulars { peers, keep_mptcp, sidecar } = &sandbox.particulars;
    let same = record.owned.peers == *peers && record.owned.keep_mptcp == *keep_mptcp;
    configured && (!same || sidecar.is_some() && hides_owner)
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
mod tests;
