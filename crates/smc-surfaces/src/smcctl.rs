//! What `smcctl --json` prints of a node and its pods.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use smc_model::reasons::Entry;

use crate::facts::SmcPort;
use crate::status::ChainState;

/// Text that is the program's own where it is written.
pub type Text = Cow<'static, str>;

/// `smcctl status`: the node at a glance. What another version does not tell is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Whether annotated pods are accelerated here.
    pub accelerates: bool,
    /// Why they are not.
    pub obstacle: Option<Obstacle>,
    /// How many annotated pods have each verdict.
    pub pods: BTreeMap<Text, u64>,
    /// `uname -r`.
    pub kernel: String,
    /// The RDMA ports that SMC knows.
    pub ports: Vec<SmcPort>,
    /// The node's enterprise ids.
    pub ueids: Vec<String>,
    /// How many link groups there are.
    pub link_groups: u64,
    /// Connections in them.
    pub connections: u64,
    /// The agent; `None` when it does not answer.
    pub agent: Option<AgentState>,
    /// The plugin's entry in the CNI chain.
    pub chain: NodeChain,
    /// How many problems the doctor finds.
    pub problems: usize,
}

/// Why no pod is accelerated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// Its name in the table of reasons.
    pub name: Text,
    /// What was seen.
    pub seen: String,
    /// What to do.
    pub remedy: Text,
}

/// The agent, at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentState {
    /// Its version.
    pub version: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Why it is not.
    pub not_ready_because: Option<String>,
}

/// The plugin's entry in the CNI chain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeChain {
    /// Where it stands.
    pub entry: Option<String>,
    /// Whether the runtime runs it; `None` where no agent tells.
    pub state: Option<ChainState>,
}

/// `smcctl pods`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pods {
    /// A row for each attachment.
    pub pods: Vec<PodRow>,
}

/// An attachment of an annotated pod, and what its connections became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodRow {
    /// The pod's namespace in Kubernetes.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The interface.
    pub interface: String,
    /// Device and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Their PNETID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pnetid: Option<String>,
    /// `configured`, `active`, `degraded`, `needs-restart`, `refused`, or `being-set-up`.
    pub verdict: Text,
    /// Connections that became SMC-R since the pod's namespace was made.
    pub smc_r: u64,
    /// Connections that fell back to TCP.
    pub tcp: u64,
    /// The refusal's reason, what is wrong now, or the most frequent fallback's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_reason: Option<TopReason>,
    /// Why the traffic could not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// Fallbacks of which it is not known whether they left the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unplaced: Option<u64>,
}

/// Why most of it is TCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopReason {
    /// Its name in the table of reasons.
    pub name: Text,
    /// The kernel's code, where it is the kernel's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// How many connections it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
}

/// `smcctl doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Doctor {
    /// What all of them come to, and the exit code says.
    pub status: Status,
    /// Its lines.
    pub checks: Vec<Check>,
}

/// What a command's exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// 0
    Fine,
    /// 1: a problem was found.
    Problem,
    /// 2: it could not be looked at.
    #[default]
    CouldNotLook,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// One line of the doctor's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// The name in the table of reasons, for a problem and for what a person should know although it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// What to do, for a problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Text>,
}

impl Check {
    /// It is as it should be.
    pub fn fine(name: &str, seen: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Fine, seen: seen.into(), reason: None, fix: None }
    }

    /// Nothing is wrong, but it is of a kind that has a name in the table of reasons.
    pub fn note(name: &str, reason: &'static str, seen: impl Into<String>) -> Self {
        Self { state: State::Note, reason: Some(reason.into()), ..Self::fine(name, seen) }
    }

    /// It could not be looked at.
    pub fn unknown(name: &str, seen: impl Into<String>) -> Self {
        Self { state: State::Unknown, ..Self::fine(name, seen) }
    }

    /// It is wrong, for a reason of the table, whose remedy is told.
    pub fn problem(name: &str, reason: &'static Entry, seen: impl Into<String>) -> Self {
        Self {
            state: State::Problem,
            reason: Some(reason.name.into()),
            fix: Some(reason.remedy.into()),
            ..Self::fine(name, seen)
        }
    }
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Fine,
    /// Nothing wrong, and to be known all the same.
    Note,
    /// Not as it should be.
    Problem,
    /// It could not be looked at.
    Unknown,
}
