//! `/status`: what the agent knows.
//!
//! The field names are an interface: within one version, fields are only added.

use serde::{Deserialize, Serialize};
use smc_model::{LiveVerdict, PeersWithoutSmc, Reason};
use smc_state::FallbackCount;

use crate::Subject;

/// The version of the form.
pub const STATUS_VERSION: u32 = 1;

/// The status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`STATUS_VERSION`].
    pub version: u32,
    /// The agent.
    pub agent: Agent,
    /// Whether it is ready.
    #[serde(default)]
    pub ready: bool,
    /// Why it is not.
    #[serde(default)]
    pub not_ready_because: Option<String>,
    /// What the last look at the node said.
    #[serde(default)]
    pub node: Option<Node>,
    /// The plugin's entry in the CNI chain.
    pub chain: Chain,
    /// The switch.
    #[serde(default)]
    pub mesh: Mesh,
    /// Attachments of annotated pods.
    #[serde(default)]
    pub pods: Vec<Pod>,
    /// The RDMA devices.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Whether the kernel tells of fallbacks when they happen.
    #[serde(default)]
    pub fallback_events: FallbackEvents,
    /// What became of the Events on pods.
    #[serde(default)]
    pub events: Events,
    /// What is wrong.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// What others took away.
    #[serde(default)]
    pub losses: Vec<Loss>,
}

/// What `smcctl` reads of the status, so that words of an older or newer agent about pods and reasons do not keep it from the rest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Brief {
    /// The agent.
    pub agent: Agent,
    /// Why it is not ready.
    #[serde(default)]
    pub not_ready_because: Option<String>,
    /// The plugin's entry in the CNI chain.
    pub chain: Chain,
    /// The RDMA devices.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// What is wrong.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// What others took away.
    #[serde(default)]
    pub losses: Vec<Loss>,
}

/// The agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Agent {
    /// Its version.
    pub version: String,
    /// The node's name in Kubernetes.
    #[serde(default)]
    pub node_name: Option<String>,
    /// When it started, in seconds since the epoch.
    #[serde(default)]
    pub started: u64,
    /// When this was said, in seconds since the epoch.
    #[serde(default)]
    pub now: u64,
}

/// What the last look at the node said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// `uname -r`.
    pub kernel: String,
    /// Whether nothing keeps all of its pods on TCP.
    pub ready: bool,
    /// What does.
    pub obstacle: Option<Explained>,
}

/// The plugin's entry in the CNI chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Whether the container runtime runs it.
    pub state: ChainState,
    /// Why it does not.
    #[serde(default)]
    pub why: Option<String>,
}

/// Whether the container runtime runs smc-cni for new pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainState {
    /// The agent does not look after the chain.
    Unmanaged,
    /// The entry stands in the files, and the runtime tells nobody what it made of them. CRI-O does not.
    Untold,
    /// The runtime has loaded the entry.
    Loaded,
    /// It has not.
    NotLoaded,
    /// Nobody knows yet; or a state that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl ChainState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unmanaged => "unmanaged",
            Self::Untold => "untold",
            Self::Loaded => "loaded",
            Self::NotLoaded => "not-loaded",
            Self::Unknown => "unknown",
        }
    }
}

/// The switch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mesh {
    /// `--mesh`.
    pub mode: String,
    /// Whether new pods are accelerated.
    pub on: bool,
    /// Whether pods that run are changed accordingly.
    pub repair: bool,
    /// What that follows from, in one word.
    pub reason: String,
    /// The same in words.
    pub why: String,
}

/// An attachment of an annotated pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// The pod's namespace in Kubernetes.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The sandbox's id.
    pub container: String,
    /// The interface.
    pub interface: String,
    /// The id that the record, the logs and the Event share.
    pub id: String,
    /// The verdict, in one word.
    pub verdict: String,
    /// What the kernel showed of its traffic.
    pub live: Option<Live>,
    /// Why it is not set up.
    pub reason: Option<Explained>,
}

/// What the kernel showed of a pod's traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// The live verdict.
    pub verdict: LiveVerdict,
    /// Its reason, by name.
    pub reason: Option<String>,
    /// Since when, in seconds since the epoch.
    pub since: u64,
    /// Connections that became SMC-R.
    pub smcr: u64,
    /// Handshakes that ended in an error.
    pub handshake_errors: u64,
    /// Connections that fell back to TCP.
    pub fallbacks: Vec<FallbackCount>,
    /// Peers that do not speak SMC, and need not.
    pub peers_without_smc: PeersWithoutSmc,
    /// Fallbacks of which it is not known whether they left the node.
    pub unplaced: u64,
}

/// A reason of the table, with what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// Its name.
    pub name: String,
    /// What was seen.
    pub seen: String,
    /// What it means.
    pub meaning: String,
    /// What to do.
    pub remedy: String,
}

impl From<&Reason> for Explained {
    fn from(reason: &Reason) -> Self {
        Self {
            name: reason.name().to_owned(),
            seen: reason.to_string(),
            meaning: reason.meaning().to_owned(),
            remedy: reason.remedy().to_owned(),
        }
    }
}

/// What SMC-R uses of an RDMA device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Device {
    /// The device.
    pub device: String,
    /// Link groups over it.
    #[serde(default)]
    pub link_groups: u64,
    /// Queue pairs that SMC-R has of it.
    #[serde(default)]
    pub queue_pairs: u64,
    /// Queue pairs that it has at all, when it told.
    pub queue_pairs_max: Option<u64>,
}

/// Whether the kernel tells of fallbacks when they happen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FallbackEvents {
    /// Whether it does.
    pub on: bool,
    /// Why not.
    pub why_not: Option<String>,
}

/// What became of the Events on pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Events {
    /// Written.
    pub written: u64,
    /// Not written, since there was newer news of the pod.
    pub superseded: u64,
    /// Dropped.
    pub dropped: u64,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// With what.
    pub subject: Subject,
    /// In words.
    pub problem: String,
}

/// What others took away or changed, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The name in the table of reasons.
    pub reason: String,
    /// How often, since the agent started.
    pub count: u64,
    /// When last, in seconds since the epoch.
    pub last: u64,
    /// What was seen then.
    pub seen: String,
}

#[cfg(test)]
mod tests;
