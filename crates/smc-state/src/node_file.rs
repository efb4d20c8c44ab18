//! `node.json`: what the agent tells the plugin about the node.

use serde::{Deserialize, Serialize};
use smc_model::NodeFacts;

/// The version of the format that this code writes and reads.
pub const NODE_FILE_VERSION: u32 = 1;

/// What the agent publishes about the node. A hint: port states, PNETIDs, addresses and the anchor link are read
/// again for each pod, and whether the pod is in the same-node guard's set. That the guard's table, chain and rule are
/// there is taken from here: the agent watches them. Unknown fields are tolerated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFile {
    /// Format version.
    pub version: u32,
    /// The kernel's boot id: a file from before a reboot says nothing.
    pub boot_id: String,
    /// The version of the agent that wrote it.
    pub agent: String,
    /// When it was written, in seconds since the epoch.
    pub written: u64,
    /// The facts.
    pub facts: NodeFacts,
}
