use serde_json::json;

use super::*;
use crate::board::NodeCheck;
use crate::testing::fake_api::{AtOnce, FakeApi, Reply, eventually};
use crate::testing::test_values;

/// With the columns of Kubernetes 1.34; the real table is what the scene `neighbours-by-services` runs on.
fn table() -> Value {
    let columns = [
        "Name",
        "Status",
        "Roles",
        "Age",
        "Version",
        "Internal-IP",
        "External-IP",
        "OS-Image",
        "Kernel-Version",
        "Container-Runtime",
    ];
    let row = |name: &str, internal: &str, external: &str| json!({"cells": [name, "Ready", "<none>", "5m", "v1.34.2", internal, external, "Debian", "6.12", "containerd"]});
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "columnDefinitions": columns.map(|name| json!({"name": name, "type": "string", "priority": 0})),
        "rows": [row("node1", "10.0.0.11", "<none>"), row("node2", "10.0.0.12", "203.0.113.7"), row("node3", "fd00::13", "<none>")],
    })
}

/// Of a node that pods are accelerated on.
fn usable() -> Board {
    let board = test_values::board();
    board.update(|view| view.node = Some(NodeCheck { kernel: String::new(), obstacle: None }));
    board
}

fn addresses(all: &[&str]) -> BTreeSet<IpAddr> {
    all.iter().map(|address| address.parse().unwrap()).collect()
}

#[test]
fn every_address_of_the_table_is_read_and_none_is_no_address() {
    let read: Table = serde_json::from_value(table()).unwrap();
    let expected = addresses(&["10.0.0.11", "10.0.0.12", "203.0.113.7", "fd00::13"]);
    assert_eq!(read.addresses(), Some(expected));
    let other: Table = serde_json::from_value(json!({"columnDefinitions": [{"name": "Name"}]})).unwrap();
    assert_eq!(other.addresses(), None, "not: no node has any");
}

#[tokio::test]
async fn one_cheap_list_is_asked_for_and_what_it_has_is_sent() {
    let api = FakeApi::start(|_, _| Reply::json(&table())).await;
    let (sender, mut receiver) = watch::channel(None);
    let (source, board) = (Source::Kubeconfig(api.kubeconfig()), usable());
    let told = board.clone();
    let _task = tokio::spawn(async move { follow(&source, &told, AtOnce, &sender).await });
    receiver.changed().await.unwrap();
    assert_eq!(receiver.borrow().as_ref().map(BTreeSet::len), Some(4));
    let seen = api.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    for part in ["resourceVersion=0", "includeObject=None"] {
        assert!(seen[0].query.contains(part), "{seen:?}");
    }
}

#[tokio::test]
async fn without_the_right_nothing_is_wrong_and_what_was_known_stays() {
    let api = FakeApi::start(|_, _| Reply::status(403, "Forbidden")).await;
    let known = Some(addresses(&["10.0.0.11"]));
    let (sender, receiver) = watch::channel(known.clone());
    let (source, board) = (Source::Kubeconfig(api.kubeconfig()), usable());
    let told = board.clone();
    let _task = tokio::spawn(async move { follow(&source, &told, AtOnce, &sender).await });
    eventually("a request", || (!api.seen().is_empty()).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(*receiver.borrow(), known);
    assert!(board.read(|view| view.problems.of(&SUBJECT).is_none()));
}
