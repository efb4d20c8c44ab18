//! The host's side of a source anchor: a pod's address on the anchor link, and the route that holds the pod's packets.
//!
//! On mainline kernels a server finds its RDMA device only when the host has a route *from* the pod's address
//! (net/smc/smc_ib.c, `smc_ib_find_route`). So the address stands on a dummy link of the host that is down. Whatever brings that
//! link up would make the host take the pod's packets for its own: a unicast route to the pod stands in front of the local one
//! for the pod's whole life.

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressHeader, AddressScope};
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::route::{RouteHeader, RouteProtocol, RouteScope, RouteType};
use smc_abi::attribute::AttributeWriter;
use smc_abi::frame::{NLM_F_ACK, NLM_F_CREATE};

use crate::netlink::Connection;
use crate::route::{
    HOLD_PROTOCOL, IFA_ADDRESS, IFA_LOCAL, RTA_DST, RTA_OIF, RTA_PREFSRC, TABLE_LOCAL, link, number_of,
    request, writer,
};
use crate::{HostError, error};

/// The dummy link in the host's namespace that carries source anchors.
pub const LINK: &str = "kubesmc0";

/// The index of the anchor link in the calling thread's namespace; `None` when it is not there.
pub fn link_index() -> Option<u32> {
    nix::net::if_::if_nametoindex(LINK).ok()
}

/// By which interface of the host (`route`) packets to an address of the pod must leave: the other end of the pod's interface
/// `inside`, or the bridge that this is a port of. `peer` is that end's index by the pod's word, which a pod may choose as it
/// likes (a pair of its own, with any indices); the host's word decides. `None` when the other end is not in the host's namespace.
pub fn towards_pod(
    route: &mut Connection,
    netns: &impl AsRawFd,
    inside: u32,
    peer: u32,
) -> Result<Option<u32>, HostError> {
    let Some(outer) = link(route, peer)? else { return Ok(None) };
    // Looking at a link gives the other end's namespace its number, when it has none yet.
    if outer.peer != Some(inside) || outer.peer_netns.is_none() {
        return Ok(None);
    }
    let is_of_the_pod = outer.peer_netns == number_of(route, netns)?;
    Ok(is_of_the_pod.then(|| outer.master.unwrap_or(peer)))
}

/// Puts a unicast /32 towards `interface` in front of table local; fine when it is there. The host's own packets get `source`
/// as theirs, as by the route that this one stands before.
pub fn hold(
    route: &mut Connection,
    address: Ipv4Addr,
    interface: u32,
    source: Option<Ipv4Addr>,
) -> Result<(), HostError> {
    let header = RouteHeader { protocol: HOLD_PROTOCOL, scope: RouteScope::Link, ..RouteHeader::default() };
    let mut body = host_route(address, Some(interface), RouteType::Unicast, &header);
    if let Some(source) = source {
        body = body.bytes(RTA_PREFSRC, &source.octets());
    }
    // Without NLM_F_EXCL and NLM_F_APPEND the kernel puts it before a local route of the same prefix.
    let request = request(libc::RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, body);
    let attempt = format_args!("keep {address} routed to interface {interface}");
    error::tolerate(route.request(&attempt, &request).map(drop), &[libc::EEXIST])
}

/// Removes what [`hold`] put there, by whatever interface where none is given; fine when it is gone.
pub fn unhold(route: &mut Connection, address: Ipv4Addr, interface: Option<u32>) -> Result<(), HostError> {
    delete(route, address, interface, RouteType::Unicast)
}

/// Removes the local route that an address on `interface` brought along; fine when it is gone.
pub fn drop_local(route: &mut Connection, address: Ipv4Addr, interface: u32) -> Result<(), HostError> {
    delete(route, address, Some(interface), RouteType::Local)
}

fn delete(
    route: &mut Connection,
    address: Ipv4Addr,
    interface: Option<u32>,
    kind: RouteType,
) -> Result<(), HostError> {
    let attempt = format_args!("remove the {kind:?} route to {address} from table local");
    // Scope nowhere matches any scope, and no protocol any (net/ipv4/fib_trie.c, fib_table_delete).
    let protocol = if kind == RouteType::Unicast { HOLD_PROTOCOL } else { RouteProtocol::Unspec };
    let header = RouteHeader { scope: RouteScope::NoWhere, protocol, ..RouteHeader::default() };
    let body = host_route(address, interface, kind, &header);
    let result = route.request(&attempt, &request(libc::RTM_DELROUTE, NLM_F_ACK, body));
    error::tolerate(result.map(drop), &[libc::ESRCH, libc::ENODEV])
}

/// A /32 in table local, leaving by `interface`.
fn host_route(
    address: Ipv4Addr,
    interface: Option<u32>,
    kind: RouteType,
    header: &RouteHeader,
) -> AttributeWriter {
    let header = RouteHeader {
        address_family: AddressFamily::Inet,
        destination_prefix_length: 32,
        table: TABLE_LOCAL,
        kind,
        ..header.clone()
    };
    let body = writer(&header).bytes(RTA_DST, &address.octets());
    match interface {
        Some(interface) => body.u32(RTA_OIF, interface),
        None => body,
    }
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

/// Brings the anchor link down. The local routes that came when it was brought up stay (net/ipv4/fib_semantics.c,
/// `fib_sync_down_dev`).
pub fn bring_down(route: &mut Connection, index: u32) -> Result<(), HostError> {
    let header = LinkHeader { index, change_mask: LinkFlags::Up, ..LinkHeader::default() };
    let attempt = format_args!("bring the link {LINK} down");
    route.request(&attempt, &request(libc::RTM_NEWLINK, NLM_F_ACK, writer(&header))).map(drop)
}

#[cfg(test)]
mod tests;
