//! The node's own state decides for its pods.

use e2e::{Kernel, PATIENCE, agent, client, eventually, plugin, shell, start, two_nodes};
use rig::host::{Ending, Node, repository};
use rig::layout::{RDMA_DEVICE, RDMA_NIC};
use smc_model::{ANNOTATION, Reason, Verdict};

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

/// Neither while the switch is off nor without a device is anything made; with both, everything is, at once.
#[test]
fn a_node_with_nothing_to_be_prepared_for_is_only_looked_at() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(2);
    let node = cluster.node(2);
    let annotated = |name: &str| start(&node, &client(name).annotate(ANNOTATION, "true"));
    let mut ended = agent::end(&node, Ending::Terminate);
    agent::uninstall(&node);
    let bare = Kernel(&node).snapshot(&[]);
    let told = agent::dry_run(&node);
    for step in ["converts TCP sockets", "link kubesmc0", "give RDMA port rxe0/1", "add the UEID"] {
        assert!(told.lines().any(|line| line.starts_with("would") && line.contains(step)), "{told}");
    }
    assert_eq!(Kernel(&node).snapshot(&[]), bare, "nothing of that was done");
    ended.start_chained(&["--mesh=disabled"]);
    assert_eq!(Kernel(&node).snapshot(&[]), bare);
    assert_eq!(annotated("switched-off").refused().name(), "SwitchedOff");
    assert_eq!(Kernel(&node).snapshot(&[]), bare);

    let mut ended = agent::end(&node, Ending::Terminate);
    shell(&node, r#"rdma link delete "$1""#, &[RDMA_DEVICE]);
    let plugged = Plugged(&node);
    let bare = Kernel(&node).snapshot(&[]);
    ended.start_chained(&[]);
    assert_eq!(Kernel(&node).snapshot(&[]), bare);
    assert_eq!(annotated("no-device").refused(), Reason::NoRdmaDevice);

    let before = agent::log(&node);
    drop(plugged);
    eventually(PATIENCE, || {
        let seen = shell(&node, "jq -c .facts.ueids /run/kube-smc/node.json", &[]);
        if seen == r#"["SMCV2-DEFAULT-UEID"]"# { Ok(()) } else { Err(format!("the UEIDs are {seen}")) }
    });
    annotated("plugged-in").configured();
    let told = agent::dry_run(&node);
    assert!(told.contains("do nothing: all is in place"), "{told}");
    let log = agent::log(&node);
    let since = log.strip_prefix(&before).unwrap_or(&log);
    assert!(
        !since.contains("somebody took this away"),
        "what is made for the first time was not lost: {since}"
    );
}

/// The node's RDMA device is there again when this is dropped.
struct Plugged<'n, 'a>(&'n Node<'a>);

impl Drop for Plugged<'_, '_> {
    fn drop(&mut self) {
        let script = r#"rdma link add "$1" type rxe netdev "$2""#;
        let added = self.0.exec(&["sh", "-ec", script, "sh", RDMA_DEVICE, RDMA_NIC]);
        let added = added.is_ok_and(|output| output.status.success());
        assert!(added || std::thread::panicking(), "{RDMA_DEVICE} is not there again");
    }
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

/// A second RDMA device with a name of Terway's form; none of it outlives this.
struct SecondDevice<'n, 'a>(&'n Node<'a>);

impl<'n, 'a> SecondDevice<'n, 'a> {
    const CAPABILITIES: &'static str = "/run/eni/node_capabilities";

    fn of(node: &'n Node<'a>) -> Self {
        let make = r#"
            ip link add terwaytest0 type dummy
            ip address add 198.51.100.1/24 dev terwaytest0
            ip link set terwaytest0 up
            rdma link add rxe_7 type rxe netdev terwaytest0
            mkdir -p "$(dirname "$1")"
            if [ -e "$1" ]; then cp "$1" "$1.kept"; fi"#;
        shell(node, make, &[Self::CAPABILITIES]);
        Self(node)
    }

    /// Waits until the doctor tells this of its PNETID.
    #[track_caller]
    fn has(&self, told: &str) {
        let smcctl = repository().join("target/dist/smcctl").display().to_string();
        eventually(PATIENCE, || {
            let doctor = shell(self.0, r#""$1" doctor || :"#, &[&smcctl]);
            if doctor.contains(&format!("rxe_7/1 {told}")) { Ok(()) } else { Err(doctor) }
        });
    }
}

impl Drop for SecondDevice<'_, '_> {
    fn drop(&mut self) {
        let undo = r#"
            rm -f "$1"
            if [ -e "$1.kept" ]; then mv "$1.kept" "$1"; fi
            rdma link delete rxe_7
            ip link delete terwaytest0"#;
        let _ = self.0.exec(&["sh", "-c", undo, "sh", Self::CAPABILITIES]);
    }
}

/// Terway leaves a device that has a PNETID as it is, and gives its pods the one that it would have given: they would have no SMC.
#[test]
fn when_terway_begins_to_manage_rdma_devices_a_port_gets_the_id_that_terways_pods_look_for() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(2);
    let node = cluster.node(2);
    let device = SecondDevice::of(&node);
    let mac = shell(&node, "tr -d : </sys/class/net/terwaytest0/address | tr a-f A-F", &[]);
    device.has(&format!("{mac} (set by smc-agent)"));
    shell(&node, r#"echo "erdma = true" >"$1""#, &[SecondDevice::CAPABILITIES]);
    device.has("7 (set by smc-agent)");
    let log = agent::log(&node);
    assert!(log.contains(&format!(
        "gave RDMA port rxe_7/1 the PNETID 7, by which Terway's pods look for it, instead of {mac}"
    )));
    let blamed = |line: &&str| line.contains("rxe_7/1") && line.contains("WARN");
    assert_eq!(log.lines().filter(blamed).collect::<Vec<_>>(), [""; 0]);
}
