//! Faults of a node: enterprise ids, PNETIDs, the RDMA device and its network.

use rig::host::Node;
use rig::layout::{RDMA_DEVICE, RDMA_NIC};

use super::stage::{Stage, Undo, annotated};
use super::watch::Watch;
use crate::{Kernel, PATIENCE, client, eventually, shell, start};

const HOST: &str = "/proc/1/ns/net";
const UEID: &str = "SMCV2-DEFAULT-UEID";
const FOREIGN: &str = "FOREIGN";

pub(super) fn no_ueid(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let node = stage.node(2);
    let _ended = stage.end_agent(2);
    watch.set_apart();
    watch.begin();
    Kernel(node).remove_ueid(UEID);
    watch.until_named();
}

pub(super) fn ueids_differ(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    const OTHER: &str = "FAULTS-OTHER-UEID";
    let node = stage.node(2);
    let mut ended = stage.end_agent(2);
    Kernel(node).remove_ueid(UEID);
    // The node never had the id: nothing was made here that could be missed.
    let forget = || {
        shell(node, r#"jq '.ueids = []' "$1" >"$1.new" && mv "$1.new" "$1""#, &["/run/kube-smc/made.json"])
    };
    forget();
    let _undo = Undo(|| {
        let _ended = stage.end_agent(2);
        Kernel(node).remove_ueid(OTHER);
        forget();
    });
    ended.start_as(|agent| agent.with_environment("SMC_AGENT_UEID", OTHER));
    watch.begin();
    watch.until_named();
}

pub(super) fn no_pnetid_on_device(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let node = stage.node(2);
    let pnetid = port_pnetid(node);
    let _ended = stage.end_agent(2);
    watch.set_apart();
    watch.begin();
    Kernel(node).drop_pnetid(HOST, &pnetid);
    watch.until_named();
}

pub(super) fn pnetids_differ_between_nodes(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let [one, two] = [1, 2].map(|number| port_pnetid(stage.node(number)));
    assert_ne!(one, two, "the rig's two nodes have the same PNETID");
    let smcr = || rig::counters::Counters::of(stage.client()).map(|counters| counters.client.smcr);
    let before = smcr().unwrap();
    watch.begin();
    watch.until_named();
    let after = smcr().unwrap();
    assert!(after > before, "no connection became SMC-R: {before} before, {after} now");
}

pub(super) fn foreign_pnetid(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let node = stage.node(2);
    let ours = port_pnetid(node);
    let _undo = Undo(|| Kernel(node).drop_pnetid(HOST, FOREIGN));
    watch.begin();
    // The agent gives the port its id again as soon as it sees it without.
    eventually(PATIENCE, || {
        Kernel(node).drop_pnetid(HOST, &ours);
        let script = r#"exec "$1" set-port "$2" "$3""#;
        let program = rig::host::repository().join("target/debug/node-state").display().to_string();
        let set = node.exec(&["sh", "-c", script, "sh", &program, RDMA_DEVICE, FOREIGN]).unwrap();
        if set.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&set.stderr).into_owned()) }
    });
    watch.until_named();
}

/// The PNETID of the node's RDMA port.
#[track_caller]
fn port_pnetid(node: &Node<'_>) -> String {
    let table = Kernel(node).pnet_table(HOST);
    let prefix = format!("port {RDMA_DEVICE}/1 ");
    let id = table.lines().find_map(|line| line.strip_prefix(&prefix));
    id.unwrap_or_else(|| panic!("node {}: {table}", node.number())).to_owned()
}

pub(super) fn port_down(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let node = stage.node(2);
    // They go with the link.
    let routes = shell(node, r#"ip -4 route show dev "$1" | grep via"#, &[RDMA_NIC]);
    let script =
        r#"ip link set "$1" up; echo "$2" | while read -r route; do ip route replace $route dev "$1"; done"#;
    let _undo = Undo(|| drop(shell(node, script, &[RDMA_NIC, &routes])));
    watch.begin();
    shell(node, r#"ip link set "$1" down"#, &[RDMA_NIC]);
    watch.until_named();
}

pub(super) fn device_unplugged(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let node = stage.node(2);
    let script = r#"rdma link add "$1" type rxe netdev "$2""#;
    let _undo = Undo(|| drop(shell(node, script, &[RDMA_DEVICE, RDMA_NIC])));
    watch.begin();
    shell(node, r#"rdma link delete "$1""#, &[RDMA_DEVICE]);
    watch.until_named();
}

pub(super) fn other_subnet(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let node = stage.node(2);
    let address = node.ip().to_string();
    // Whether the link has a carrier is none of theirs.
    let routes = || shell(node, r#"ip -4 route show dev "$1" | sed "s/ linkdown//" | sort"#, &[RDMA_NIC]);
    let before = routes();
    // The node keeps its address, without a subnet, so that packets find their way.
    let harm = r#"ip address add 10.77.0.12/24 dev "$1"
        ip address add "$2/32" dev "$1"
        ip address del "$2/16" dev "$1"
        ip route replace 10.0.0.0/16 dev "$1" src "$2"
        ip route replace 10.0.1.0/24 via 10.0.0.11 dev "$1""#;
    // In this order: the kernel drops the GID of an address that is taken away although another mask of it stays.
    let mend = r#"ip address del "$2/32" dev "$1"
        ip address add "$2/16" dev "$1"
        ip address del 10.77.0.12/24 dev "$1"
        ip route replace 10.0.1.0/24 via 10.0.0.11 dev "$1""#;
    {
        let _undo = Undo(|| drop(shell(node, mend, &[RDMA_NIC, &address])));
        watch.begin();
        shell(node, harm, &[RDMA_NIC, &address]);
        let _pod = start(node, &annotated(client("faults-outside")));
        watch.until_named();
    }
    assert_eq!(routes(), before, "the node's routes are not what they were");
}
