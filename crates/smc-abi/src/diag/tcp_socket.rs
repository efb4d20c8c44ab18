use std::net::SocketAddr;

use super::socket_id::{self, SocketId};
use super::{AF_INET, AF_INET6, SOCK_DIAG_BY_FAMILY};
use crate::bytes::{u8_at, u32_at};
use crate::frame::{NLM_F_DUMP, NLM_F_REQUEST};
use crate::{DecodeError, Request};

const IPPROTO_TCP: u8 = 6;

/// A TCP socket (`struct inet_diag_msg`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpSocket {
    /// State of the TCP connection.
    pub state: TcpState,
    /// Local address.
    pub local: SocketAddr,
    /// Remote address; unspecified for listeners.
    pub remote: SocketAddr,
    /// Owner, in the reader's user namespace.
    pub uid: u32,
    /// The socket's inode; 0 when no file refers to it.
    pub inode: u32,
    /// Index of the interface the socket is bound to.
    pub interface: Option<u32>,
}

/// The two families TCP sockets come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IpFamily {
    /// AF_INET.
    V4,
    /// AF_INET6.
    V6,
}

/// State of a TCP socket (net/tcp_states.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpState {
    /// Connected.
    Established,
    /// Waiting for the peer's answer to a SYN.
    SynSent,
    /// Connection request under way.
    SynReceived,
    /// Listening.
    Listen,
    /// All others, by number.
    Other(u8),
}

impl TcpState {
    /// This state's bit in the mask that [`tcp_sockets`] takes; 0 for numbers it cannot hold.
    pub fn bit(self) -> u32 {
        let number = match self {
            Self::Established => 1,
            Self::SynSent => 2,
            Self::SynReceived => 3,
            Self::Listen => 10,
            Self::Other(number) => number,
        };
        1_u32.checked_shl(number.into()).unwrap_or(0)
    }
}

/// Asks for the TCP sockets of the socket's namespace in one of `states`, a sum of [`TcpState::bit`]s.
pub fn tcp_sockets(family: IpFamily, states: u32) -> Request {
    let family = match family {
        IpFamily::V4 => AF_INET,
        IpFamily::V6 => AF_INET6,
    };
    // struct inet_diag_req_v2: family, protocol, extensions, padding, states, a socket id that a dump ignores.
    let mut body = vec![family, IPPROTO_TCP, 0, 0];
    body.extend_from_slice(&states.to_ne_bytes());
    body.resize(8 + socket_id::LENGTH, 0);
    Request { message_type: SOCK_DIAG_BY_FAMILY, flags: NLM_F_REQUEST | NLM_F_DUMP, body }
}

/// Reads one message of the answer to [`tcp_sockets`].
pub fn parse_tcp_socket(body: &[u8]) -> Result<TcpSocket, DecodeError> {
    let what = "inet_diag_msg";
    let is_ipv6 = match u8_at(body, 0, what)? {
        AF_INET => false,
        AF_INET6 => true,
        family => return Err(DecodeError::BadValue { what: "idiag_family", value: family.into() }),
    };
    let id = SocketId::parse(body, 4, Some(is_ipv6))?;
    Ok(TcpSocket {
        state: u8_at(body, 1, what)?.into(),
        local: id.local,
        remote: id.remote,
        uid: u32_at(body, 64, what)?,
        inode: u32_at(body, 68, what)?,
        interface: id.interface,
    })
}

impl From<u8> for TcpState {
    fn from(number: u8) -> Self {
        match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 => Self::SynReceived,
            10 => Self::Listen,
            other => Self::Other(other),
        }
    }
}
