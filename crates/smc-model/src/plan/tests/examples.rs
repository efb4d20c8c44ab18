//! A healthy node and pod to vary, and the plain cases.

use std::net::Ipv4Addr;

use crate::{
    Anchor, AnchorState, Conversion, Datapath, Guard, InterfaceKind, Kernel, KernelFamily, NodeFacts, Note,
    Plan, PodConversion, PodFacts, PodInterface, RdmaNetdev, RdmaNetnsMode, RdmaPort, Step, Switch, Ueid,
    decide,
};

pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 21);
/// Reached by interface 21, and nothing made for it yet.
pub(super) const NEEDED: AnchorState =
    AnchorState::Needed { towards_pod: 21, source: None, held: false, on_link: false };

/// An active port 1 of `device` with `pnetid` over a network device with `net`.
pub(super) fn port(device: &str, pnetid: &str, net: &str) -> RdmaPort {
    RdmaPort {
        device: device.into(),
        port: 1,
        active: true,
        pnetid: Some(pnetid.parse().unwrap()),
        netdev: Some(RdmaNetdev { index: 2, name: "eth1".into(), addresses: vec![net.parse().unwrap()] }),
        pods: 0,
    }
}

/// A mainline node that has everything.
pub(crate) fn node() -> NodeFacts {
    NodeFacts {
        kernel: Kernel { release: "6.12.117+deb12-amd64".into(), family: KernelFamily::Mainline },
        smc_loaded: true,
        smc_missing: None,
        syn_option: None,
        smc_module: None,
        conversion: Conversion::Bpf { map: "/sys/fs/bpf/kube-smc/netns".into(), protocol: 256 },
        rdma_netns_mode: RdmaNetnsMode::Shared,
        ports: vec![port("rxe0", "NET1", "10.0.0.2/24")],
        ueids: vec![Ueid::default_ueid()],
        guard: Guard::Ready,
        guard_pins: Some("/pins".into()),
        inbound: crate::Inbound::Any,
        refused_defects: Vec::new(),
        anchor: Anchor::Ready { index: 7 },
        datapath: Datapath::Netfilter,
        switch: Switch::On,
        only_looked_at: false,
    }
}

/// A node with Alibaba's kernel and eRDMA, whose network device has no address that matters.
pub(super) fn alibaba() -> NodeFacts {
    NodeFacts {
        kernel: Kernel { release: "5.10.134-17.3.al8.x86_64".into(), family: KernelFamily::Alibaba },
        conversion: Conversion::Tcp2smc,
        ports: vec![port("erdma_0", "00163EABCD0F", "172.16.0.2/24")],
        guard: Guard::NotNeeded,
        anchor: Anchor::NotNeeded,
        ..node()
    }
}

/// A routed interface without a PNETID.
pub(super) fn interface(name: &str, kind: InterfaceKind, nets: &[&str]) -> PodInterface {
    PodInterface {
        name: name.into(),
        kind,
        addresses: nets.iter().map(|net| net.parse().unwrap()).collect(),
        addresses6: Vec::new(),
        routed: true,
        pnetid: None,
        guarded: false,
    }
}

/// Has an address guarded, and an interface where it has not the program.
fn guard(address: Ipv4Addr, interface: Option<&str>) -> Step {
    Step::Guard {
        address,
        interface: interface.map(str::to_owned),
        also: [].into(),
        pins: Some("/pins".into()),
        peers: None,
    }
}

/// A fresh pod with `interfaces`, whose addresses the host reaches by interface 21.
pub(super) fn pod_with(interfaces: Vec<PodInterface>) -> PodFacts {
    let mut pod = PodFacts {
        primary: "eth0".into(),
        interfaces,
        conversion: PodConversion::Off,
        anchors: [].into(),
        guarded: [].into(),
        peers: None,
        mptcp: false,
        keep_mptcp: false,
    };
    pod.anchors = pod.addresses().into_iter().map(|a| (a, NEEDED)).collect();
    pod
}

/// A fresh pod on one veth.
pub(super) fn pod() -> PodFacts {
    pod_with(vec![interface("eth0", InterfaceKind::Pair, &["10.0.0.21/24"])])
}

#[test]
fn a_fresh_veth_pod_on_mainline_takes_anchor_guard_pnetid_and_conversion_in_this_order() {
    let address = ADDRESS;
    let plan = decide(&node(), &pod()).unwrap();
    let expected = [
        Step::HoldRoute { address, towards_pod: 21, source: None },
        Step::AnchorAddress { address, anchor: 7 },
        Step::DropLocalRoute { address, anchor: 7 },
        guard(address, Some("eth0")),
        Step::SetPnetid { interface: "eth0".into(), pnetid: "NET1".parse().unwrap() },
        Step::ConvertByBpf { map: "/sys/fs/bpf/kube-smc/netns".into(), keep_mptcp: false },
    ];
    assert_eq!(plan.steps, expected);
    assert_eq!(plan.notes, []);
}

#[test]
fn a_fresh_pod_on_alibabas_kernel_takes_the_program_a_pnetid_and_the_sysctl_only() {
    let plan = decide(&alibaba(), &pod()).unwrap();
    let pnetid = "00163EABCD0F".parse().unwrap();
    let set = Step::SetPnetid { interface: "eth0".into(), pnetid };
    assert_eq!(
        plan.steps,
        [guard(ADDRESS, Some("eth0")), set.clone(), Step::ConvertBySysctl { mptcp_off: false }]
    );
    // Where the program cannot be loaded.
    let without = decide(&NodeFacts { guard_pins: None, ..alibaba() }, &pod()).unwrap();
    assert_eq!(without.steps, [set, Step::ConvertBySysctl { mptcp_off: false }]);
}

#[test]
fn a_pod_that_is_configured_takes_no_step() {
    let mut pod = pod();
    pod.interfaces[0].pnetid = Some("NET1".parse().unwrap());
    pod.conversion = PodConversion::Ours;
    pod.anchors.insert(ADDRESS, AnchorState::Anchored);
    pod.guarded.insert(ADDRESS.into());
    pod.interfaces[0].guarded = true;
    let Plan { steps, notes, bindings } = decide(&node(), &pod).unwrap();
    assert_eq!((steps, notes), (vec![], vec![]));
    assert_eq!(bindings.len(), 1);
}

#[test]
fn a_converted_pod_that_lost_its_guard_gets_only_that_back() {
    let mut pod = pod();
    pod.interfaces[0].pnetid = Some("NET1".parse().unwrap());
    pod.conversion = PodConversion::Ours;
    pod.anchors.insert(ADDRESS, AnchorState::Anchored);
    pod.interfaces[0].guarded = true;
    assert_eq!(decide(&node(), &pod).unwrap().steps, [guard(ADDRESS, None)]);
}

#[test]
fn an_interface_that_came_later_gets_the_guard_whether_or_not_it_has_an_address() {
    let mut pod = pod();
    pod.interfaces[0].pnetid = Some("NET1".parse().unwrap());
    pod.interfaces[0].guarded = true;
    pod.conversion = PodConversion::Ours;
    pod.anchors.insert(ADDRESS, AnchorState::Anchored);
    pod.guarded.insert(ADDRESS.into());
    let later = Ipv4Addr::new(10, 0, 9, 9);
    for (nets, address) in [(&["10.0.9.9/24"][..], later), (&[], ADDRESS)] {
        let mut net1 = interface("net1", InterfaceKind::Direct, nets);
        net1.routed = false;
        let pod = PodFacts { interfaces: vec![pod.interfaces[0].clone(), net1], ..pod.clone() };
        assert_eq!(decide(&node(), &pod).unwrap().steps, [guard(address, Some("net1"))]);
    }
}

#[test]
fn addresses_of_the_sixth_family_are_guarded_with_the_interface_that_has_them() {
    let mut pod = pod();
    let address6: std::net::Ipv6Addr = "fd00::21".parse().unwrap();
    pod.interfaces[0].addresses6.push(address6);
    let pins = Some("/pins".into());
    let also = [address6].into();
    let whole = Step::Guard { address: ADDRESS, interface: Some("eth0".into()), also, pins, peers: None };
    assert!(decide(&node(), &pod).unwrap().steps.contains(&whole));
    // All but that address is there.
    pod.interfaces[0].guarded = true;
    pod.guarded.insert(ADDRESS.into());
    let Step::Guard { address, also, pins, .. } = whole else { panic!() };
    let rest = Step::Guard { address, interface: None, also, pins, peers: None };
    assert!(decide(&node(), &pod).unwrap().steps.contains(&rest));
    pod.guarded.insert(address6.into());
    assert!(!decide(&node(), &pod).unwrap().steps.iter().any(|step| matches!(step, Step::Guard { .. })));
}

#[test]
fn beside_an_agent_whose_guard_is_another_no_pod_is_set_up() {
    let node = NodeFacts { guard_pins: None, ..node() };
    assert_eq!(decide(&node, &pod()).unwrap_err().name(), "SameNodeGuardMissing");
}

#[test]
fn a_pod_that_somebody_else_converts_is_bound_but_not_converted() {
    let mut pod = pod();
    pod.conversion = PodConversion::Foreign;
    let plan = decide(&alibaba(), &pod).unwrap();
    assert!(!plan.steps.contains(&Step::ConvertBySysctl { mptcp_off: false }), "{:?}", plan.steps);
    assert_eq!(plan.notes, [Note::ConversionAdopted]);
}

/// An address that a pod with NET_ADMIN took from another, or one that the host knows nothing of.
#[test]
fn an_address_that_the_host_routes_elsewhere_is_neither_held_nor_anchored_nor_guarded() {
    let stray = Ipv4Addr::new(10, 0, 0, 22);
    let mut pod = pod_with(vec![interface("eth0", InterfaceKind::Pair, &["10.0.0.21/24", "10.0.0.22/32"])]);
    pod.anchors.insert(stray, AnchorState::Unreachable);
    let without = decide(&node(), &self::pod()).unwrap();
    assert_eq!(decide(&node(), &pod).unwrap(), without);
}

#[test]
fn a_pod_with_more_addresses_than_it_may_have_is_refused_before_any_is_looked_at() {
    let nets: Vec<String> = (0..17).map(|last| format!("10.0.0.{}/24", 20 + last)).collect();
    let refs: Vec<&str> = nets.iter().map(String::as_str).collect();
    let most = pod_with(vec![interface("eth0", InterfaceKind::Pair, &refs[..16])]);
    assert!(decide(&node(), &most).is_ok());
    let mut more = pod_with(vec![interface("eth0", InterfaceKind::Pair, &refs)]);
    more.anchors.clear();
    assert_eq!(decide(&node(), &more).unwrap_err(), crate::Reason::TooManyAddresses { count: 17 });
}

#[test]
fn an_nic_inside_the_pod_is_guarded_but_not_anchored() {
    let pod = pod_with(vec![interface("eth0", InterfaceKind::Direct, &["10.0.0.21/24"])]);
    let steps = decide(&node(), &pod).unwrap().steps;
    assert_eq!(steps.first(), Some(&guard(ADDRESS, Some("eth0"))));
    assert_eq!(steps.len(), 3, "guard, PNETID, conversion: {steps:?}");
}

#[test]
fn an_address_of_an_interface_without_a_route_is_guarded_but_neither_anchored_nor_bound() {
    let mut spare = interface("eth1", InterfaceKind::Pair, &["10.0.9.9/24"]);
    spare.routed = false;
    let mut pod = pod();
    pod.interfaces.push(spare);
    let plan = decide(&node(), &pod).unwrap();
    let address = Ipv4Addr::new(10, 0, 9, 9);
    assert!(plan.steps.contains(&guard(address, Some("eth1"))));
    assert!(
        !plan.steps.iter().any(|step| matches!(step, Step::HoldRoute { address: a, .. } if *a == address))
    );
    assert_eq!(plan.bindings.len(), 1);
}

#[test]
fn an_address_twice_in_the_pod_is_anchored_and_guarded_once() {
    let twice = ["10.0.0.21/24", "10.0.0.21/32"];
    let pod = pod_with(vec![
        interface("eth0", InterfaceKind::Pair, &twice),
        interface("eth1", InterfaceKind::Pair, &twice[1..]),
    ]);
    let steps = decide(&node(), &pod).unwrap().steps;
    let count = |wanted: &Step| steps.iter().filter(|step| *step == wanted).count();
    assert_eq!(count(&Step::AnchorAddress { address: ADDRESS, anchor: 7 }), 1);
    for interface in ["eth0", "eth1"] {
        assert_eq!(count(&guard(ADDRESS, Some(interface))), 1);
    }
    assert_eq!(count(&guard(ADDRESS, None)), 0);
}
