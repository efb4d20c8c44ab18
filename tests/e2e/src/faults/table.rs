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
mod tests {
    use std::fs;

    use rig::host::repository;
    use smc_model::reasons;

    use super::*;
    use crate::faults::script;

    /// The specification's list.
    const FAULTS: [&str; 27] = [
        "no UEID",
        "UEIDs that differ between nodes",
        "no PNETID on the device",
        "PNETID differing between pod and device",
        "PNETID differing between the two nodes where that matters",
        "device port down",
        "RDMA device unplugged while pods run, and back",
        "RDMA netns mode exclusive",
        "smc module missing",
        "smc_diag missing",
        "kernel without conversion",
        "conversion switched off by someone after ADD",
        "PNET entry deleted after ADD",
        "RDMA netdev in another subnet than the pods",
        "peer not annotated",
        "peer's agent off",
        "client on an IPv6 socket",
        "application using TCP_FASTOPEN or another option that forces fallback",
        "a middlebox that strips option 254",
        "host-network pod annotated",
        "annotation misspelt",
        "annotation \"True\"",
        "an annotated pod has a bandwidth limit",
        "conf entry lost",
        "runtime has not loaded the entry",
        "QP limit reached",
        "a foreign PNETID set by another manager",
    ];

    #[test]
    fn the_table_has_every_fault_of_the_specification_once() {
        let table = Table::committed();
        let told: BTreeSet<&str> = table.faults.iter().map(|fault| fault.issue.as_str()).collect();
        assert_eq!(told, FAULTS.into_iter().collect());
        let names: BTreeSet<&str> = table.faults.iter().map(|fault| fault.name.as_str()).collect();
        assert_eq!((names.len(), table.faults.len()), (FAULTS.len(), FAULTS.len()));
    }

    #[test]
    fn every_name_in_the_table_is_in_the_table_of_reasons() {
        for fault in Table::committed().faults {
            for nodes in [Conversion::Bpf, Conversion::Sysctl] {
                let at_peer = fault.peer(nodes).into_iter().flat_map(|peer| &peer.may_say);
                for name in fault.expects(nodes).0.iter().chain(at_peer) {
                    assert!(reasons::by_name(name).is_some(), "{}: no reason is called {name}", fault.name);
                }
            }
        }
    }

    #[test]
    fn every_fault_of_the_rig_has_a_script_and_every_recorded_one_a_test_that_exists() {
        for fault in Table::committed().faults {
            match (fault.how, &fault.test) {
                (How::Rig, None) => {
                    assert!(script(&fault.name).is_some(), "{} has no script", fault.name);
                    assert!([1, 2].contains(&fault.node) && fault.boot != Boot::None, "{}", fault.name);
                }
                (How::Recorded, Some(test)) => {
                    let source = fs::read_to_string(repository().join(&test.file)).unwrap();
                    let function = format!("#[test]\nfn {}()", test.name);
                    assert!(source.contains(&function), "{} has no test {}", test.file, test.name);
                    for name in &fault.expected {
                        assert!(
                            source.contains(&format!("\"{name}\"")),
                            "{} does not name {name}",
                            test.file
                        );
                    }
                    assert!(fault.why.is_some(), "{} does not say why the rig cannot", fault.name);
                }
                (how, test) => panic!("{}: {how:?} with {test:?}", fault.name),
            }
        }
    }

    #[test]
    fn what_is_expected_must_be_seen_somewhere_and_what_cannot_be_told_apart_says_why() {
        let table = Table::committed();
        for fault in &table.faults {
            for nodes in [Conversion::Bpf, Conversion::Sysctl] {
                let (expected, places) = fault.expects(nodes);
                assert_eq!(expected.is_empty(), places.is_empty(), "{} {nodes:?}", fault.name);
                if let Some(peer) = fault.peer(nodes) {
                    assert!(!peer.why.is_empty() && peer.may_say.is_disjoint(expected), "{}", fault.name);
                }
            }
            if let Some(other) = &fault.sysctl {
                let same = (&other.expected, &other.places) == (&fault.expected, &fault.places);
                assert!(!same && !other.why.is_empty(), "{}", fault.name);
            }
            if fault.expected.is_empty() {
                assert!(fault.note.is_some(), "{} does not say why nothing is expected", fault.name);
            }
            let other = fault.indistinguishable_from.as_ref().map(|other| table.fault(other).unwrap());
            assert!(other.is_none() || fault.why.is_some(), "{}", fault.name);
        }
    }
}
