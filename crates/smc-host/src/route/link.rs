//! Links.

use netlink_packet_route::link::{LinkFlags, LinkHeader};
use smc_abi::frame::NLM_F_DUMP;

use super::{after, ask, not_understood, request, writer};
use crate::netlink::Connection;
use crate::{Cause, HostError};

// uapi/linux/if_link.h.
const IFLA_ADDRESS: u16 = 1;
pub(crate) const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
pub(crate) const IFLA_LINKINFO: u16 = 18;
pub(crate) const IFLA_INFO_KIND: u16 = 1;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_LINK_NETNSID: u16 = 37;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
/// Bytes of `struct ifinfomsg`.
pub(super) const LINK_HEADER: usize = 16;

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
    /// The other end's namespace by the number that the connection's namespace has for it; `None` when it is the same one.
    pub peer_netns: Option<i32>,
    /// Index of the bridge, bond or the like that it is a port of.
    pub master: Option<u32>,
    /// Whether it is a loopback device.
    pub loopback: bool,
    /// Whether it is administratively up.
    pub up: bool,
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

pub(super) fn parse_link(body: &[u8]) -> Result<Link, Cause> {
    let header = LinkHeader::parse(body).map_err(|error| not_understood(&error))?;
    let mut link = Link {
        index: header.index,
        name: String::new(),
        kind: String::new(),
        mac: None,
        peer: None,
        peer_netns: None,
        master: None,
        loopback: header.flags.contains(LinkFlags::Loopback),
        up: header.flags.contains(LinkFlags::Up),
    };
    for attribute in after(body, LINK_HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            IFLA_IFNAME => attribute.string("IFLA_IFNAME")?.clone_into(&mut link.name),
            IFLA_ADDRESS => link.mac = attribute.payload.try_into().ok(),
            IFLA_LINK => link.peer = Some(attribute.u32("IFLA_LINK")?),
            IFLA_LINK_NETNSID => link.peer_netns = Some(attribute.u32("IFLA_LINK_NETNSID")?.cast_signed()),
            IFLA_MASTER => link.master = Some(attribute.u32("IFLA_MASTER")?),
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
