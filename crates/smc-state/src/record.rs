//! The record of one attachment of an annotated pod.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use smc_model::{NetnsCookie, NetnsId, Owned, Plan, Verdict};

use crate::AttachmentId;

/// The version of the format that this code writes and reads.
pub const RECORD_VERSION: u32 = 1;

/// What was done, or not done and why, for one attachment of an annotated pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Format version.
    pub version: u32,
    /// How far it is.
    pub phase: Phase,
    /// Correlates this record with log lines and events.
    pub id: String,
    /// The CNI network's name.
    pub network: String,
    /// Whose record it is.
    pub attachment: AttachmentId,
    /// The pod in Kubernetes' words.
    pub pod: PodName,
    /// The path by which the runtime named the namespace.
    pub netns: PathBuf,
    /// The namespace's identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns_id: Option<NetnsId>,
    /// The namespace's cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<NetnsCookie>,
    /// What became of it; absent while it is an intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The verdict's reason in words, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub seen: String,
    /// What to do about it, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// What was planned.
    #[serde(default)]
    pub plan: Plan,
    /// What is ours in the host's kernel.
    #[serde(default)]
    pub owned: Owned,
    /// How long each phase took.
    #[serde(default)]
    pub timings: Vec<StepTiming>,
    /// When it was begun, in milliseconds since the epoch.
    pub started_ms: u64,
    /// When the pod was set up while it was running already, in milliseconds since the epoch; absent for a pod that was
    /// set up when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired_ms: Option<u64>,
    /// Fields of newer versions, kept when the record is rewritten.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// How far a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Written before the first kernel change: some of the plan may have been done.
    Intent,
    /// The verdict stands.
    Settled,
    /// The attachment was deleted; the agent sweeps it.
    Tombstone,
}

/// The pod in Kubernetes' words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PodName {
    /// Namespace.
    #[serde(default)]
    pub namespace: String,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// UID.
    #[serde(default)]
    pub uid: String,
}

/// As `kubectl` writes it.
impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// How long one phase of the work took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTiming {
    /// The phase: `observe`, `apply`, …
    pub phase: String,
    /// Microseconds.
    pub us: u64,
}

impl Record {
    /// Whether the attachment still lives.
    pub fn is_live(&self) -> bool {
        self.phase != Phase::Tombstone
    }
}
