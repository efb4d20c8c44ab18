use std::net::Ipv4Addr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteNextHop};

use super::address::address_of_link;
use super::link::{LINK_HEADER, parse_link};
use super::*;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 21);

fn bytes(message: &RouteNetlinkMessage) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

#[test]
fn a_link_reads_as_the_library_writes_it() {
    let mut message = LinkMessage::default();
    message.header.index = 7;
    message.header.flags = LinkFlags::Up;
    message.attributes = vec![
        LinkAttribute::IfName("eth0".into()),
        LinkAttribute::Address(vec![1, 2, 3, 4, 5, 6]),
        LinkAttribute::Link(12),
        LinkAttribute::LinkNetNsId(3),
        LinkAttribute::Controller(4),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]),
    ];
    let read = parse_link(&bytes(&RouteNetlinkMessage::NewLink(message))).unwrap();
    let expected = Link {
        index: 7,
        name: "eth0".into(),
        kind: "veth".into(),
        mac: Some([1, 2, 3, 4, 5, 6]),
        peer: Some(12),
        peer_netns: Some(3),
        master: Some(4),
        loopback: false,
        up: true,
    };
    assert_eq!(read, expected);
}

/// A unicast route of table local to `ADDRESS` by interface 9.
fn unicast(attributes: Vec<RouteAttribute>) -> Vec<u8> {
    let mut message = RouteMessage::default();
    message.header.table = TABLE_LOCAL;
    message.header.kind = RouteType::Unicast;
    message.header.destination_prefix_length = 32;
    message.attributes =
        vec![RouteAttribute::Destination(RouteAddress::Inet(ADDRESS)), RouteAttribute::Oif(9)];
    message.attributes.extend(attributes);
    bytes(&RouteNetlinkMessage::NewRoute(message))
}

#[test]
fn a_way_reads_as_the_library_writes_it() {
    let gateway = Ipv4Addr::new(10, 0, 0, 1);
    let straight = Way { held: false, local: false, interface: Some(9), straight: true, source: None };
    assert_eq!(way(&unicast(Vec::new())).unwrap(), straight);
    let source = RouteAttribute::PrefSource(RouteAddress::Inet(gateway));
    assert_eq!(way(&unicast(vec![source])).unwrap(), Way { source: Some(gateway), ..straight });
    let mut held = unicast(Vec::new());
    // rtm_protocol, the sixth byte of struct rtmsg.
    held[5] = 83;
    assert_eq!(way(&held).unwrap(), Way { held: true, ..straight });
    let by_gateway = RouteAttribute::Gateway(RouteAddress::Inet(gateway));
    assert_eq!(way(&unicast(vec![by_gateway])).unwrap(), Way { straight: false, ..straight });
}

#[test]
fn a_route_of_table_local_is_read_with_whether_it_makes_the_address_the_hosts() {
    let held = HostRoute { address: ADDRESS, interface: 9, table: TABLE_LOCAL, local: false, held: true };
    let mut ours = unicast(Vec::new());
    ours[5] = 83;
    assert_eq!(parse_host_route(&ours).unwrap(), Some(held));
    let other = HostRoute { held: false, ..held };
    assert_eq!(parse_host_route(&unicast(Vec::new())).unwrap(), Some(other));
    let mut local = unicast(Vec::new());
    // rtm_type, the eighth byte of struct rtmsg.
    local[7] = 2;
    assert_eq!(parse_host_route(&local).unwrap(), Some(HostRoute { local: true, ..other }));
    let mut of_main = unicast(Vec::new());
    of_main[4] = 254;
    assert_eq!(parse_host_route(&of_main).unwrap(), Some(HostRoute { table: TABLE_MAIN, ..other }));
}

#[test]
fn a_route_with_several_hops_leaves_by_each_of_them() {
    let hop = |index| {
        let mut hop = RouteNextHop::default();
        hop.interface_index = index;
        hop.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(ADDRESS)));
        hop
    };
    let mut message = RouteMessage::default();
    message.attributes.push(RouteAttribute::MultiPath(vec![hop(3), hop(5)]));
    let body = bytes(&RouteNetlinkMessage::NewRoute(message));
    assert_eq!(interfaces_of_route(&body).unwrap(), [3, 5]);
}

#[test]
fn hops_of_impossible_length_end() {
    for length in [0_u16, 1, 7, u16::MAX] {
        let mut hop = length.to_ne_bytes().to_vec();
        hop.extend([0, 0, 3, 0, 0, 0, 9]);
        assert_eq!(interfaces_of_hops(&hop), [3], "{length}");
    }
}

#[test]
fn cut_messages_are_errors_and_never_a_panic() {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]));
    let whole = bytes(&RouteNetlinkMessage::NewLink(message));
    for length in 0..whole.len() {
        let cut = &whole[..length];
        assert!(parse_link(cut).is_err() || length == LINK_HEADER, "{length}");
        let _ = (address_of_link(cut), way(cut), parse_host_route(cut));
    }
}

#[test]
fn the_loopback_of_this_machine_is_found() {
    let mut route = Connection::open(crate::netlink::Protocol::Route).unwrap();
    let links = links(&mut route).unwrap();
    let lo = links.iter().find(|link| link.name == "lo").unwrap();
    assert!(lo.loopback);
    assert_eq!(link(&mut route, lo.index).unwrap().as_ref(), Some(lo));
    assert_eq!(link(&mut route, i32::MAX.unsigned_abs()).unwrap(), None);
    let ours = addresses(&mut route).unwrap();
    assert!(ours.iter().all(|(index, _)| links.iter().any(|link| link.index == *index)));
    let way = way_to(&mut route, Ipv4Addr::LOCALHOST).unwrap();
    assert!(way.is_none_or(|way| way.local && way.interface == Some(lo.index)));
    routed_interfaces(&mut route).unwrap();
}
