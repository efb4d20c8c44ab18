//! The committed table of faults, `tests/faults.json`: what is done, and what must be reported.

use std::collections::BTreeSet;

use rig::host::Conversion;
use serde::Deserialize;

use super::sighting::Place;

/// The text of the table.
const TABLE: &str = include_str!("../../../faults.json");

/// The whole table.
#[derive(Debug, Clone, Deserialize)]
pub struct Table {
    /// The faults in the order in which they are run.
    pub faults: Vec<Fault>,
}

/// One fault.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Its name on the command line.
    pub name: String,
    /// The fault in the words of the specification.
    pub issue: String,
    /// Which rig it needs.
    pub boot: Boot,
    /// The node that has the fault; its peer is the other one.
    #[serde(default)]
    pub node: u8,
    /// What is done.
    pub done: String,
    /// The reasons that must be reported: exactly these.
    pub expected: BTreeSet<String>,
    /// Where one of them must be seen.
    #[serde(rename = "where")]
    pub places: BTreeSet<Place>,
    /// What the other node may say of it.
    #[serde(default)]
    pub peer: Option<Peer>,
    /// What is expected instead on nodes that convert by the sysctl.
    #[serde(default)]
    pub sysctl: Option<OnSysctl>,
    /// How it is injected.
    pub how: How,
    /// The test of a recorded fault.
    #[serde(default)]
    pub test: Option<RecordedTest>,
    /// Another fault whose reason is the same, because nobody could tell them apart.
    #[serde(default)]
    pub indistinguishable_from: Option<String>,
    /// Why it cannot be told from another one, or why the rig cannot inject it.
    #[serde(default)]
    pub why: Option<String>,
    /// What else there is to know.
    #[serde(default)]
    pub note: Option<String>,
}

/// What the node without the fault may say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Reasons that it may report of the same connections.
    pub may_say: BTreeSet<String>,
    /// Why it cannot know better.
    pub why: String,
}

/// What is expected of agents on nodes that convert by the sysctl: they take the kernel for Alibaba's, and judge by counters
/// alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnSysctl {
    /// The reasons that must be reported: exactly these.
    pub expected: BTreeSet<String>,
    /// Where one of them must be seen.
    #[serde(rename = "where")]
    pub places: BTreeSet<Place>,
    /// What the other node may say of it.
    #[serde(default)]
    pub peer: Option<Peer>,
    /// Why they cannot know as much.
    pub why: String,
}

/// A rig.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boot {
    /// Two nodes with Linux 6.12 and traffic between them.
    TwoNodes,
    /// One node with Linux 6.12 and no pods.
    OneNode,
    /// One node with Linux 6.1.
    OldKernel,
    /// None.
    None,
}

/// How a fault is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// In the real rig.
    Rig,
    /// By a test over recorded facts.
    Recorded,
}

/// A test of this workspace.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedTest {
    /// The package.
    pub package: String,
    /// The file it stands in, from the repository's root.
    pub file: String,
    /// The name of its function.
    pub name: String,
}

impl Fault {
    /// The reasons that must be reported, and where.
    pub fn expects(&self, nodes: Conversion) -> (&BTreeSet<String>, &BTreeSet<Place>) {
        match (&self.sysctl, nodes) {
            (Some(other), Conversion::Sysctl) => (&other.expected, &other.places),
            (None, Conversion::Sysctl) | (_, Conversion::Bpf) => (&self.expected, &self.places),
        }
    }

    /// What the node without the fault may say.
    pub fn peer(&self, nodes: Conversion) -> Option<&Peer> {
        let other = self.sysctl.as_ref().filter(|_| nodes == Conversion::Sysctl);
        other.and_then(|other| other.peer.as_ref()).or(self.peer.as_ref())
    }
}

impl Table {
    /// The committed one.
    pub fn committed() -> Self {
        serde_json::from_str(TABLE).expect("tests/faults.json is a table of faults")
    }

    /// The fault of this name.
    pub fn fault(&self, name: &str) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.name == name)
    }
}

#[cfg(test)]
mod tests;
