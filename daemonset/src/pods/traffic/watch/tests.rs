use std::sync::Arc;

use smc_model::{Binding, Ipv4Net, Owned, Plan, RdmaNetdev, RdmaPort};
use smc_state::{Record, Store};
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::pods::repair::LostPods;
use crate::surfaces::Announcer;
use crate::surfaces::kubernetes::announcement::Announcement;
use crate::testing::test_values;

fn watch() -> (Watch, Receiver<Announcement>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let board = test_values::board();
    let (announcer, events) = Announcer::to(board.clone());
    let tools = Tools { store: Store::new(dir.path()), board, announcer, lost: LostPods::default() };
    (Watch::new(tools), events, dir)
}

fn record() -> Record {
    let (interface, device) = ("eth0".to_owned(), "rxe0".to_owned());
    let binding = Binding { interface, device, port: 1, pnetid: "A".parse().unwrap() };
    Record {
        plan: Plan { bindings: vec![binding], ..Plan::default() },
        owned: Owned { guarded: [[10, 0, 0, 21].into()].into(), ..Owned::default() },
        ..test_values::record("web-1", Verdict::Configured)
    }
}

fn seen(record: Record) -> Change {
    Change::Seen(Arc::new(record))
}

/// A node whose port bears this PNETID and is in this subnet.
fn node(pnetid: &str, net: &str) -> NodeFacts {
    let addresses: Vec<Ipv4Net> = vec![net.parse().unwrap()];
    let netdev = Some(RdmaNetdev { index: 2, name: "eri0".into(), addresses });
    let pnetid = Some(pnetid.parse().unwrap());
    let port = RdmaPort { device: "rxe0".into(), port: 1, active: true, pnetid, netdev, pods: 0 };
    test_values::node(vec![port])
}

fn reasons(announced: &mut Receiver<Announcement>) -> Vec<(&'static str, &'static str)> {
    std::iter::from_fn(|| announced.try_recv().ok()).map(|told| (told.reason, told.topic)).collect()
}

#[test]
fn what_is_known_of_a_pod_outlasts_being_set_up_again() {
    let (mut watch, mut announced, _dir) = watch();
    watch.record_changed(seen(record()));
    watch.node_is(node("A", "192.168.7.1/24"));
    assert_eq!(reasons(&mut announced), [("SMCDegraded", "NoDeviceInSubnet")]);
    watch.record_changed(seen(Record { phase: Phase::Intent, verdict: None, ..record() }));
    watch.record_changed(seen(record()));
    assert!(watch.pods.values().all(|pod| pod.live.verdict().is_degraded()));
    assert_eq!(watch.pods.len(), 1);
    watch.record_changed(seen(Record { phase: Phase::Tombstone, ..record() }));
    assert!(watch.pods.is_empty());
}

#[test]
fn a_port_that_others_named_anew_is_told_at_once_and_degrades_nothing_that_is_set_up_again() {
    let (mut watch, mut announced, _dir) = watch();
    watch.record_changed(seen(record()));
    watch.node_is(node("B", "10.0.0.1/24"));
    assert_eq!(reasons(&mut announced), [("ForeignPnetid", "")]);
    assert!(watch.pods.values().all(|pod| !pod.live.verdict().is_degraded()));
    watch.node_is(node("A", "10.0.0.1/24"));
    assert_eq!(reasons(&mut announced), []);
    // Somebody took it away, and the agent gave it its own.
    watch.tools.board.node_lost(Reason::PnetidMissing { port: "rxe0/1".into() });
    watch.node_is(node("C", "10.0.0.1/24"));
    assert_eq!(reasons(&mut announced), [("PnetidMissing", "")]);
}
