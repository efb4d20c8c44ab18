//! A veth pair between the host's namespace and another one, with one address and a default route: what a CNI plugin of
//! the policy-routing kind gives to a pod. For throw-away namespaces; real pods get theirs from the node's own plugin.

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressHeader, AddressScope};
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::neighbour::{NeighbourHeader, NeighbourState};
use netlink_packet_route::route::{RouteFlags, RouteHeader, RouteProtocol, RouteScope, RouteType};
use smc_abi::attribute::AttributeWriter;
use smc_abi::frame::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL};

use crate::HostError;
use crate::netlink::Connection;
use crate::netns::Netns;
use crate::route::{
    IFA_ADDRESS, IFA_LOCAL, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO, RTA_DST, RTA_OIF, TABLE_MAIN,
    request, writer,
};

// uapi/linux/if_link.h, uapi/linux/veth.h, uapi/linux/rtnetlink.h, uapi/linux/neighbour.h.
const IFLA_INFO_DATA: u16 = 2;
const IFLA_NET_NS_FD: u16 = 28;
const VETH_INFO_PEER: u16 = 1;
const RTA_GATEWAY: u16 = 5;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

/// The gateway of every such namespace. No interface has it: its hardware address is known beforehand.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// One end in the host, the other in a namespace.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// Name of the host's end.
    pub host: &'a str,
    /// Name of the end in the namespace.
    pub inside: &'a str,
    /// The address of the end in the namespace.
    pub address: Ipv4Addr,
}

impl Pair<'_> {
    /// Makes the pair between the namespace of `route` and `netns`, and routes between them. The pair goes with the
    /// namespace.
    pub fn connect(&self, route: &mut Connection, netns: &Netns) -> Result<(), HostError> {
        let Self { host, inside, address } = *self;
        self.create(route, netns)?;
        let outer = up(route, host)?;
        let gateway = outer.mac.ok_or_else(|| missing(host))?;
        add_route(route, &Route { to: Some(address), via: None, interface: outer.index })?;
        let mut within = netns.connect()?;
        up(&mut within.route, "lo")?;
        let inner = up(&mut within.route, inside)?;
        add_address(&mut within.route, address, inner.index)?;
        add_route(&mut within.route, &Route { to: Some(GATEWAY), via: None, interface: inner.index })?;
        add_route(&mut within.route, &Route { to: None, via: Some(GATEWAY), interface: inner.index })?;
        add_neighbour(&mut within.route, GATEWAY, gateway, inner.index)
    }

    fn create(&self, route: &mut Connection, netns: &Netns) -> Result<(), HostError> {
        let attempt = format_args!("make the veth pair {} and {}", self.host, self.inside);
        let descriptor = u32::try_from(netns.as_raw_fd()).unwrap_or_default();
        let peer = writer(&LinkHeader::default())
            .string(IFLA_IFNAME, self.inside)
            .u32(IFLA_NET_NS_FD, descriptor)
            .finish();
        let data = AttributeWriter::default().bytes(VETH_INFO_PEER, &peer);
        let info = AttributeWriter::default().string(IFLA_INFO_KIND, "veth").nested(IFLA_INFO_DATA, &data);
        let body = writer(&LinkHeader::default()).string(IFLA_IFNAME, self.host).nested(IFLA_LINKINFO, &info);
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        route.request(&attempt, &request(libc::RTM_NEWLINK, flags, body)).map(drop)
    }
}

/// Removes a link; fine when it is not there.
pub fn remove(route: &mut Connection, name: &str) -> Result<(), HostError> {
    let attempt = format_args!("remove the link {name}");
    let body = writer(&LinkHeader::default()).string(IFLA_IFNAME, name);
    let result = route.request(&attempt, &request(libc::RTM_DELLINK, NLM_F_ACK, body));
    crate::error::tolerate(result.map(drop), &[libc::ENODEV])
}

fn missing(name: &str) -> HostError {
    HostError::new(format!("find the link {name}"), crate::Cause::Unexpected("it is not there".to_owned()))
}

/// Brings a link up, and tells what it is.
pub(crate) fn up(route: &mut Connection, name: &str) -> Result<crate::route::Link, HostError> {
    let links = crate::route::links(route)?;
    let link = links.into_iter().find(|link| link.name == name).ok_or_else(|| missing(name))?;
    let attempt = format_args!("bring the link {name} up");
    let header = LinkHeader {
        index: link.index,
        flags: LinkFlags::Up,
        change_mask: LinkFlags::Up,
        ..LinkHeader::default()
    };
    route.request(&attempt, &request(libc::RTM_NEWLINK, NLM_F_ACK, writer(&header)))?;
    Ok(link)
}

fn add_address(route: &mut Connection, address: Ipv4Addr, interface: u32) -> Result<(), HostError> {
    let attempt = format_args!("put {address} on interface {interface} of the namespace");
    let header = AddressHeader {
        family: AddressFamily::Inet,
        prefix_len: 32,
        scope: AddressScope::Universe,
        index: interface,
        ..AddressHeader::default()
    };
    let body = writer(&header).bytes(IFA_LOCAL, &address.octets()).bytes(IFA_ADDRESS, &address.octets());
    route.request(&attempt, &request(libc::RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, body)).map(drop)
}

struct Route {
    /// A /32, or everything.
    to: Option<Ipv4Addr>,
    via: Option<Ipv4Addr>,
    interface: u32,
}

fn add_route(route: &mut Connection, wanted: &Route) -> Result<(), HostError> {
    let attempt = format_args!("add a route by interface {}", wanted.interface);
    let header = RouteHeader {
        address_family: AddressFamily::Inet,
        destination_prefix_length: if wanted.to.is_some() { 32 } else { 0 },
        table: TABLE_MAIN,
        protocol: RouteProtocol::Boot,
        scope: if wanted.via.is_some() { RouteScope::Universe } else { RouteScope::Link },
        kind: RouteType::Unicast,
        flags: if wanted.via.is_some() { RouteFlags::Onlink } else { RouteFlags::empty() },
        ..RouteHeader::default()
    };
    let mut body = writer(&header);
    if let Some(to) = wanted.to {
        body = body.bytes(RTA_DST, &to.octets());
    }
    if let Some(via) = wanted.via {
        body = body.bytes(RTA_GATEWAY, &via.octets());
    }
    let body = body.u32(RTA_OIF, wanted.interface);
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    route.request(&attempt, &request(libc::RTM_NEWROUTE, flags, body)).map(drop)
}

fn add_neighbour(
    route: &mut Connection,
    address: Ipv4Addr,
    mac: [u8; 6],
    interface: u32,
) -> Result<(), HostError> {
    let attempt = format_args!("tell the namespace where {address} is");
    let header = NeighbourHeader {
        family: AddressFamily::Inet,
        ifindex: interface,
        state: NeighbourState::Permanent,
        ..NeighbourHeader::default()
    };
    let body = writer(&header).bytes(NDA_DST, &address.octets()).bytes(NDA_LLADDR, &mac);
    route.request(&attempt, &request(libc::RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE, body)).map(drop)
}

#[cfg(test)]
mod tests;
