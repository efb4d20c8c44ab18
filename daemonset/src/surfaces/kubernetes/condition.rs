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
mod tests {
    use super::*;

    const ON: MeshSwitch = MeshSwitch { on: true, repair: true, why: Why::SmcEnabled };

    #[test]
    fn a_node_without_obstacles_and_with_the_mesh_on_is_ready() {
        for chain in [Chain::Unmanaged, Chain::Loaded, Chain::Unknown, Chain::Untold] {
            assert_eq!(condition(None, &chain, ON).reason, "Ready", "{chain:?}");
        }
    }

    #[test]
    fn what_stays_longest_is_told_first() {
        let lost = Chain::NotLoaded { why: "the entry is gone".to_owned() };
        let off = MeshSwitch { on: false, repair: true, why: Why::CniDisabled };
        let switched_off = Reason::SwitchedOff { why: "the node was told".to_owned() };
        let reasons = [
            condition(Some(&Reason::NoRdmaDevice), &lost, off),
            condition(None, &lost, off),
            condition(None, &Chain::Loaded, off),
            condition(None, &Chain::Loaded, MeshSwitch::NOT_KNOWN_YET),
            condition(Some(&switched_off), &Chain::Loaded, MeshSwitch { why: Why::NoResource, ..off }),
        ];
        assert_eq!(
            reasons.each_ref().map(|c| c.reason),
            ["NoRdmaDevice", "PluginNotLoaded", "MeshOff", "MeshNotKnown", "MeshResourceMissing"]
        );
        assert!(reasons.iter().all(|c| !c.ready));
        assert!(reasons[0].message.contains("To do: attach"), "{}", reasons[0].message);
        assert!(reasons[1].message.contains("the entry is gone"));
        assert!(reasons[2].message.contains("enabled: false"));
        assert!(reasons[4].message.contains("SMC_AGENT_MESH=enabled"), "{}", reasons[4].message);
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let first = Since::after(None, true, 100);
        assert_eq!(first, Since { ready: true, since: 100 });
        assert_eq!(Since::after(Some(first), true, 200), first);
        assert_eq!(Since::after(Some(first), false, 300), Since { ready: false, since: 300 });
    }

    #[test]
    fn the_patch_holds_one_label_and_one_condition() {
        let patch = patch(&condition(None, &Chain::Loaded, ON), Since { ready: true, since: 60 }, 120);
        let expected = json!({
            "metadata": {"labels": {"smc.asm.alibabacloud.com/ready": "true"}},
            "status": {"conditions": [{
                "type": "SMCReady", "status": "True", "reason": "Ready",
                "message": "annotated pods of this node can use SMC-R",
                "lastHeartbeatTime": "1970-01-01T00:02:00Z", "lastTransitionTime": "1970-01-01T00:01:00Z",
            }]},
        });
        assert_eq!(patch, expected);
    }
}
