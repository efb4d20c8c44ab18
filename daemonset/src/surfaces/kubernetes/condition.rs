//! The node's condition `SMCReady`, as a function of what is known.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smc_model::Reason;
use smc_state::Document;

use super::{READY_CONDITION, READY_LABEL, shortened, timestamp};
use crate::board::Chain;
use crate::mesh::{MeshSwitch, Why};

/// Longest message: the whole condition stays readable in `kubectl describe node`.
const MESSAGE_BYTES: usize = 1024;

/// Whether annotated pods of the node are accelerated, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Whether they are.
    pub ready: bool,
    /// One word in CamelCase.
    pub reason: &'static str,
    /// The same in words.
    pub message: String,
}

/// What the condition is. The node's own obstacle comes first: it stays when the rest is mended.
pub fn condition(obstacle: Option<&Reason>, chain: &Chain, mesh: MeshSwitch) -> Condition {
    // The switch is no fault of the node, and is told below.
    if let Some(reason) = obstacle.filter(|reason| !reason.is_switched_off()) {
        let message =
            format!("annotated pods stay on TCP: {reason}; {}. To do: {}", reason.meaning(), reason.remedy());
        return Condition { ready: false, reason: reason.name(), message };
    }
    if let Chain::NotLoaded { why } = chain {
        let message =
            format!("new annotated pods stay on TCP: the container runtime does not run smc-cni: {why}");
        return Condition { ready: false, reason: "PluginNotLoaded", message };
    }
    if !mesh.on {
        let reason = match mesh.why {
            Why::NotKnownYet => "MeshNotKnown",
            Why::NoResource => "MeshResourceMissing",
            _ => "MeshOff",
        };
        return Condition {
            ready: false,
            reason,
            message: format!("new annotated pods stay on TCP: {}", mesh.why),
        };
    }
    let message = "annotated pods of this node can use SMC-R".to_owned();
    Condition { ready: true, reason: "Ready", message }
}

/// Since when the condition has its status, kept for the agent's next start: the API server is never asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The status.
    pub ready: bool,
    /// Since when, in seconds since the epoch.
    pub since: u64,
}

impl Document for Since {
    const FILE: &'static str = "node-condition.json";
    const WHAT: &'static str = "node condition";
    const VERSION: u32 = 1;
}

impl Since {
    /// What holds after the status is `ready` at `now`.
    pub fn after(last: Option<Self>, ready: bool, now: u64) -> Self {
        last.filter(|last| last.ready == ready).unwrap_or(Self { ready, since: now })
    }
}

/// The strategic merge patch of `nodes/status` that sets condition and label, and touches no other of them.
pub fn patch(condition: &Condition, since: Since, now: u64) -> Value {
    json!({
        "metadata": {"labels": {READY_LABEL: condition.ready.to_string()}},
        "status": {"conditions": [{
            "type": READY_CONDITION,
            "status": if condition.ready { "True" } else { "False" },
            "reason": condition.reason,
            "message": shortened(&condition.message, MESSAGE_BYTES),
            "lastHeartbeatTime": timestamp(now),
            "lastTransitionTime": timestamp(since.since),
        }]},
    })
}

/// The strategic merge patch of `nodes/status` that takes condition and label away again; fine when they are not there.
pub fn removal() -> Value {
    json!({
        "metadata": {"labels": {READY_LABEL: null}},
        "status": {"conditions": [{"type": READY_CONDITION, "$patch": "delete"}]},
    })
}

#[cfg(test)]
mod tests;
