//! The values on the board.

use std::collections::BTreeMap;
use std::time::Instant;

use smc_model::{LiveVerdict, Reason, Verdict, live_name};
use smc_state::{AttachmentId, LivePod, PodName};

use super::{Chain, Losses, Problems, Readiness};
use crate::mesh::{MeshMode, MeshSwitch};

/// Everything on the board.
#[derive(Debug)]
pub struct View {
    /// The node's name in Kubernetes, when it is known.
    pub node_name: Option<String>,
    /// The UID of the agent's own pod, when it is known.
    pub pod_uid: Option<String>,
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
    /// What came of the traffic of each attachment that is set up; whoever looks replaces all of it.
    pub live: BTreeMap<AttachmentId, LivePod>,
    /// Why the kernel does not tell of fallbacks when they happen; `None` when it does.
    pub no_fallback_events: Option<String>,
    /// What is used of the RDMA devices; whoever counts it replaces the whole list.
    pub devices: Vec<DeviceUse>,
    /// What became of the Events.
    pub events: EventCounts,
    /// What is wrong.
    pub problems: Problems,
    /// What was taken away by others.
    pub losses: Losses,
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
            pod_uid: None,
            started: 0,
            readiness: Readiness::new(chain, now),
            node: None,
            mesh_mode,
            mesh,
            pods: BTreeMap::new(),
            live: BTreeMap::new(),
            no_fallback_events: None,
            devices: Vec::new(),
            events: EventCounts::default(),
            problems: Problems::default(),
            losses: Losses::default(),
        }
    }

    /// How many attachments have each live verdict, by its name and its reason's (empty when it has none).
    pub fn pods_by_verdict(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        let mut counts = BTreeMap::new();
        for (attachment, pod) in &self.pods {
            let live = self.live.get(attachment).map(|pod| &pod.live);
            let name = live_name(&pod.verdict, live);
            let of_live = live.filter(|live| live.name() == name).and_then(LiveVerdict::reason);
            let reason = of_live.or(pod.verdict.reason().map(Reason::name)).unwrap_or_default();
            *counts.entry((name, reason)).or_default() += 1;
        }
        counts
    }

    /// What came of each pod's traffic, once for each pod: its attachments share one namespace.
    pub fn live_pods(&self) -> impl Iterator<Item = &LivePod> {
        let mut last = None;
        self.live.values().filter(move |pod| {
            let container = Some(pod.attachment.container());
            std::mem::replace(&mut last, container) != container
        })
    }
}
