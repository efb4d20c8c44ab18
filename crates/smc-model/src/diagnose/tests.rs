mod properties;

use proptest::prelude::*;

use super::*;
use crate::KernelFamily;
use crate::{
    Anchor, Conversion, Datapath, Guard, Ipv4Net, Kernel, RdmaNetdev, RdmaNetnsMode, RdmaPort, Switch,
};

const TWO: [&str; 2] = ["rxe0", "rxe1"];

fn node(ports: Vec<RdmaPort>) -> NodeFacts {
    NodeFacts {
        kernel: Kernel { release: "6.12".into(), family: KernelFamily::Mainline },
        smc_loaded: true,
        smc_missing: None,
        syn_option: None,
        smc_module: None,
        conversion: Conversion::Bpf { map: "/map".into(), protocol: 256 },
        rdma_netns_mode: RdmaNetnsMode::Shared,
        ports,
        ueids: vec!["SMCV2-DEFAULT-UEID".parse().unwrap()],
        guard: Guard::Ready,
        guard_pins: Some("/pins".into()),
        inbound: crate::Inbound::Any,
        refused_defects: Vec::new(),
        anchor: Anchor::Ready { index: 3 },
        datapath: Datapath::Netfilter,
        switch: Switch::On,
        only_looked_at: false,
    }
}

fn port(device: &str, active: bool, pnetid: Option<&str>, net: &str) -> RdmaPort {
    let pnetid = pnetid.map(|id| id.parse().unwrap());
    let addresses: Vec<Ipv4Net> = net.parse().into_iter().collect();
    let netdev = Some(RdmaNetdev { index: 2, name: "eth1".into(), addresses });
    RdmaPort { device: device.into(), port: 1, active, pnetid, netdev, pods: 0 }
}

fn healthy_port() -> RdmaPort {
    port("rxe0", true, Some("A"), "10.0.0.1/24")
}

fn binding(device: &str, pnetid: &str) -> Binding {
    Binding { interface: "eth0".into(), device: device.into(), port: 1, pnetid: pnetid.parse().unwrap() }
}

fn plan() -> Plan {
    Plan { bindings: vec![binding("rxe0", "A")], ..Plan::default() }
}

fn addresses() -> BTreeSet<Ipv4Addr> {
    [Ipv4Addr::new(10, 0, 0, 21)].into()
}

fn failed(side: Side, code: u32) -> Failure {
    Failure::Fallback { code, peer_diagnosis: 0, ipv6_socket: false, side: Some(side) }
}

fn declined(by: u32) -> Failure {
    Failure::Fallback { code: DECLINED, peer_diagnosis: by, ipv6_socket: false, side: Some(Side::Client) }
}

fn from_ipv6(side: Side) -> Failure {
    Failure::Fallback { code: NO_DEVICE, peer_diagnosis: 0, ipv6_socket: true, side: Some(side) }
}

/// The name of the fault that is found when `change` was made to a pod in good order.
fn named(failure: Failure, change: impl FnOnce(&mut NodeFacts, &mut Vec<Reason>)) -> Option<&'static str> {
    let (mut facts, mut lost) = (node(vec![healthy_port()]), Vec::new());
    change(&mut facts, &mut lost);
    let known = Known {
        node: &facts,
        plan: &plan(),
        addresses: &addresses(),
        lost: &lost,
        restored: &[],
        queue_pairs: &[],
    };
    diagnose(&failure, &known).map(|reason| reason.name())
}

#[test]
fn each_fault_of_the_node_is_named_on_the_side_where_it_is() {
    let on = |change: fn(&mut NodeFacts)| {
        let sides = [failed(Side::Client, NO_DEVICE), failed(Side::Server, NO_SMCR_DEVICE)];
        let [client, server] = sides.map(|failure| named(failure, |node, _| change(node)));
        assert_eq!(client, server);
        client.unwrap()
    };
    assert_eq!(on(|node| node.ports.clear()), "NoRdmaDevice");
    assert_eq!(on(|node| node.ports[0].active = false), "RdmaPortDown");
    assert_eq!(on(|node| node.ports[0].pnetid = None), "PnetidMissing");
    assert_eq!(on(|node| node.ports[0].pnetid = "B".parse().ok()), "ForeignPnetid");
    assert_eq!(on(|node| node.ports[0] = port("rxe9", true, Some("B"), "10.0.0.1/24")), "RdmaDeviceGone");
    assert_eq!(on(|node| node.ports[0] = port("rxe0", true, Some("A"), "10.9.0.1/24")), "NoDeviceInSubnet");
    assert_eq!(on(|node| node.rdma_netns_mode = RdmaNetnsMode::Exclusive), "RdmaNetnsExclusive");
    for side in [Side::Client, Side::Server] {
        assert_eq!(named(failed(side, NO_DEVICE), |node, _| node.ueids.clear()), Some("NoUeid"));
    }
}

#[test]
fn a_device_of_another_name_that_bears_the_pods_pnetid_serves_it_too() {
    let found = named(failed(Side::Client, TIMEOUT), |node, _| node.ports[0].device = "rxe9".into());
    assert_eq!(found, None);
}

#[test]
fn what_was_taken_from_the_pod_is_named() {
    let pnetid: PnetId = "A".parse().unwrap();
    let gone = Reason::PnetidLost { interface: "eth0".into(), pnetid };
    let anchor = Reason::SourceAnchorMissing { why: "x".into() };
    let lost = |failure, reason: &Reason| named(failure, |_, lost| lost.push(reason.clone()));
    assert_eq!(lost(failed(Side::Client, NO_DEVICE), &gone), Some("PnetidLost"));
    assert_eq!(lost(failed(Side::Server, NO_SMCR_DEVICE), &anchor), Some("SourceAnchorMissing"));
    assert_eq!(lost(failed(Side::Client, NO_DEVICE), &anchor), None, "a client needs none");
    assert_eq!(lost(failed(Side::Client, NO_DEVICE), &Reason::ConversionLost), None, "it gives no code");
}

#[test]
fn nodes_without_a_common_ueid_are_told_on_both_sides() {
    assert_eq!(named(failed(Side::Server, NO_DEVICE), |_, _| {}), Some("UeidsDiffer"));
    assert_eq!(named(declined(NO_DEVICE), |_, _| {}), Some("UeidsDiffer"));
    assert_eq!(named(failed(Side::Server, NO_SMCR_DEVICE), |_, _| {}), None);
    assert_eq!(named(declined(NO_SMCR_DEVICE), |_, _| {}), None, "a fault of the peer's, which it names");
    let alibaba = |node: &mut NodeFacts, _: &mut Vec<Reason>| node.kernel.family = KernelFamily::Alibaba;
    assert_eq!(named(failed(Side::Server, NO_DEVICE), alibaba), None, "not seen there");
}

#[test]
fn an_ipv6_socket_is_blamed_for_what_a_client_opens_and_never_for_what_a_server_accepts() {
    assert_eq!(named(from_ipv6(Side::Client), |_, _| {}), Some("Ipv6Socket"));
    assert_eq!(named(from_ipv6(Side::Client), |node, _| node.ueids.clear()), Some("NoUeid"));
    assert_eq!(named(from_ipv6(Side::Server), |_, _| {}), Some("UeidsDiffer"));
    let alibaba = |node: &mut NodeFacts, _: &mut Vec<Reason>| node.kernel.family = KernelFamily::Alibaba;
    assert_eq!(named(from_ipv6(Side::Client), alibaba), None);
}

#[test]
fn what_was_put_back_a_moment_ago_explains_what_failed_meanwhile() {
    let facts = node(vec![healthy_port()]);
    let known = Known {
        node: &facts,
        plan: &plan(),
        addresses: &addresses(),
        lost: &[],
        restored: &[Reason::NoUeid],
        queue_pairs: &[],
    };
    let name = |failure| diagnose(&failure, &known).map(|reason| reason.name());
    assert_eq!(name(failed(Side::Client, NO_DEVICE)), Some("NoUeid"));
    assert_eq!(name(failed(Side::Server, NO_DEVICE)), Some("NoUeid"));
    assert_eq!(name(from_ipv6(Side::Client)), Some("Ipv6Socket"), "it would have failed all the same");
    assert_eq!(name(failed(Side::Client, TIMEOUT)), None);
}

/// The rig's soft-RoCE has more queue pairs than can be used up there: the codes are those that the kernel's source gives
/// when it cannot make one (net/smc/smc_core.c, `smc_lgr_create`, `smcr_link_init`).
#[test]
fn a_device_without_queue_pairs_is_named_only_where_it_serves_the_pod_and_is_nearly_used_up() {
    let facts = node(vec![healthy_port()]);
    let name = |device: &str, used, code| {
        let pairs = [QueuePairs { device: device.into(), used, max: 1000 }];
        let known = Known {
            node: &facts,
            plan: &plan(),
            addresses: &addresses(),
            lost: &[],
            restored: &[],
            queue_pairs: &pairs,
        };
        diagnose(&failed(Side::Client, code), &known).map(|reason| reason.name())
    };
    for code in [INTERNAL_ERROR, OUT_OF_MEMORY] {
        assert_eq!(name("rxe0", 999, code), Some("QueuePairsLow"));
        assert_eq!(name("rxe0", 500, code), None);
        assert_eq!(name("rxe1", 999, code), None);
    }
    assert_eq!(name("rxe0", 999, NO_DEVICE), None);
}

#[test]
fn what_is_wrong_with_a_pods_port_is_told_without_traffic() {
    let cause = |ports| standing_cause(&plan(), &node(ports), &addresses()).map(|reason| reason.to_string());
    let rxe0 = |active, pnetid| port("rxe0", active, pnetid, "10.0.0.1/24");
    assert_eq!(cause(vec![rxe0(true, Some("A"))]), None);
    assert_eq!(cause(vec![rxe0(false, Some("A"))]).unwrap(), "RDMA port rxe0/1 is not ACTIVE");
    assert!(cause(vec![rxe0(true, None)]).unwrap().contains("no PNETID"));
    assert_eq!(
        cause(vec![rxe0(true, Some("B"))]).unwrap(),
        "RDMA port rxe0/1 was given the PNETID B instead of A"
    );
    let other = port("rxe1", true, Some("B"), "10.0.0.1/24");
    assert_eq!(cause(vec![other.clone()]).unwrap(), "RDMA device rxe0 is gone");
    assert!(cause(Vec::new()).unwrap().contains("no RDMA device"));
    let elsewhere = cause(vec![port("rxe0", true, Some("A"), "192.168.7.1/24"), other]).unwrap();
    assert!(elsewhere.contains("10.0.0.21") && elsewhere.contains("192.168.7.1/24"), "{elsewhere}");
    let unknown = standing_cause(&plan(), &node(vec![port("rxe0", true, Some("A"), "x")]), &BTreeSet::new());
    assert_eq!(unknown, None, "nothing is known of the pod's addresses");

    let two = Plan { bindings: vec![binding("rxe0", "A"), binding("rxe1", "B")], ..Plan::default() };
    let one_works = node(vec![rxe0(false, Some("A")), port("rxe1", true, Some("B"), "10.0.0.1/24")]);
    assert_eq!(standing_cause(&two, &one_works, &addresses()), None);
}

#[test]
fn a_node_that_lost_its_ueid_is_told_and_one_that_is_switched_off_is_not() {
    let mut facts = node(vec![healthy_port()]);
    facts.ueids.clear();
    assert_eq!(standing_cause(&Plan::default(), &facts, &BTreeSet::new()), Some(Reason::NoUeid));
    facts.switch = Switch::Off { why: "x".into() };
    assert_eq!(standing_cause(&Plan::default(), &facts, &BTreeSet::new()), None);
}

#[test]
fn what_a_namespace_lacks_of_its_set_up_is_named() {
    let names = |converts, pnetid: Option<&str>| {
        let pnetids = pnetid.map(|id| ("eth0".to_owned(), id.parse().unwrap())).into_iter().collect();
        lost(&plan(), converts, &pnetids).iter().map(Reason::name).collect::<Vec<_>>()
    };
    assert_eq!(names(true, Some("A")), [""; 0]);
    assert_eq!(names(true, None), ["PnetidLost"]);
    assert_eq!(names(true, Some("B")), ["PnetidMismatch"]);
    assert_eq!(names(false, Some("A")), ["ConversionLost"]);
    assert_eq!(names(false, None), ["PnetidLost", "ConversionLost"]);
}
