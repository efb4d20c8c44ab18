//! `traffic.json`: what came of the pods that are set up, by what the kernel showed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smc_model::{LiveVerdict, PeersWithoutSmc};

use crate::{AttachmentId, Document, PodName};

/// What the agent publishes about the traffic of the pods that are set up. Unknown fields are tolerated.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// When it was written, in seconds since the epoch. An agent that is not there any more leaves an old file.
    pub written: u64,
    /// Why the kernel does not tell of fallbacks when they happen; absent when it does. Then fallbacks are judged by
    /// counters, which know no peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_events: Option<String>,
    /// Every attachment of a pod that is set up.
    pub pods: Vec<LivePod>,
}

impl Document for Traffic {
    const FILE: &'static str = "traffic.json";
    const WHAT: &'static str = "traffic file";
    const VERSION: u32 = 1;
}

/// What came of one attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivePod {
    /// The attachment.
    pub attachment: AttachmentId,
    /// The pod in Kubernetes' words.
    pub pod: PodName,
    /// The record's id.
    pub id: String,
    /// The live verdict.
    pub live: LiveVerdict,
    /// Since when it is that, in seconds since the epoch.
    pub since: u64,
    /// Connections that became SMC-R, since the pod's namespace was made.
    pub smcr: u64,
    /// Handshakes that ended in an error.
    pub handshake_errors: u64,
    /// Connections that fell back to TCP, in-pod and same-node ones too, most frequent reason first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<FallbackCount>,
    /// Peers at other places that do not speak SMC, and need not.
    #[serde(default)]
    pub peers_without_smc: PeersWithoutSmc,
    /// Offers of SMC that kube-smc took out of SYNs to the pod, by why it did: nobody's fault, and no peer without SMC.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub offers_taken_out: BTreeMap<String, u64>,
    /// SYNs to the pod that were dropped, since they came in parts or could not be read, from whoever may not speak SMC with it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub syns_dropped: u64,
    /// Fallbacks of which it is not known whether they left the node, where counters alone are judged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unplaced: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How often connections fell back for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallbackCount {
    /// The kernel's code.
    pub code: u32,
    /// Its short name.
    pub reason: String,
    /// How often.
    pub count: u64,
}
