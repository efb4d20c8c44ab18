//! Sockets of one network namespace, over `NETLINK_SOCK_DIAG` (uapi/linux/{sock,inet,smc}_diag.h).
//!
//! Receive with a buffer of 32 KiB or more. IPv4-mapped IPv6 addresses are given as IPv4.

mod join;
mod smc_socket;
mod socket_id;
mod tcp_socket;

pub use join::join;
pub use smc_socket::{
    ConnectionInfo, Fallback, LinkInfo, Mode, SmcSocket, SmcState, parse_smc_socket, smc_sockets,
};
pub use tcp_socket::{IpFamily, TcpSocket, TcpState, parse_tcp_socket, tcp_sockets};

/// Message type of all requests and answers here.
const SOCK_DIAG_BY_FAMILY: u16 = 20;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
