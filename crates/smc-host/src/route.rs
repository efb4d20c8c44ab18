//! Links, addresses and routes of the namespace that a connection was opened in.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use smc_abi::frame::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP};
use smc_model::Ipv4Net;

use crate::netlink::Connection;
use crate::{HostError, error};

/// The dummy link in the host's namespace that carries source anchors.
pub const ANCHOR_LINK: &str = "kubesmc0";

/// `RT_TABLE_LOCAL`.
const TABLE_LOCAL: u8 = 255;

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// The driver's kind, such as `veth`; empty for hardware.
    pub kind: String,
    /// Hardware address.
    pub mac: Option<[u8; 6]>,
    /// Index of the other end of a pair, in the other end's namespace.
    pub peer: Option<u32>,
    /// Whether it is a loopback device.
    pub loopback: bool,
    /// Whether it is administratively up.
    pub up: bool,
}

/// Where a packet to an address would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Whether the route that was found stands in table local.
    pub local_table: bool,
    /// Whether the packet would be taken for the host's own; so are broadcasts of its networks.
    pub local: bool,
    /// Index of the interface it leaves by.
    pub interface: Option<u32>,
}

/// Every link.
pub fn links(route: &mut Connection) -> Result<Vec<Link>, HostError> {
    let mut message = LinkMessage::default();
    // Statistics are most of what the kernel would tell of a link.
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let message = RouteNetlinkMessage::GetLink(message);
    let answers = route.route_request("list the links", &message, NLM_F_DUMP)?;
    let links = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(message) => Some(link(message)),
        _ => None,
    });
    Ok(links.collect())
}

fn link(message: LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        kind: String::new(),
        mac: None,
        peer: None,
        loopback: message.header.flags.contains(LinkFlags::Loopback),
        up: message.header.flags.contains(LinkFlags::Up),
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Address(bytes) => link.mac = bytes.try_into().ok(),
            LinkAttribute::Link(index) => link.peer = Some(index),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        link.kind = kind.to_string();
                    }
                }
            }
            _ => {}
        }
    }
    link
}

/// The index of the anchor link in the calling thread's namespace; `None` when it is not there.
pub fn anchor_link() -> Option<u32> {
    nix::net::if_::if_nametoindex(ANCHOR_LINK).ok()
}

/// Every IPv4 address with the index of its interface.
pub fn addresses(route: &mut Connection) -> Result<Vec<(u32, Ipv4Net)>, HostError> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    let answers =
        route.route_request("list the addresses", &RouteNetlinkMessage::GetAddress(message), NLM_F_DUMP)?;
    let addresses = answers.into_iter().filter_map(|answer| {
        let RouteNetlinkMessage::NewAddress(message) = answer else { return None };
        // IFA_LOCAL is the interface's own address; IFA_ADDRESS is the peer's on a point-to-point link.
        let local = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
            _ => None,
        });
        Some((message.header.index, Ipv4Net::new(local?, message.header.prefix_len).ok()?))
    });
    Ok(addresses.collect())
}

/// Indices of the interfaces by which an IPv4 unicast route leaves, in any table but local.
pub fn routed_interfaces(route: &mut Connection) -> Result<Vec<u32>, HostError> {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    let answers =
        route.route_request("list the routes", &RouteNetlinkMessage::GetRoute(message), NLM_F_DUMP)?;
    let mut interfaces = Vec::new();
    for answer in answers {
        let RouteNetlinkMessage::NewRoute(message) = answer else { continue };
        if message.header.kind != RouteType::Unicast || message.header.table == TABLE_LOCAL {
            continue;
        }
        for attribute in message.attributes {
            match attribute {
                RouteAttribute::Oif(index) => interfaces.push(index),
                RouteAttribute::MultiPath(hops) => {
                    interfaces.extend(hops.iter().map(|hop| hop.interface_index));
                }
                _ => {}
            }
        }
    }
    Ok(interfaces)
}

/// Where a packet to `address` would go; `None` when there is no route.
pub fn way_to(route: &mut Connection, address: Ipv4Addr) -> Result<Option<Way>, HostError> {
    let attempt = format!("look up the route to {address}");
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = 32;
    message.header.flags = RouteFlags::LookupTable;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(address)));
    let answers = match route.route_request(&attempt, &RouteNetlinkMessage::GetRoute(message), 0) {
        Err(error) if matches!(error.errno(), Some(libc::ENETUNREACH | libc::EHOSTUNREACH)) => {
            return Ok(None);
        }
        other => other?,
    };
    Ok(answers.into_iter().find_map(|answer| {
        let RouteNetlinkMessage::NewRoute(message) = answer else { return None };
        let interface = message.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        });
        Some(Way {
            local_table: message.header.table == TABLE_LOCAL,
            local: matches!(
                message.header.kind,
                RouteType::Local | RouteType::Broadcast | RouteType::Anycast
            ),
            interface,
        })
    }))
}

/// A /32 in table local, leaving by `interface`.
fn host_route(address: Ipv4Addr, interface: u32, kind: RouteType, header: &RouteHeader) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: AddressFamily::Inet,
        destination_prefix_length: 32,
        table: TABLE_LOCAL,
        kind,
        ..header.clone()
    };
    message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(address)));
    message.attributes.push(RouteAttribute::Oif(interface));
    message
}

/// Puts a unicast /32 towards `interface` in front of table local; fine when it is there.
pub fn hold(route: &mut Connection, address: Ipv4Addr, interface: u32) -> Result<(), HostError> {
    let attempt = format!("keep {address} routed to interface {interface}");
    let header =
        RouteHeader { protocol: RouteProtocol::Boot, scope: RouteScope::Link, ..RouteHeader::default() };
    let message = RouteNetlinkMessage::NewRoute(host_route(address, interface, RouteType::Unicast, &header));
    // Without NLM_F_EXCL and NLM_F_APPEND the kernel puts it before a local route of the same prefix.
    let result = route.route_request(&attempt, &message, NLM_F_ACK | NLM_F_CREATE);
    error::tolerate(result.map(drop), &[libc::EEXIST])
}

/// Removes what [`hold`] put there; fine when it is gone.
pub fn unhold(route: &mut Connection, address: Ipv4Addr, interface: u32) -> Result<(), HostError> {
    delete_local(route, address, interface, RouteType::Unicast)
}

/// Removes the local route that an address on `interface` brought along; fine when it is gone.
pub fn drop_local(route: &mut Connection, address: Ipv4Addr, interface: u32) -> Result<(), HostError> {
    delete_local(route, address, interface, RouteType::Local)
}

fn delete_local(
    route: &mut Connection,
    address: Ipv4Addr,
    interface: u32,
    kind: RouteType,
) -> Result<(), HostError> {
    let attempt = format!("remove the {kind:?} route to {address} by interface {interface} from table local");
    // Scope nowhere matches any scope (net/ipv4/fib_trie.c, fib_table_delete).
    let header = RouteHeader { scope: RouteScope::NoWhere, ..RouteHeader::default() };
    let message = RouteNetlinkMessage::DelRoute(host_route(address, interface, kind, &header));
    let result = route.route_request(&attempt, &message, NLM_F_ACK);
    error::tolerate(result.map(drop), &[libc::ESRCH, libc::ENODEV])
}

/// Puts `address`/32 with scope host on `interface`; fine when it is there.
pub fn add_address(route: &mut Connection, address: Ipv4Addr, interface: u32) -> Result<(), HostError> {
    let attempt = format!("put {address} on interface {interface}");
    let message = RouteNetlinkMessage::NewAddress(address_message(address, interface));
    let result = route.route_request(&attempt, &message, NLM_F_ACK | NLM_F_CREATE);
    error::tolerate(result.map(drop), &[libc::EEXIST])
}

/// Takes `address`/32 off `interface`; fine when it is not there.
pub fn delete_address(route: &mut Connection, address: Ipv4Addr, interface: u32) -> Result<(), HostError> {
    let attempt = format!("take {address} off interface {interface}");
    let message = RouteNetlinkMessage::DelAddress(address_message(address, interface));
    let result = route.route_request(&attempt, &message, NLM_F_ACK);
    error::tolerate(result.map(drop), &[libc::EADDRNOTAVAIL, libc::ENODEV])
}

fn address_message(address: Ipv4Addr, interface: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = 32;
    message.header.scope = AddressScope::Host;
    message.header.index = interface;
    message.attributes.push(AddressAttribute::Local(IpAddr::V4(address)));
    message.attributes.push(AddressAttribute::Address(IpAddr::V4(address)));
    message
}
