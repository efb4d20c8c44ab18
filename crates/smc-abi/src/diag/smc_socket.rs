use std::net::SocketAddr;

use super::socket_id::{self, SocketId};
use super::{AF_INET, AF_INET6, SOCK_DIAG_BY_FAMILY};
use crate::attribute::attributes;
use crate::bytes::{array, text, u8_at, u32_at, u64_at};
use crate::frame::{NLM_F_DUMP, NLM_F_REQUEST};
use crate::smc::Role;
use crate::{DecodeError, Request};

const AF_SMC: u8 = 43;

const SMC_DIAG_CONNINFO: u16 = 1;
const SMC_DIAG_LGRINFO: u16 = 2;
const SMC_DIAG_SHUTDOWN: u16 = 3;
const SMC_DIAG_DMBINFO: u16 = 4;
const SMC_DIAG_FALLBACK: u16 = 5;

/// Bytes of `struct smc_diag_msg`.
const HEADER: usize = 64;

/// A socket that is, or once might have been, SMC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmcSocket {
    /// Address family of the socket: 43 for AF_SMC, 2 or 10 for sockets made with `IPPROTO_SMC`, and 43 for
    /// those accepted from such a socket.
    pub family: u8,
    /// State of the SMC socket.
    pub state: SmcState,
    /// What carries the data; `None` as long as there is no connection.
    pub mode: Option<Mode>,
    /// Local address. The kernel gives 0.0.0.0 or `::` for sockets made with `IPPROTO_SMC`, see [`super::join`].
    pub local: SocketAddr,
    /// Remote address, with the same gap.
    pub remote: SocketAddr,
    /// Index of the interface the socket is bound to.
    pub interface: Option<u32>,
    /// Owner, in the reader's user namespace.
    pub uid: u32,
    /// The socket's inode; 0 while nobody has accepted it.
    pub inode: u64,
    /// Receiving has been shut down.
    pub receive_shutdown: bool,
    /// Sending has been shut down.
    pub send_shutdown: bool,
    /// Why it is TCP, for sockets in [`Mode::Tcp`].
    pub fallback: Option<Fallback>,
    /// Buffers and token of the SMC connection.
    pub connection: Option<ConnectionInfo>,
    /// The RDMA link, for connections in [`Mode::SmcR`].
    pub link: Option<LinkInfo>,
}

/// What carries a connection's data (`SMC_DIAG_MODE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// RDMA.
    SmcR,
    /// TCP: the connection fell back.
    Tcp,
    /// Shared memory of one host.
    SmcD,
}

/// State of an SMC socket (`enum smc_state`, net/smc/smc.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SmcState {
    /// Connected.
    Active,
    /// Not yet connected.
    Init,
    /// Closed.
    Closed,
    /// Listening.
    Listen,
    /// Being closed; the number is 20 to 27.
    Closing(u8),
    /// A number newer than this crate.
    Other(u8),
}

/// Why a connection is TCP; see [`crate::fallback`] for both codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fallback {
    /// This side's reason; 0x05000000 when the peer declined.
    pub reason: u32,
    /// The reason the peer gave when it declined.
    pub peer_diagnosis: u32,
}

/// An SMC connection (`struct smc_diag_conninfo`, without the cursors).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Id of the connection on this host.
    pub token: u32,
    /// Send buffer, in bytes.
    pub send_buffer: u32,
    /// Receive buffer, in bytes.
    pub receive_buffer: u32,
    /// The peer's receive buffer, in bytes.
    pub peer_receive_buffer: u32,
}

/// The RDMA link of a connection (`struct smc_diag_lgrinfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkInfo {
    /// Id of the link within its group.
    pub link_id: u8,
    /// RDMA device.
    pub device: String,
    /// Port of the device.
    pub port: u8,
    /// Own GID, as text.
    pub gid: String,
    /// The peer's GID, as text.
    pub peer_gid: String,
    /// This host's side of the link group.
    pub role: Role,
}

/// Asks for all SMC sockets of the socket's namespace, with connection, link and SMC-D details. The kernel
/// does not filter. ENOENT means that SMC (or its `smc_diag` module) is not there.
pub fn smc_sockets() -> Request {
    let extensions = [SMC_DIAG_CONNINFO, SMC_DIAG_LGRINFO, SMC_DIAG_DMBINFO]
        .iter()
        .fold(0_u8, |bits, extension| bits | 1 << (extension - 1));
    // struct smc_diag_req: family, two bytes of padding, extensions, an ignored socket id.
    let mut body = vec![AF_SMC, 0, 0, extensions];
    body.resize(4 + socket_id::LENGTH, 0);
    Request { message_type: SOCK_DIAG_BY_FAMILY, flags: NLM_F_REQUEST | NLM_F_DUMP, body }
}

/// Reads one message of the answer to [`smc_sockets`]: `struct smc_diag_msg` and its attributes.
pub fn parse_smc_socket(body: &[u8]) -> Result<SmcSocket, DecodeError> {
    let what = "smc_diag_msg";
    let extended =
        body.get(HEADER..).ok_or(DecodeError::Truncated { what, need: HEADER, have: body.len() })?;
    let state = SmcState::from(u8_at(body, 1, what)?);
    let mode = mode(u8_at(body, 2, what)?, state);
    let family = u8_at(body, 0, what)?;
    let is_ipv6 = match family {
        AF_INET => Some(false),
        AF_INET6 => Some(true),
        _ => None,
    };
    let id = SocketId::parse(body, 4, is_ipv6)?;
    let mut socket = SmcSocket {
        family,
        state,
        mode,
        local: id.local,
        remote: id.remote,
        interface: id.interface,
        uid: u32_at(body, 52, what)?,
        inode: u64_at(body, 56, what)?,
        receive_shutdown: false,
        send_shutdown: false,
        fallback: None,
        connection: None,
        link: None,
    };
    for attribute in attributes(extended) {
        let attribute = attribute?;
        match attribute.kind {
            SMC_DIAG_CONNINFO => socket.connection = Some(connection(attribute.payload)?),
            SMC_DIAG_LGRINFO => socket.link = Some(link(attribute.payload)?),
            SMC_DIAG_SHUTDOWN => {
                let shutdown = attribute.u8("SMC_DIAG_SHUTDOWN")?;
                socket.receive_shutdown = shutdown & 1 != 0;
                socket.send_shutdown = shutdown & 2 != 0;
            }
            // Sent for all sockets, with zeros for those that did not fall back.
            SMC_DIAG_FALLBACK if mode == Some(Mode::Tcp) => {
                socket.fallback = Some(fallback(attribute.payload)?);
            }
            _ => {}
        }
    }
    Ok(socket)
}

/// 0 stands for SMC-R, and for sockets without a connection as well (net/smc/smc_diag.c,
/// `__smc_diag_dump`).
fn mode(number: u8, state: SmcState) -> Option<Mode> {
    let connected = !matches!(state, SmcState::Init | SmcState::Listen | SmcState::Closed);
    match number {
        0 if connected => Some(Mode::SmcR),
        1 => Some(Mode::Tcp),
        2 if connected => Some(Mode::SmcD),
        _ => None,
    }
}

fn fallback(payload: &[u8]) -> Result<Fallback, DecodeError> {
    let what = "smc_diag_fallback";
    Ok(Fallback { reason: u32_at(payload, 0, what)?, peer_diagnosis: u32_at(payload, 4, what)? })
}

fn connection(payload: &[u8]) -> Result<ConnectionInfo, DecodeError> {
    let what = "smc_diag_conninfo";
    Ok(ConnectionInfo {
        token: u32_at(payload, 0, what)?,
        send_buffer: u32_at(payload, 4, what)?,
        receive_buffer: u32_at(payload, 8, what)?,
        peer_receive_buffer: u32_at(payload, 12, what)?,
    })
}

fn link(payload: &[u8]) -> Result<LinkInfo, DecodeError> {
    let what = "smc_diag_lgrinfo";
    let gid = |offset| -> Result<String, DecodeError> {
        Ok(text(&array::<40>(payload, offset, what)?, "smc_diag_lgrinfo gid")?.to_owned())
    };
    Ok(LinkInfo {
        link_id: u8_at(payload, 0, what)?,
        device: text(&array::<64>(payload, 1, what)?, "smc_diag_lgrinfo.ibname")?.to_owned(),
        port: u8_at(payload, 65, what)?,
        gid: gid(66)?,
        peer_gid: gid(106)?,
        role: Role::from_number(u8_at(payload, 146, what)?, "smc_diag_lgrinfo.role")?,
    })
}

impl From<u8> for SmcState {
    fn from(number: u8) -> Self {
        match number {
            1 => Self::Active,
            2 => Self::Init,
            7 => Self::Closed,
            10 => Self::Listen,
            20..=27 => Self::Closing(number),
            other => Self::Other(other),
        }
    }
}
