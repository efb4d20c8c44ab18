//! Links, addresses and routes of the namespace that a connection was opened in.
//!
//! Headers and vocabulary are netlink-packet-route's; attributes are picked here. Its message types carry every attribute
//! that rtnetlink knows, 300 KiB of code that the plugin would be mapped with at every pod's start.

use std::fmt;
use std::net::Ipv4Addr;

use netlink_packet_core::Emitable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressHeader, AddressScope};
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::route::{RouteFlags, RouteHeader, RouteProtocol, RouteScope, RouteType};
use smc_abi::attribute::{Attribute, AttributeWriter, attributes};
use smc_abi::frame::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST};
use smc_abi::{DecodeError, Request};
use smc_model::Ipv4Net;

use crate::netlink::Connection;
use crate::{Cause, HostError, error};

/// The dummy link in the host's namespace that carries source anchors.
pub const ANCHOR_LINK: &str = "kubesmc0";

/// `RT_TABLE_LOCAL`.
const TABLE_LOCAL: u8 = 255;

// uapi/linux/if_link.h, uapi/linux/if_addr.h, uapi/linux/rtnetlink.h.
const IFLA_ADDRESS: u16 = 1;
pub(crate) const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
pub(crate) const IFLA_LINKINFO: u16 = 18;
pub(crate) const IFLA_INFO_KIND: u16 = 1;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
pub(crate) const IFA_ADDRESS: u16 = 1;
pub(crate) const IFA_LOCAL: u16 = 2;
pub(crate) const RTA_DST: u16 = 1;
pub(crate) const RTA_OIF: u16 = 4;
const RTA_MULTIPATH: u16 = 9;

/// Bytes of `struct ifinfomsg`, `struct ifaddrmsg` and `struct rtmsg`.
pub(crate) const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

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
    // Statistics are most of what the kernel would tell of a link.
    let body = writer(&LinkHeader::default()).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    ask(route, &"list the links", &request(libc::RTM_GETLINK, NLM_F_DUMP, body), parse_link)
}

/// One link by its index; `None` when it is not in the connection's namespace. A host has a link for each pod: where few
/// are wanted, listing them costs many times this.
pub fn link(route: &mut Connection, index: u32) -> Result<Option<Link>, HostError> {
    let header = LinkHeader { index, ..LinkHeader::default() };
    let body = writer(&header).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    let attempt = format_args!("look at the link {index}");
    match ask(route, &attempt, &request(libc::RTM_GETLINK, 0, body), parse_link) {
        Err(error) if error.errno() == Some(libc::ENODEV) => Ok(None),
        found => Ok(found?.into_iter().next()),
    }
}

fn parse_link(body: &[u8]) -> Result<Link, Cause> {
    let header = LinkHeader::parse(body).map_err(|error| not_understood(&error))?;
    let mut link = Link {
        index: header.index,
        name: String::new(),
        kind: String::new(),
        mac: None,
        peer: None,
        loopback: header.flags.contains(LinkFlags::Loopback),
        up: header.flags.contains(LinkFlags::Up),
    };
    for attribute in after(body, LINK_HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            IFLA_IFNAME => attribute.string("IFLA_IFNAME")?.clone_into(&mut link.name),
            IFLA_ADDRESS => link.mac = attribute.payload.try_into().ok(),
            IFLA_LINK => link.peer = Some(attribute.u32("IFLA_LINK")?),
            IFLA_LINKINFO => {
                for info in attribute.nested() {
                    let info = info?;
                    if info.kind == IFLA_INFO_KIND {
                        info.string("IFLA_INFO_KIND")?.clone_into(&mut link.kind);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(link)
}

/// The index of the anchor link in the calling thread's namespace; `None` when it is not there.
pub fn anchor_link() -> Option<u32> {
    nix::net::if_::if_nametoindex(ANCHOR_LINK).ok()
}

/// Every IPv4 address with the index of its interface.
pub fn addresses(route: &mut Connection) -> Result<Vec<(u32, Ipv4Net)>, HostError> {
    let body = writer(&AddressHeader { family: AddressFamily::Inet, ..AddressHeader::default() });
    let found =
        ask(route, &"list the addresses", &request(libc::RTM_GETADDR, NLM_F_DUMP, body), address_of_link)?;
    Ok(found.into_iter().flatten().collect())
}

fn address_of_link(body: &[u8]) -> Result<Option<(u32, Ipv4Net)>, Cause> {
    let header = AddressHeader::parse(body).map_err(|error| not_understood(&error))?;
    for attribute in after(body, ADDRESS_HEADER) {
        let attribute = attribute?;
        // IFA_LOCAL is the interface's own address; IFA_ADDRESS is the peer's on a point-to-point link.
        if attribute.kind == IFA_LOCAL {
            let net = ipv4(&attribute).and_then(|local| Ipv4Net::new(local, header.prefix_len).ok());
            return Ok(net.map(|net| (header.index, net)));
        }
    }
    Ok(None)
}

/// Indices of the interfaces by which an IPv4 unicast route leaves, in any table but local.
pub fn routed_interfaces(route: &mut Connection) -> Result<Vec<u32>, HostError> {
    let body = writer(&RouteHeader { address_family: AddressFamily::Inet, ..RouteHeader::default() });
    let request = request(libc::RTM_GETROUTE, NLM_F_DUMP, body);
    let found = ask(route, &"list the routes", &request, |body| {
        let header = RouteHeader::parse(body).map_err(|error| not_understood(&error))?;
        let leaves = header.kind == RouteType::Unicast && header.table != TABLE_LOCAL;
        if leaves { interfaces_of_route(body) } else { Ok(Vec::new()) }
    })?;
    Ok(found.concat())
}

fn interfaces_of_route(body: &[u8]) -> Result<Vec<u32>, Cause> {
    let mut interfaces = Vec::new();
    for attribute in after(body, ROUTE_HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            RTA_OIF => interfaces.push(attribute.u32("RTA_OIF")?),
            RTA_MULTIPATH => interfaces.extend(interfaces_of_hops(attribute.payload)),
            _ => {}
        }
    }
    Ok(interfaces)
}

/// The interfaces of a `struct rtnexthop` array: length (2 bytes), flags, hops, interface index (4 bytes), attributes.
fn interfaces_of_hops(mut hops: &[u8]) -> Vec<u32> {
    let mut interfaces = Vec::new();
    while let Some(([l0, l1, _, _, index @ ..], _)) = hops.split_first_chunk::<8>() {
        interfaces.push(u32::from_ne_bytes(*index));
        let length = usize::from(u16::from_ne_bytes([*l0, *l1])).next_multiple_of(4);
        // A length of nothing would never end.
        hops = hops.get(length.max(8)..).unwrap_or_default();
    }
    interfaces
}

/// Where a packet to `address` would go; `None` when there is no route.
pub fn way_to(route: &mut Connection, address: Ipv4Addr) -> Result<Option<Way>, HostError> {
    let header = RouteHeader {
        address_family: AddressFamily::Inet,
        destination_prefix_length: 32,
        flags: RouteFlags::LookupTable,
        ..RouteHeader::default()
    };
    let body = writer(&header).bytes(RTA_DST, &address.octets());
    let attempt = format_args!("look up the route to {address}");
    match ask(route, &attempt, &request(libc::RTM_GETROUTE, 0, body), way) {
        Err(error) if matches!(error.errno(), Some(libc::ENETUNREACH | libc::EHOSTUNREACH)) => Ok(None),
        ways => Ok(ways?.into_iter().next()),
    }
}

fn way(body: &[u8]) -> Result<Way, Cause> {
    let header = RouteHeader::parse(body).map_err(|error| not_understood(&error))?;
    Ok(Way {
        local_table: header.table == TABLE_LOCAL,
        local: matches!(header.kind, RouteType::Local | RouteType::Broadcast | RouteType::Anycast),
        interface: interfaces_of_route(body)?.into_iter().next(),
    })
}

/// Puts a unicast /32 towards `interface` in front of table local; fine when it is there.
pub fn hold(route: &mut Connection, address: Ipv4Addr, interface: u32) -> Result<(), HostError> {
    let header =
        RouteHeader { protocol: RouteProtocol::Boot, scope: RouteScope::Link, ..RouteHeader::default() };
    let body = host_route(address, interface, RouteType::Unicast, &header);
    // Without NLM_F_EXCL and NLM_F_APPEND the kernel puts it before a local route of the same prefix.
    let request = request(libc::RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, body);
    let attempt = format_args!("keep {address} routed to interface {interface}");
    error::tolerate(route.request(&attempt, &request).map(drop), &[libc::EEXIST])
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
    let attempt =
        format_args!("remove the {kind:?} route to {address} by interface {interface} from table local");
    // Scope nowhere matches any scope (net/ipv4/fib_trie.c, fib_table_delete).
    let header = RouteHeader { scope: RouteScope::NoWhere, ..RouteHeader::default() };
    let body = host_route(address, interface, kind, &header);
    let result = route.request(&attempt, &request(libc::RTM_DELROUTE, NLM_F_ACK, body));
    error::tolerate(result.map(drop), &[libc::ESRCH, libc::ENODEV])
}

/// A /32 in table local, leaving by `interface`.
fn host_route(address: Ipv4Addr, interface: u32, kind: RouteType, header: &RouteHeader) -> AttributeWriter {
    let header = RouteHeader {
        address_family: AddressFamily::Inet,
        destination_prefix_length: 32,
        table: TABLE_LOCAL,
        kind,
        ..header.clone()
    };
    writer(&header).bytes(RTA_DST, &address.octets()).u32(RTA_OIF, interface)
}

/// Puts `address`/32 with scope host on `interface`; fine when it is there.
pub fn add_address(route: &mut Connection, address: Ipv4Addr, interface: u32) -> Result<(), HostError> {
    let attempt = format_args!("put {address} on interface {interface}");
    let body = address_on_link(address, interface);
    let result = route.request(&attempt, &request(libc::RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, body));
    error::tolerate(result.map(drop), &[libc::EEXIST])
}

/// Takes `address`/32 off `interface`; fine when it is not there.
pub fn delete_address(route: &mut Connection, address: Ipv4Addr, interface: u32) -> Result<(), HostError> {
    let attempt = format_args!("take {address} off interface {interface}");
    let body = address_on_link(address, interface);
    let result = route.request(&attempt, &request(libc::RTM_DELADDR, NLM_F_ACK, body));
    error::tolerate(result.map(drop), &[libc::EADDRNOTAVAIL, libc::ENODEV])
}

fn address_on_link(address: Ipv4Addr, interface: u32) -> AttributeWriter {
    let header = AddressHeader {
        family: AddressFamily::Inet,
        prefix_len: 32,
        scope: AddressScope::Host,
        index: interface,
        ..AddressHeader::default()
    };
    writer(&header).bytes(IFA_LOCAL, &address.octets()).bytes(IFA_ADDRESS, &address.octets())
}

pub(crate) fn writer(header: &impl Emitable) -> AttributeWriter {
    let mut bytes = vec![0; header.buffer_len()];
    header.emit(&mut bytes);
    AttributeWriter::new(&bytes)
}

pub(crate) fn request(message_type: u16, flags: u16, body: AttributeWriter) -> Request {
    Request { message_type, flags: NLM_F_REQUEST | flags, body: body.finish() }
}

/// Sends a request and reads each answer with `read`.
fn ask<T>(
    route: &mut Connection,
    attempt: &dyn fmt::Display,
    request: &Request,
    read: impl Fn(&[u8]) -> Result<T, Cause>,
) -> Result<Vec<T>, HostError> {
    let answers = route.request(attempt, request)?;
    let read = answers.iter().map(|answer| read(&answer.body)).collect::<Result<_, _>>();
    read.map_err(HostError::at(attempt))
}

/// The attributes of a message that begins with a header of `length` bytes.
fn after(body: &[u8], length: usize) -> impl Iterator<Item = Result<Attribute<'_>, DecodeError>> {
    attributes(body.get(length..).unwrap_or_default())
}

fn ipv4(attribute: &Attribute<'_>) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(attribute.payload).ok().map(Ipv4Addr::from)
}

fn not_understood(error: &netlink_packet_core::DecodeError) -> Cause {
    Cause::Answer(error.to_string())
}

#[cfg(test)]
mod tests;
