//! Which RDMA port serves which interface.

use super::examples::{alibaba, interface, node, pod, pod_with, port};
use crate::{InterfaceKind, NodeFacts, Note, Plan, PnetId, PodFacts, Step, decide};

fn id(text: &str) -> PnetId {
    text.parse().unwrap()
}

/// Interface, device and PNETID of each binding.
fn bound(plan: &Plan) -> Vec<(&str, &str, &str)> {
    plan.bindings.iter().map(|b| (b.interface.as_str(), b.device.as_str(), b.pnetid.as_str())).collect()
}

fn device_of(node: &NodeFacts, pod: &PodFacts) -> String {
    decide(node, pod).unwrap().bindings[0].device.clone()
}

#[test]
fn on_mainline_the_device_in_the_pods_subnet_is_chosen_though_another_has_fewer_pods() {
    let mut node = node();
    node.ports = vec![port("far", "FAR", "10.0.9.2/24"), port("near", "NEAR", "10.0.0.2/24")];
    node.ports[1].pods = 9;
    assert_eq!(device_of(&node, &pod()), "near");
}

#[test]
fn on_mainline_a_device_without_an_address_or_a_netdev_is_never_chosen() {
    let mut node = node();
    node.ports = vec![
        port("bare", "BARE", "10.0.0.2/24"),
        port("moved", "MOVED", "10.0.0.3/24"),
        node.ports.remove(0),
    ];
    node.ports[0].netdev.as_mut().unwrap().addresses.clear();
    node.ports[1].netdev = None;
    assert_eq!(device_of(&node, &pod()), "rxe0");
}

#[test]
fn on_alibabas_kernel_subnets_do_not_matter_and_the_fewest_pods_decide() {
    let mut node = alibaba();
    node.ports.push(port("erdma_1", "00163EABCD10", "192.168.0.2/24"));
    node.ports[0].pods = 2;
    node.ports[1].pods = 1;
    node.ports[1].netdev = None;
    assert_eq!(device_of(&node, &pod()), "erdma_1");
}

#[test]
fn of_equally_used_devices_the_first_is_chosen() {
    let mut node = node();
    node.ports.push(port("rxe1", "NET2", "10.0.0.3/24"));
    assert_eq!(device_of(&node, &pod()), "rxe0");
}

#[test]
fn an_inactive_port_and_one_without_a_pnetid_are_passed_over() {
    let mut node = node();
    let usual = node.ports.remove(0);
    node.ports = vec![port("down", "DOWN", "10.0.0.3/24"), port("nameless", "NONE", "10.0.0.4/24"), usual];
    node.ports[0].active = false;
    node.ports[1].pnetid = None;
    node.ports[2].pods = 5;
    assert_eq!(device_of(&node, &pod()), "rxe0");
}

#[test]
fn an_interface_that_bears_an_active_ports_pnetid_keeps_it_though_another_has_fewer_pods() {
    let mut node = node();
    node.ports.push(port("rxe1", "NET2", "10.0.0.3/24"));
    node.ports[1].pods = 9;
    let mut pod = pod();
    pod.interfaces[0].pnetid = Some(id("NET2"));
    let plan = decide(&node, &pod).unwrap();
    assert_eq!(bound(&plan), [("eth0", "rxe1", "NET2")]);
    assert!(!plan.steps.iter().any(|s| matches!(s, Step::DropPnetid { .. } | Step::SetPnetid { .. })));
    assert_eq!(plan.notes, []);
}

#[test]
fn of_ports_with_one_pnetid_the_one_the_kernel_takes_is_bound_whatever_their_pods() {
    let mut node = node();
    node.ports.push(port("rxe1", "NET1", "10.0.0.3/24"));
    node.ports[0].pods = 9;
    let mut pod = pod();
    assert_eq!(device_of(&node, &pod), "rxe0", "before the id is set");
    pod.interfaces[0].pnetid = Some(id("NET1"));
    assert_eq!(device_of(&node, &pod), "rxe0", "and after");
}

#[test]
fn a_pnetid_that_no_port_bears_is_replaced_and_noted() {
    let mut pod = pod();
    pod.interfaces[0].pnetid = Some(id("OLD"));
    let plan = decide(&node(), &pod).unwrap();
    let drop = plan.steps.iter().position(|s| *s == Step::DropPnetid { pnetid: id("OLD") }).unwrap();
    let set = Step::SetPnetid { interface: "eth0".into(), pnetid: id("NET1") };
    assert_eq!(plan.steps[drop + 1], set);
    assert_eq!(plan.notes, [Note::StalePnetidReplaced { interface: "eth0".into(), stale: id("OLD") }]);
}

#[test]
fn a_pnetid_whose_only_port_is_down_is_replaced() {
    let mut node = node();
    node.ports.push(port("rxe1", "NET2", "10.0.0.3/24"));
    node.ports[0].active = false;
    let mut pod = pod();
    pod.interfaces[0].pnetid = Some(id("NET1"));
    let plan = decide(&node, &pod).unwrap();
    assert_eq!(bound(&plan), [("eth0", "rxe1", "NET2")]);
    assert!(plan.steps.contains(&Step::DropPnetid { pnetid: id("NET1") }));
}

#[test]
fn two_interfaces_that_share_one_stale_pnetid_drop_it_once_and_are_both_set_anew() {
    let mut pod = pod_with(vec![
        interface("eth0", InterfaceKind::Pair, &["10.0.0.21/24"]),
        interface("eth1", InterfaceKind::Pair, &["10.0.0.22/24"]),
    ]);
    for interface in &mut pod.interfaces {
        interface.pnetid = Some(id("OLD"));
    }
    let plan = decide(&node(), &pod).unwrap();
    let of_pnetids: Vec<&Step> =
        plan.steps.iter().filter(|s| matches!(s, Step::DropPnetid { .. } | Step::SetPnetid { .. })).collect();
    let set = |name: &str| Step::SetPnetid { interface: name.into(), pnetid: id("NET1") };
    assert_eq!(of_pnetids, [&Step::DropPnetid { pnetid: id("OLD") }, &set("eth0"), &set("eth1")]);
    assert_eq!(plan.notes.len(), 2);
}

#[test]
fn an_interface_that_loses_its_good_pnetid_with_anothers_stale_one_gets_it_back() {
    let mut node = node();
    node.ports.push(port("rxe1", "NET2", "10.0.1.2/24"));
    let mut pod = pod_with(vec![
        interface("eth0", InterfaceKind::Pair, &["10.0.0.21/24"]),
        interface("eth1", InterfaceKind::Pair, &["10.0.1.21/24"]),
    ]);
    for interface in &mut pod.interfaces {
        interface.pnetid = Some(id("NET2"));
    }
    let plan = decide(&node, &pod).unwrap();
    assert_eq!(bound(&plan), [("eth0", "rxe0", "NET1"), ("eth1", "rxe1", "NET2")]);
    let drop = plan.steps.iter().position(|s| *s == Step::DropPnetid { pnetid: id("NET2") }).unwrap();
    let again = Step::SetPnetid { interface: "eth1".into(), pnetid: id("NET2") };
    assert!(plan.steps[drop..].contains(&again), "{:?}", plan.steps);
    assert_eq!(plan.notes.len(), 1, "eth1's was good: {:?}", plan.notes);
}

#[test]
fn an_exclusive_eni_pod_has_eth0_and_veth1_bound_to_one_device() {
    // Service addresses leave by veth1, which has link-local addresses only; the sockets have eth0's address.
    let pod = pod_with(vec![
        interface("eth0", InterfaceKind::Direct, &["10.0.0.21/24"]),
        interface("veth1", InterfaceKind::Pair, &[]),
    ]);
    for node in [node(), alibaba()] {
        let plan = decide(&node, &pod).unwrap();
        let (device, id) = (node.ports[0].device.as_str(), node.ports[0].pnetid.as_ref().unwrap().as_str());
        assert_eq!(bound(&plan), [("eth0", device, id), ("veth1", device, id)]);
        assert!(
            !plan.steps.iter().any(|step| matches!(step, Step::HoldRoute { .. })),
            "no address on a pair"
        );
    }
}

#[test]
fn a_second_interface_without_a_device_in_its_subnet_shares_the_main_ones() {
    let mut pod = pod();
    pod.interfaces.insert(0, interface("net1", InterfaceKind::Direct, &["192.168.5.5/24"]));
    let plan = decide(&node(), &pod).unwrap();
    assert_eq!(bound(&plan), [("net1", "rxe0", "NET1"), ("eth0", "rxe0", "NET1")]);
}

#[test]
fn a_second_interface_whose_device_has_no_pnetid_shares_the_main_ones() {
    let mut node = node();
    node.ports.push(port("nameless", "NONE", "192.168.5.2/24"));
    node.ports[1].pnetid = None;
    let mut pod = pod();
    pod.interfaces.push(interface("net1", InterfaceKind::Direct, &["192.168.5.5/24"]));
    assert_eq!(bound(&decide(&node, &pod).unwrap())[1], ("net1", "rxe0", "NET1"));
}

#[test]
fn a_second_interface_has_the_device_in_its_own_subnet() {
    let mut node = node();
    node.ports.push(port("rxe1", "NET2", "192.168.5.2/24"));
    let mut pod = pod();
    pod.interfaces.push(interface("net1", InterfaceKind::Direct, &["192.168.5.5/24"]));
    assert_eq!(bound(&decide(&node, &pod).unwrap()), [("eth0", "rxe0", "NET1"), ("net1", "rxe1", "NET2")]);
}

#[test]
fn when_the_attachments_interface_has_no_address_the_first_that_has_one_leads() {
    let pod = pod_with(vec![
        interface("eth0", InterfaceKind::Pair, &[]),
        interface("net1", InterfaceKind::Direct, &["10.0.0.30/24"]),
    ]);
    assert_eq!(bound(&decide(&node(), &pod).unwrap()), [("eth0", "rxe0", "NET1"), ("net1", "rxe0", "NET1")]);
}

#[test]
fn any_address_of_an_interface_may_be_the_one_in_a_devices_subnet() {
    let pod = pod_with(vec![interface("eth0", InterfaceKind::Direct, &["192.168.5.5/24", "10.0.0.21/24"])]);
    assert_eq!(device_of(&node(), &pod), "rxe0");
}
