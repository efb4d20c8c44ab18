//! Every reason for which a pod is refused, and the cases just beside it.

use super::examples::{ADDRESS, alibaba, interface, node, pod, pod_with};
use crate::{
    Anchor, AnchorState, Conversion, Guard, InterfaceKind, KernelFamily, NodeFacts, PodFacts, RdmaNetnsMode,
    Reason, decide,
};

/// The reason for which the pod is refused on the node as `change` leaves it; it must be the node's obstacle too.
fn obstacle(change: impl FnOnce(&mut NodeFacts)) -> Reason {
    let mut node = node();
    change(&mut node);
    let reason = decide(&node, &pod()).unwrap_err();
    assert_eq!(node.obstacle().as_ref(), Some(&reason));
    reason
}

/// The reason for which a pod is refused on a node without an obstacle.
fn refusal(change: impl FnOnce(&mut NodeFacts, &mut PodFacts)) -> Reason {
    let (mut node, mut pod) = (node(), pod());
    change(&mut node, &mut pod);
    assert_eq!(node.obstacle(), None);
    decide(&node, &pod).unwrap_err()
}

#[test]
fn a_healthy_node_has_no_obstacle() {
    assert_eq!(node().obstacle(), None);
    assert_eq!(alibaba().obstacle(), None);
}

#[test]
fn a_node_without_the_smc_module_names_its_kernel() {
    let reason = obstacle(|node| node.smc_loaded = false);
    assert_eq!(reason, Reason::SmcNotAvailable { kernel: "6.12.117+deb12-amd64".into(), why: None });
}

#[test]
fn what_kept_the_module_from_being_loaded_is_said_of_every_pod() {
    let why = "TCP port 65501 is taken";
    let reason = obstacle(|node| {
        node.smc_loaded = false;
        node.smc_missing = Some(why.into());
    });
    assert!(reason.to_string().ends_with(why), "{reason}");
}

#[test]
fn a_kernel_is_alibabas_by_its_sysctl_and_while_smc_is_absent_by_its_release() {
    let alibabas = [
        "5.10.134-17.3.al8.x86_64",
        "5.10.134-16.1.an8.x86_64",
        "5.10.112-11.al7.x86_64",
        "5.10.84-004.alnx.x86_64",
        "5.10.134-16.lifsea8.x86_64",
    ];
    for release in alibabas {
        assert_eq!(KernelFamily::of(release, false, false), KernelFamily::Alibaba, "{release}");
        // Its smc is there, without the sysctl: whatever it is, it does not convert by it.
        assert_eq!(KernelFamily::of(release, true, false), KernelFamily::Mainline, "{release}");
    }
    for release in ["6.12.117+deb12-amd64", "6.6.102-5.2.alnx4.x86_64", "5.10.0-30-amd64"] {
        assert_eq!(KernelFamily::of(release, false, false), KernelFamily::Mainline, "{release}");
    }
    assert_eq!(KernelFamily::of("5.10.262-replica", true, true), KernelFamily::Alibaba);
}

#[test]
fn a_node_none_of_whose_ports_has_a_pnetid_says_that_of_the_whole_node() {
    let mut node = node();
    assert_eq!(node.unfit(), None);
    node.ports[0].pnetid = None;
    assert_eq!(node.unfit().map(|reason| reason.name()), Some("PnetidMissing"));
}

#[test]
fn a_node_without_conversion_says_what_is_missing() {
    let reason = obstacle(|node| node.conversion = Conversion::None { why: "no BTF".into() });
    let expected = Reason::NoConversion { kernel: "6.12.117+deb12-amd64".into(), why: "no BTF".into() };
    assert_eq!(reason, expected);
}

#[test]
fn a_node_without_smc_says_that_before_anything_else() {
    let reason = obstacle(|node| {
        node.smc_loaded = false;
        node.conversion = Conversion::None { why: "no SMC".into() };
        node.ports.clear();
    });
    assert_eq!(reason.name(), "SmcNotAvailable");
}

#[test]
fn a_node_that_is_only_looked_at_has_no_device_or_is_switched_off() {
    let looked_at = |node: &mut NodeFacts| {
        node.only_looked_at = true;
        node.smc_loaded = false;
        node.conversion = Conversion::None { why: "not prepared".into() };
        node.ports.clear();
    };
    assert_eq!(obstacle(looked_at), Reason::NoRdmaDevice);
    let off = || crate::Switch::Off { why: "the node was told".into() };
    let reason = obstacle(|node| {
        looked_at(node);
        node.switch = off();
    });
    assert_eq!(reason.name(), "SwitchedOff");
    let mut node = node();
    looked_at(&mut node);
    assert_eq!(node.without_smc(), Reason::NoRdmaDevice, "nor is the module's absence to be mended");
}

#[test]
fn exclusive_rdma_namespaces_are_an_obstacle() {
    assert_eq!(obstacle(|node| node.rdma_netns_mode = RdmaNetnsMode::Exclusive), Reason::RdmaNetnsExclusive);
}

#[test]
fn a_node_without_rdma_devices_has_an_obstacle() {
    assert_eq!(obstacle(|node| node.ports.clear()), Reason::NoRdmaDevice);
}

#[test]
fn a_node_without_a_ueid_has_an_obstacle() {
    assert_eq!(obstacle(|node| node.ueids.clear()), Reason::NoUeid);
}

#[test]
fn a_missing_guard_is_an_obstacle_and_an_unneeded_one_is_not() {
    let reason = obstacle(|node| node.guard = Guard::Missing { why: "no table".into() });
    assert_eq!(reason, Reason::SameNodeGuardMissing { why: "no table".into() });
    assert!(decide(&NodeFacts { guard: Guard::NotNeeded, ..node() }, &pod()).is_ok());
}

#[test]
fn whether_a_node_needs_the_guard_follows_from_its_devices_and_not_from_its_kernel_alone() {
    use KernelFamily::{Alibaba, Mainline};
    // A RoCE device under Alibaba's kernel, eRDMA there, eRDMA under mainline, and SMC-D loopback anywhere.
    let needed = [(Alibaba, false, false), (Mainline, false, false), (Mainline, true, false)];
    let not_needed = [(Alibaba, true, false), (Alibaba, false, true), (Mainline, false, true)];
    for (family, all_iwarp, has_loopback) in needed {
        assert!(Guard::is_needed(family.smc(), all_iwarp, has_loopback), "{family:?} {all_iwarp}");
    }
    for (family, all_iwarp, has_loopback) in not_needed {
        assert!(!Guard::is_needed(family.smc(), all_iwarp, has_loopback), "{family:?} {all_iwarp}");
    }
}

#[test]
fn a_pod_without_an_address_or_without_a_route_is_refused() {
    assert_eq!(refusal(|_, pod| pod.interfaces.clear()), Reason::NoIpv4Route);
    assert_eq!(refusal(|_, pod| pod.interfaces[0].addresses.clear()), Reason::NoIpv4Route);
    assert_eq!(refusal(|_, pod| pod.interfaces[0].routed = false), Reason::NoIpv4Route);
}

#[test]
fn a_pod_outside_every_devices_subnet_is_told_its_address_and_the_subnets_there_are() {
    let far = vec![interface("eth0", InterfaceKind::Pair, &["192.168.5.5/24"])];
    let reason = refusal(|_, pod| *pod = pod_with(far));
    let ports = "rxe0/1 over eth1 with 10.0.0.2/24".to_owned();
    assert_eq!(reason, Reason::NoDeviceInSubnet { address: [192, 168, 5, 5].into(), ports });
}

#[test]
fn a_pods_wide_prefix_does_not_bring_it_into_the_devices_subnet() {
    let far = vec![interface("eth0", InterfaceKind::Pair, &["10.0.9.9/8"])];
    assert_eq!(refusal(|_, pod| *pod = pod_with(far)).name(), "NoDeviceInSubnet");
}

#[test]
fn devices_that_cannot_have_a_subnet_are_described_as_such() {
    let bare = refusal(|node, _| node.ports[0].netdev.as_mut().unwrap().addresses.clear());
    assert!(bare.to_string().contains("rxe0/1 over eth1 without an address"), "{bare}");
    let moved = refusal(|node, _| node.ports[0].netdev = None);
    assert!(moved.to_string().contains("rxe0/1 without a network device in the host"), "{moved}");
}

#[test]
fn a_port_that_is_down_is_named() {
    assert_eq!(
        refusal(|node, _| node.ports[0].active = false),
        Reason::RdmaPortDown { port: "rxe0/1".into() }
    );
}

#[test]
fn a_port_that_is_down_does_not_count_even_when_the_pod_bears_its_pnetid() {
    let reason = refusal(|node, pod| {
        node.ports[0].active = false;
        pod.interfaces[0].pnetid = Some("NET1".parse().unwrap());
    });
    assert_eq!(reason.name(), "RdmaPortDown");
}

#[test]
fn a_port_without_a_pnetid_is_named() {
    assert_eq!(
        refusal(|node, _| node.ports[0].pnetid = None),
        Reason::PnetidMissing { port: "rxe0/1".into() }
    );
}

#[test]
fn a_missing_anchor_link_refuses_veth_pods_only() {
    let missing = Anchor::Missing { why: "the link kubesmc0 is gone".into() };
    let reason = refusal(|node, _| node.anchor = missing.clone());
    assert_eq!(reason, Reason::SourceAnchorMissing { why: "the link kubesmc0 is gone".into() });
    let direct = pod_with(vec![interface("eth0", InterfaceKind::Direct, &["10.0.0.21/24"])]);
    assert!(decide(&NodeFacts { anchor: missing, ..node() }, &direct).is_ok());
}

#[test]
fn an_address_that_the_host_cannot_reach_or_that_nobody_looked_at_is_refused() {
    let why = "the host's route to 10.0.0.21 does not lead straight to the pod's own interface".into();
    let expected = Reason::SourceAnchorMissing { why };
    let unreachable = refusal(|_, pod| {
        pod.anchors.insert(ADDRESS, AnchorState::Unreachable);
    });
    assert_eq!(unreachable, expected);
    assert_eq!(refusal(|_, pod| pod.anchors.clear()), expected);
}
