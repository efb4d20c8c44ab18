//! The values on the board.

use std::collections::BTreeMap;
use std::time::Instant;

use smc_model::{Reason, Verdict};
use smc_state::{AttachmentId, PodName};

use super::{Chain, Problems, Readiness};
use crate::mesh::{MeshMode, MeshSwitch};

/// Everything on the board.
#[derive(Debug)]
pub struct View {
    /// The node's name in Kubernetes, when it is known.
    pub node_name: Option<String>,
    /// When the agent started, in seconds since the epoch.
    pub started: u64,
    /// What being ready and alive hang on, with the chain's state.
    pub readiness: Readiness,
    /// What the last look at the node said.
    pub node: Option<NodeCheck>,
    /// Where the mesh switch comes from.
    pub mesh_mode: MeshMode,
    /// The mesh switch.
    pub mesh: MeshSwitch,
    /// Every attachment of an annotated pod that has a verdict.
    pub pods: BTreeMap<AttachmentId, PodVerdict>,
    /// What became of the pods' connections; whoever counts them replaces the whole list.
    pub connections: Vec<PodConnections>,
    /// What is used of the RDMA devices; whoever counts it replaces the whole list.
    pub devices: Vec<DeviceUse>,
    /// What became of the Events.
    pub events: EventCounts,
    /// What is wrong.
    pub problems: Problems,
}

/// What a look at the node said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCheck {
    /// `uname -r`.
    pub kernel: String,
    /// What keeps every pod of this node on TCP.
    pub obstacle: Option<Reason>,
}

/// A pod's verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodVerdict {
    /// The pod.
    pub pod: PodName,
    /// The id that the record, the logs and the event share.
    pub id: String,
    /// Its verdict.
    pub verdict: Verdict,
}

/// What the kernel counted of one pod's connections since its namespace was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodConnections {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// Connections that became SMC-R.
    pub smc_r: u64,
    /// Connections that fell back to TCP, by the reason's name.
    pub fallbacks: BTreeMap<String, u64>,
}

/// What SMC-R uses of one RDMA device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceUse {
    /// The device's name.
    pub device: String,
    /// Link groups over it.
    pub link_groups: u64,
    /// Queue pairs that SMC-R has of it.
    pub queue_pairs: u64,
    /// Queue pairs that it has at all, when it told.
    pub queue_pairs_max: Option<u64>,
}

/// What became of the Events that were to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Written, or found written by an earlier run.
    pub written: u64,
    /// Not written because a newer verdict of the same pod took its place while it waited.
    pub superseded: u64,
    /// Dropped because too many waited.
    pub dropped_full: u64,
    /// Dropped because whoever writes them did not even take them in.
    pub dropped_before_queue: u64,
    /// Dropped because they had waited too long.
    pub dropped_stale: u64,
    /// Dropped because their namespace ends.
    pub dropped_gone: u64,
    /// Dropped because the API server refused them as they were.
    pub dropped_rejected: u64,
}

impl View {
    /// Nothing is known yet.
    pub fn new(mesh_mode: MeshMode, mesh: MeshSwitch, chain: Chain, now: Instant) -> Self {
        Self {
            node_name: None,
            started: 0,
            readiness: Readiness::new(chain, now),
            node: None,
            mesh_mode,
            mesh,
            pods: BTreeMap::new(),
            connections: Vec::new(),
            devices: Vec::new(),
            events: EventCounts::default(),
            problems: Problems::default(),
        }
    }

    /// How many attachments have each verdict, by its name and its reason's (empty when it has none).
    pub fn pods_by_verdict(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        let mut counts = BTreeMap::new();
        for pod in self.pods.values() {
            let reason = pod.verdict.reason().map_or("", Reason::name);
            *counts.entry((pod.verdict.name(), reason)).or_default() += 1;
        }
        counts
    }
}
