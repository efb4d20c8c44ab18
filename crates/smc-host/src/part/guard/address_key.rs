//! Addresses as the guard's maps hold them (`struct address` in `syn_options.bpf.c`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `struct address`: the family, and 16 bytes.
pub const ADDRESS_BYTES: usize = 20;

/// `struct address` of the program.
pub fn address_key(address: IpAddr) -> [u8; ADDRESS_BYTES] {
    let mut bytes = [0; ADDRESS_BYTES];
    match address {
        IpAddr::V4(address) => {
            bytes[..4].copy_from_slice(&4_u32.to_ne_bytes());
            bytes[4..8].copy_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            bytes[..4].copy_from_slice(&6_u32.to_ne_bytes());
            bytes[4..].copy_from_slice(&address.octets());
        }
    }
    bytes
}

/// The address of `struct address`.
pub(crate) fn read_address(key: &[u8]) -> Option<IpAddr> {
    let (family, bytes) = key.split_first_chunk::<4>()?;
    match u32::from_ne_bytes(*family) {
        4 => bytes.first_chunk::<4>().map(|octets| IpAddr::V4(Ipv4Addr::from(*octets))),
        6 => bytes.first_chunk::<16>().map(|octets| IpAddr::V6(Ipv6Addr::from(*octets))),
        _ => None,
    }
}
