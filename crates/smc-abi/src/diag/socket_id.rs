use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::DecodeError;
use crate::bytes::{array, u32_at};

/// Bytes of `struct inet_diag_sockid`.
pub(super) const LENGTH: usize = 48;

/// `struct inet_diag_sockid`: ports and addresses in network order, interface in host order. IPv4-mapped
/// addresses are given as IPv4, so that both ends of one connection compare equal.
pub(super) struct SocketId {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) interface: Option<u32>,
}

impl SocketId {
    /// `is_ipv6` is `None` when the message does not say: then an address is IPv6 if more than its first
    /// four bytes are set.
    pub(super) fn parse(bytes: &[u8], offset: usize, is_ipv6: Option<bool>) -> Result<Self, DecodeError> {
        let what = "inet_diag_sockid";
        let at = |field: usize| offset.saturating_add(field);
        let source: [u8; 16] = array(bytes, at(4), what)?;
        let destination: [u8; 16] = array(bytes, at(20), what)?;
        let long = |address: &[u8; 16]| address[4..].iter().any(|&byte| byte != 0);
        let is_ipv6 = is_ipv6.unwrap_or_else(|| long(&source) || long(&destination));
        let port = |field: usize| array(bytes, at(field), what).map(u16::from_be_bytes);
        Ok(Self {
            local: SocketAddr::new(address(source, is_ipv6), port(0)?),
            remote: SocketAddr::new(address(destination, is_ipv6), port(2)?),
            interface: Some(u32_at(bytes, at(36), what)?).filter(|&index| index != 0),
        })
    }
}

fn address(bytes: [u8; 16], is_ipv6: bool) -> IpAddr {
    let [a, b, c, d, ..] = bytes;
    if is_ipv6 { Ipv6Addr::from(bytes).to_canonical() } else { Ipv4Addr::new(a, b, c, d).into() }
}
