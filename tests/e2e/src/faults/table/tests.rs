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
                    assert!(source.contains(&format!("\"{name}\"")), "{} does not name {name}", test.file);
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
