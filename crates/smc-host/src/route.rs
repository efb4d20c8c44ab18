//! Links, addresses and routes of the namespace that a connection was opened in.
//!
//! Headers and vocabulary are netlink-packet-route's; attributes are picked here. Its message types carry every attribute
//! that rtnetlink knows, 300 KiB of code that the plugin would be mapped with at every pod's start.

use std::fmt;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use netlink_packet_core::Emitable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteFlags, RouteHeader, RouteProtocol, RouteType};
use smc_abi::attribute::{Attribute, AttributeWriter, attributes};
use smc_abi::frame::{NLM_F_DUMP, NLM_F_REQUEST};
use smc_abi::{DecodeError, Request};

use crate::netlink::Connection;
use crate::{Cause, HostError};

mod address;
mod link;

pub(crate) use address::{IFA_ADDRESS, IFA_LOCAL};
pub use address::{addresses, addresses6};
pub(crate) use link::{IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO};
pub use link::{Link, link, links};

/// The index of the loopback device in every namespace (net/net_namespace.h, `LOOPBACK_IFINDEX`).
pub(crate) const LOOPBACK: u32 = 1;
/// `RT_TABLE_LOCAL`.
pub(crate) const TABLE_LOCAL: u8 = 255;
/// `RT_TABLE_MAIN`.
pub(crate) const TABLE_MAIN: u8 = 254;

// uapi/linux/rtnetlink.h.
pub(crate) const RTA_DST: u16 = 1;
pub(crate) const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
pub(crate) const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
// uapi/linux/net_namespace.h.
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

/// Bytes of `struct rtmsg`.
const ROUTE_HEADER: usize = 12;
/// Bytes of `struct rtgenmsg`, as attributes are aligned.
const GENERIC_HEADER: usize = 4;

/// Where a packet to an address would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Whether by the route that holds a pod's packets, see [`crate::anchor::hold`].
    pub held: bool,
    /// Whether the packet would be taken for the host's own; so are broadcasts of its networks.
    pub local: bool,
    /// Index of the interface it leaves by.
    pub interface: Option<u32>,
    /// Whether it goes to its address itself, and not to a gateway, or by one of several ways.
    pub straight: bool,
    /// The source address that the route gives to the host's own packets, when it gives one.
    pub source: Option<Ipv4Addr>,
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

/// What the kernel answers where there is no route, or one of type unreachable, blackhole or prohibit
/// (net/ipv4/fib_semantics.c, `fib_props`).
const LEADS_NOWHERE: [i32; 4] = [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EINVAL, libc::EACCES];

/// Where a packet to `address` would go; `None` when it would go nowhere.
pub fn way_to(route: &mut Connection, address: Ipv4Addr) -> Result<Option<Way>, HostError> {
    let header = RouteHeader {
        address_family: AddressFamily::Inet,
        destination_prefix_length: 32,
        // The route itself, not what the host's own packets would make of it.
        flags: RouteFlags::LookupTable | RouteFlags::FibMatch,
        ..RouteHeader::default()
    };
    let body = writer(&header).bytes(RTA_DST, &address.octets());
    let attempt = format_args!("look up the route to {address}");
    match ask(route, &attempt, &request(libc::RTM_GETROUTE, 0, body), way) {
        Err(error) if error.errno().is_some_and(|errno| LEADS_NOWHERE.contains(&errno)) => Ok(None),
        ways => Ok(ways?.into_iter().next()),
    }
}

fn way(body: &[u8]) -> Result<Way, Cause> {
    let header = RouteHeader::parse(body).map_err(|error| not_understood(&error))?;
    let mut way = Way {
        // Not by its table: the kernel says main of both while they are one (net/ipv4/fib_trie.c, `fib_trie_unmerge`).
        held: is_held(&header),
        local: matches!(header.kind, RouteType::Local | RouteType::Broadcast | RouteType::Anycast),
        interface: interfaces_of_route(body)?.into_iter().next(),
        straight: true,
        source: None,
    };
    for attribute in after(body, ROUTE_HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            RTA_GATEWAY | RTA_VIA | RTA_MULTIPATH => way.straight = false,
            RTA_PREFSRC => way.source = ipv4(&attribute),
            _ => {}
        }
    }
    Ok(way)
}

/// A route to one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostRoute {
    /// The address.
    pub address: Ipv4Addr,
    /// Index of the interface it leaves by.
    pub interface: u32,
    /// The number of its table (uapi/linux/rtnetlink.h, `rt_class_t`).
    pub table: u8,
    /// Whether the address is the host's own by it.
    pub local: bool,
    /// Whether it holds a pod's packets, see [`crate::anchor::hold`].
    pub held: bool,
}

impl HostRoute {
    /// Whether it stands in table local.
    pub fn in_local(&self) -> bool {
        self.table == TABLE_LOCAL
    }

    /// Whether it stands in table main.
    pub fn in_main(&self) -> bool {
        self.table == TABLE_MAIN
    }
}

/// Who made the routes that hold pods' packets, by a number that nobody else uses (iproute2's rt_protos).
pub(crate) const HOLD_PROTOCOL: RouteProtocol = RouteProtocol::Other(83);

fn is_held(header: &RouteHeader) -> bool {
    header.kind == RouteType::Unicast && header.protocol == HOLD_PROTOCOL
}

/// Every route to one address, of whatever table.
pub fn host_routes(route: &mut Connection) -> Result<Vec<HostRoute>, HostError> {
    let header = RouteHeader { address_family: AddressFamily::Inet, ..RouteHeader::default() };
    let request = request(libc::RTM_GETROUTE, NLM_F_DUMP, writer(&header));
    let found = ask(route, &"list the routes", &request, parse_host_route)?;
    Ok(found.into_iter().flatten().collect())
}

fn parse_host_route(body: &[u8]) -> Result<Option<HostRoute>, Cause> {
    let header = RouteHeader::parse(body).map_err(|error| not_understood(&error))?;
    let local = header.kind == RouteType::Local;
    let is_one = local || header.kind == RouteType::Unicast;
    // What the kernel learned of a path (its MTU, a redirect) is dumped like a route.
    if header.destination_prefix_length != 32 || !is_one || header.flags.contains(RouteFlags::Cloned) {
        return Ok(None);
    }
    let (table, held) = (header.table, header.table == TABLE_LOCAL && is_held(&header));
    let mut address = None;
    for attribute in after(body, ROUTE_HEADER) {
        let attribute = attribute?;
        if attribute.kind == RTA_DST {
            address = ipv4(&attribute);
        }
    }
    let interface = interfaces_of_route(body)?.into_iter().next();
    let route = |(address, interface)| HostRoute { address, interface, table, local, held };
    Ok(address.zip(interface).map(route))
}

/// By which interface the host would send packets to an address without the route of ours that holds them: a way's own, or that of
/// the route to the address in table main.
pub fn interface_without_hold(
    route: &mut Connection,
    address: Ipv4Addr,
    way: &Way,
) -> Result<Option<u32>, HostError> {
    if !way.held {
        return Ok(way.interface);
    }
    let routes = host_routes(route)?;
    Ok(routes.iter().find(|route| route.address == address && route.in_main()).map(|route| route.interface))
}

/// The number that the connection's namespace has for another; `None` when it never had to do with it.
pub fn number_of(route: &mut Connection, netns: &impl AsRawFd) -> Result<Option<i32>, HostError> {
    let attempt = "ask for the number of a network namespace";
    let descriptor = u32::try_from(netns.as_raw_fd()).unwrap_or_default();
    let body = AttributeWriter::new(&[0; GENERIC_HEADER]).u32(NETNSA_FD, descriptor);
    let found = ask(route, &attempt, &request(libc::RTM_GETNSID, 0, body), |body| {
        for attribute in after(body, GENERIC_HEADER) {
            let attribute = attribute?;
            if attribute.kind == NETNSA_NSID {
                return Ok(Some(attribute.u32("NETNSA_NSID")?.cast_signed()));
            }
        }
        Ok(None)
    })?;
    // NETNSA_NSID_NOT_ASSIGNED.
    Ok(found.into_iter().flatten().find(|&number| number >= 0))
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
