use std::net::Ipv4Addr;

use netlink_packet_core::Parseable as _;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteNextHop};

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
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]),
    ];
    let read = parse_link(&bytes(&RouteNetlinkMessage::NewLink(message))).unwrap();
    let expected = Link {
        index: 7,
        name: "eth0".into(),
        kind: "veth".into(),
        mac: Some([1, 2, 3, 4, 5, 6]),
        peer: Some(12),
        loopback: false,
        up: true,
    };
    assert_eq!(read, expected);
}

#[test]
fn an_address_is_written_as_the_library_reads_it_and_read_as_it_writes_it() {
    let body = address_on_link(ADDRESS, 7).finish();
    let message = AddressMessage::parse(&body[..]).unwrap();
    assert_eq!((message.header.index, message.header.prefix_len), (7, 32));
    assert_eq!(message.header.scope, AddressScope::Host);
    let own = [AddressAttribute::Local(ADDRESS.into()), AddressAttribute::Address(ADDRESS.into())];
    assert_eq!(message.attributes, own);
    let read = address_of_link(&bytes(&RouteNetlinkMessage::NewAddress(message))).unwrap();
    assert_eq!(read, Some((7, "10.0.0.21/32".parse().unwrap())));
}

#[test]
fn a_route_is_written_as_the_library_reads_it() {
    let header = RouteHeader { scope: RouteScope::Link, ..RouteHeader::default() };
    let body = host_route(ADDRESS, 9, RouteType::Unicast, &header).finish();
    let message = RouteMessage::parse(&body[..]).unwrap();
    assert_eq!((message.header.table, message.header.kind), (TABLE_LOCAL, RouteType::Unicast));
    assert_eq!(message.header.destination_prefix_length, 32);
    let expected = [RouteAttribute::Destination(RouteAddress::Inet(ADDRESS)), RouteAttribute::Oif(9)];
    assert_eq!(message.attributes, expected);
    let way = way(&body).unwrap();
    assert_eq!(way, Way { local_table: true, local: false, interface: Some(9) });
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
        let _ = (address_of_link(cut), way(cut));
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
