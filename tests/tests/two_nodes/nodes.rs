//! The node's own state decides for its pods.

use rig_tests::{PATIENCE, client, eventually, plugin, shell, start, two_nodes};
use smc_model::{ANNOTATION, Reason, Verdict};
use xtask::layout::RDMA_NIC;
use xtask::rig::Node;

#[test]
fn while_the_rdma_port_is_down_pods_start_on_tcp() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(2);
    let node = cluster.node(2);
    let down = Down::of(&node);
    let pod = start(&node, &client("unplugged").annotate(ANNOTATION, "true"));
    let reason = pod.refused();
    assert!(matches!(&reason, Reason::RdmaPortDown { port } if port == "rxe0/1"), "{reason:?}");
    assert_eq!(pod.record().owned, smc_model::Owned::default());
    published(&node, "false");

    drop(down);
    published(&node, "true");
    eventually(PATIENCE, || {
        plugin::add(&pod);
        let record = pod.record();
        if record.verdict == Some(Verdict::Configured) { Ok(()) } else { Err(record.seen) }
    });
}

/// Waits until the agent has published whether the node's RDMA port is active.
fn published(node: &Node<'_>, active: &str) {
    eventually(PATIENCE, || {
        let seen = shell(node, "jq .facts.ports[0].active /run/kube-smc/node.json", &[]);
        if seen == active { Ok(()) } else { Err(format!("the RDMA port's active is {seen}")) }
    });
}

/// The node's RDMA NIC is down until this is dropped.
struct Down<'n, 'a> {
    node: &'n Node<'a>,
    routes: String,
}

impl<'n, 'a> Down<'n, 'a> {
    /// Keeps in mind which routes go with it.
    fn of(node: &'n Node<'a>) -> Self {
        let routes = shell(node, r#"ip -4 route show dev "$1" | grep via"#, &[RDMA_NIC]);
        shell(node, r#"ip link set "$1" down"#, &[RDMA_NIC]);
        Self { node, routes }
    }
}

impl Drop for Down<'_, '_> {
    fn drop(&mut self) {
        let script =
            r#"ip link set "$1" up; echo "$2" | while read -r route; do ip route add $route dev "$1"; done"#;
        let restored = self.node.exec(&["sh", "-ec", script, "sh", RDMA_NIC, &self.routes]);
        let restored = restored.is_ok_and(|output| output.status.success());
        assert!(restored || std::thread::panicking(), "{RDMA_NIC} is not what it was");
    }
}
