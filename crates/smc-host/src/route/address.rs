//! Addresses of links.

use std::net::Ipv6Addr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressHeader;
use smc_abi::frame::NLM_F_DUMP;
use smc_model::Ipv4Net;

use super::{after, ask, ipv4, not_understood, request, writer};
use crate::netlink::Connection;
use crate::{Cause, HostError};

// uapi/linux/if_addr.h.
pub(crate) const IFA_ADDRESS: u16 = 1;
pub(crate) const IFA_LOCAL: u16 = 2;
/// Bytes of `struct ifaddrmsg`.
const ADDRESS_HEADER: usize = 8;

/// Every IPv4 address with the index of its interface.
pub fn addresses(route: &mut Connection) -> Result<Vec<(u32, Ipv4Net)>, HostError> {
    let body = writer(&AddressHeader { family: AddressFamily::Inet, ..AddressHeader::default() });
    let found =
        ask(route, &"list the addresses", &request(libc::RTM_GETADDR, NLM_F_DUMP, body), address_of_link)?;
    Ok(found.into_iter().flatten().collect())
}

pub(super) fn address_of_link(body: &[u8]) -> Result<Option<(u32, Ipv4Net)>, Cause> {
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

/// Every IPv6 address with the index of its interface, but link-local ones, which every interface has.
pub fn addresses6(route: &mut Connection) -> Result<Vec<(u32, Ipv6Addr)>, HostError> {
    let body = writer(&AddressHeader { family: AddressFamily::Inet6, ..AddressHeader::default() });
    let request = request(libc::RTM_GETADDR, NLM_F_DUMP, body);
    let found = match ask(route, &"list the IPv6 addresses", &request, address6_of_link) {
        // A kernel that was booted without IPv6.
        Err(error) if error.errno() == Some(libc::EOPNOTSUPP) => return Ok(Vec::new()),
        found => found?,
    };
    Ok(found.into_iter().flatten().filter(|(_, address)| !address.is_unicast_link_local()).collect())
}

fn address6_of_link(body: &[u8]) -> Result<Option<(u32, Ipv6Addr)>, Cause> {
    let header = AddressHeader::parse(body).map_err(|error| not_understood(&error))?;
    // Where the kernel has no handler for the family's dump, it answers with all families' (net/core/rtnetlink.c, `rtnl_dump_all`).
    if header.family != AddressFamily::Inet6 {
        return Ok(None);
    }
    let (mut own, mut peer) = (None, None);
    for attribute in after(body, ADDRESS_HEADER) {
        let attribute = attribute?;
        let address = <[u8; 16]>::try_from(attribute.payload).ok().map(Ipv6Addr::from);
        match attribute.kind {
            IFA_LOCAL => own = address,
            IFA_ADDRESS => peer = address,
            _ => {}
        }
    }
    // IFA_LOCAL is there where it differs only (net/ipv6/addrconf.c, `inet6_fill_ifaddr`).
    Ok(own.or(peer).map(|address| (header.index, address)))
}
