use std::process::Command;

use netlink_packet_core::Parseable as _;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};

use super::*;
use crate::netlink::Protocol;
use crate::netns::Netns;
use crate::route::{Way, addresses, host_routes, links, way_to};
use crate::veth::{Pair, up};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 8, 7);

#[test]
fn an_address_is_written_as_the_library_reads_it() {
    let body = address_on_link(ADDRESS, 7).finish();
    let message = AddressMessage::parse(&body[..]).unwrap();
    assert_eq!((message.header.index, message.header.prefix_len), (7, 32));
    assert_eq!(message.header.scope, AddressScope::Host);
    let own = [AddressAttribute::Local(ADDRESS.into()), AddressAttribute::Address(ADDRESS.into())];
    assert_eq!(message.attributes, own);
}

#[test]
fn a_route_is_written_as_the_library_reads_it() {
    let header = RouteHeader { scope: RouteScope::Link, ..RouteHeader::default() };
    let body = host_route(ADDRESS, Some(9), RouteType::Unicast, &header).finish();
    let message = RouteMessage::parse(&body[..]).unwrap();
    assert_eq!((message.header.table, message.header.kind), (TABLE_LOCAL, RouteType::Unicast));
    assert_eq!(message.header.destination_prefix_length, 32);
    let expected = [RouteAttribute::Destination(RouteAddress::Inet(ADDRESS)), RouteAttribute::Oif(9)];
    assert_eq!(message.attributes, expected);
}

/// A host and a pod in namespaces made for it, joined by a pair; `None` without the right to make them.
struct Node {
    host: Netns,
    pod: Netns,
    route: Connection,
}

impl Node {
    fn new() -> Option<Self> {
        if !test_support::as_root() {
            return None;
        }
        let (host, pod) = (Netns::make().unwrap(), Netns::make().unwrap());
        let mut route = host.run(|| Connection::open(Protocol::Route)).unwrap().unwrap();
        Pair { host: "vt0", inside: "eth0", address: ADDRESS }.connect(&mut route, &pod).unwrap();
        Some(Self { host, pod, route })
    }

    fn index(&mut self, name: &str) -> u32 {
        links(&mut self.route).unwrap().into_iter().find(|link| link.name == name).unwrap().index
    }

    fn way(&mut self) -> Way {
        way_to(&mut self.route, ADDRESS).unwrap().unwrap()
    }

    /// What the host knows of an interface of the pod.
    fn towards(&mut self, name: &str) -> Option<u32> {
        let mut inside = self.pod.connect().unwrap().route;
        let link = links(&mut inside).unwrap().into_iter().find(|link| link.name == name).unwrap();
        towards_pod(&mut self.route, &self.pod, link.index, link.peer.unwrap()).unwrap()
    }
}

/// Runs iproute2 in a namespace.
fn ip(netns: &Netns, arguments: &str) {
    let run = || Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(netns.run(run).unwrap().success(), "ip {arguments}");
}

#[test]
fn whatever_happens_to_the_anchor_link_the_host_sends_a_held_pods_packets_to_the_pod() {
    let Some(mut node) = Node::new() else { return };
    // Not every machine has the driver of dummy links; any that is down will do.
    ip(&node.host, "link add kubesmc0 type bridge");
    let (pair, link) = (node.index("vt0"), node.index(LINK));
    hold(&mut node.route, ADDRESS, pair, None).unwrap();
    add_address(&mut node.route, ADDRESS, link).unwrap();
    drop_local(&mut node.route, ADDRESS, link).unwrap();
    let held = Way { held: true, local: false, interface: Some(pair), straight: true, source: None };
    assert_eq!(node.way(), held);
    ip(&node.host, "link set kubesmc0 up");
    assert_eq!(node.way(), held, "the local route stands behind");
    let of_link = |node: &mut Node| {
        let routes = host_routes(&mut node.route).unwrap();
        routes.iter().filter(|route| route.local && route.interface == link).count()
    };
    assert_eq!(of_link(&mut node), 1);
    bring_down(&mut node.route, link).unwrap();
    assert_eq!((of_link(&mut node), node.way()), (1, held));
    drop_local(&mut node.route, ADDRESS, link).unwrap();
    assert_eq!((of_link(&mut node), node.way()), (0, held));
    assert_eq!(addresses(&mut node.route).unwrap().iter().filter(|(on, _)| *on == link).count(), 1);

    delete_address(&mut node.route, ADDRESS, link).unwrap();
    assert_eq!(node.way(), held);
    unhold(&mut node.route, ADDRESS, None).unwrap();
    assert_eq!(node.way(), Way { held: false, ..held });
    unhold(&mut node.route, ADDRESS, None).unwrap();
}

#[test]
fn a_held_route_gives_the_hosts_own_packets_the_source_that_it_was_made_with() {
    let Some(mut node) = Node::new() else { return };
    ip(&node.host, "link set lo up");
    ip(&node.host, "address add 10.1.1.1/32 dev lo");
    let (pair, source) = (node.index("vt0"), Some(Ipv4Addr::new(10, 1, 1, 1)));
    ip(&node.host, "route replace 10.9.8.7/32 dev vt0 src 10.1.1.1");
    assert_eq!(node.way().source, source);
    hold(&mut node.route, ADDRESS, pair, source).unwrap();
    assert!(node.way().held);
    assert_eq!(node.way().source, source);
}

#[test]
fn the_way_to_a_pod_is_its_pairs_other_end_or_the_bridge_that_has_it() {
    let Some(mut node) = Node::new() else { return };
    let pair = node.index("vt0");
    assert_eq!(node.towards("eth0"), Some(pair));
    ip(&node.host, "link add cni0 type bridge");
    ip(&node.host, "link set vt0 master cni0");
    let bridge = node.index("cni0");
    assert_eq!(node.towards("eth0"), Some(bridge));
}

/// A pod with NET_ADMIN gives a pair of its own the indices of another pod's.
#[test]
fn a_pair_that_a_pod_made_itself_is_no_way_to_it_whatever_its_indices() {
    let Some(mut node) = Node::new() else { return };
    let other = Netns::make().unwrap();
    let address = Ipv4Addr::new(10, 9, 8, 6);
    Pair { host: "vt1", inside: "eth0", address }.connect(&mut node.route, &other).unwrap();
    let mut inside = other.connect().unwrap().route;
    let theirs = links(&mut inside).unwrap().into_iter().find(|link| link.name == "eth0").unwrap();
    let outer = node.index("vt1");
    let (own, far) = (theirs.index, outer);
    // The pod's eth0 has the same index in its own namespace.
    let own = if own == outer { own + 1 } else { own };
    ip(&node.pod, "link delete eth0");
    ip(&node.pod, &format!("link add x0 index {own} type veth peer name x1 index {far}"));
    assert_eq!(node.towards("x0"), None);
    // And where the other pod really is, its own namespace is asked for.
    let route = &mut node.route;
    assert_eq!(towards_pod(route, &other, theirs.index, outer).unwrap(), Some(outer));
    assert_eq!(towards_pod(route, &node.pod, theirs.index, outer).unwrap(), None);
    up(route, "vt1").unwrap();
}
