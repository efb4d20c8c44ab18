use super::{Role, some_index, unpadded};
use crate::attribute::Attributes;
use crate::bytes::u8_at;
use crate::genl::{dump, nest};
use crate::{DecodeError, Request};

const SMC_NETLINK_GET_LGR_SMCR: u8 = 2;
const SMC_NETLINK_GET_LINK_SMCR: u8 = 3;
const SMC_GEN_LGR_SMCR: u16 = 2;
const SMC_GEN_LINK_SMCR: u16 = 3;

/// An SMC-R link group: the RDMA links that the connections between two hosts share.
///
/// A link group cannot be attributed to a namespace: the kernel reports that of the RDMA device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkGroup {
    /// Its id on this host; the low byte is 0.
    pub id: u32,
    /// This host's side.
    pub role: Role,
    /// How many links it has, and where.
    pub kind: LinkGroupKind,
    /// The PNETID of its first device's port.
    pub pnetid: Option<String>,
    /// Connections in it now.
    pub connections: u32,
    /// What the peer said of itself, with SMC version 2.
    pub v2_peer: Option<V2Peer>,
    /// The peer is reached without a gateway; known with SMC version 2.
    pub direct: Option<bool>,
    /// Bytes of send buffers (kernel 6.12).
    pub send_buffer_bytes: Option<u64>,
    /// Bytes of receive buffers (kernel 6.12).
    pub receive_buffer_bytes: Option<u64>,
}

/// How many links a link group has (`enum smc_lgr_type`, net/smc/smc_core.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkGroupKind {
    /// No link (any more).
    None,
    /// One link: no failover.
    Single,
    /// Two links on two devices on either side.
    Symmetric,
    /// Two devices here, one at the peer.
    AsymmetricPeer,
    /// One device here, two at the peer.
    AsymmetricLocal,
    /// A number newer than this crate.
    Other(u8),
}

/// The peer of a link group of SMC version 2 (`SMC_NLA_LGR_V2_*`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct V2Peer {
    /// SMC version in use.
    pub version: u8,
    /// The peer's release within that version.
    pub release: u8,
    /// The peer's operating system: 1 z/OS, 2 Linux, 3 AIX.
    pub operating_system: u8,
    /// The EID both sides have.
    pub negotiated_eid: Option<String>,
    /// The peer's host name.
    pub host: Option<String>,
}

/// One RDMA link of a link group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its id within the group.
    pub id: u8,
    /// RDMA device.
    pub device: String,
    /// Port of the device.
    pub port: u8,
    /// Own GID, as text.
    pub gid: String,
    /// The peer's GID, as text.
    pub peer_gid: String,
    /// Connections over this link now.
    pub connections: u32,
    /// Index of the port's netdev, valid in the netdev's own namespace only.
    pub netdev_index: Option<u32>,
    /// State of the link.
    pub state: LinkState,
}

/// State of a link (`enum smc_link_state`, net/smc/smc_core.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Slot without a link.
    Unused,
    /// Being set up or torn down.
    Inactive,
    /// Confirmation under way.
    Activating,
    /// In use.
    Active,
    /// A number newer than this crate.
    Other(u32),
}

/// One message of the answer to [`links`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkRecord {
    /// A link group; its links follow.
    Group(LinkGroup),
    /// A link of the group before it.
    Link(Link),
}

/// Asks for all SMC-R link groups of the host.
pub fn link_groups(family: u16) -> Request {
    dump(family, SMC_NETLINK_GET_LGR_SMCR)
}

/// Asks for all SMC-R link groups of the host, each followed by its links.
pub fn links(family: u16) -> Request {
    dump(family, SMC_NETLINK_GET_LINK_SMCR)
}

/// Reads one message of the answer to [`links`].
pub fn parse_link_record(body: &[u8]) -> Result<LinkRecord, DecodeError> {
    let what = "genlmsghdr.cmd";
    match u8_at(body, 0, what)? {
        SMC_NETLINK_GET_LGR_SMCR => parse_link_group(body).map(LinkRecord::Group),
        SMC_NETLINK_GET_LINK_SMCR => link(body).map(LinkRecord::Link),
        command => Err(DecodeError::BadValue { what, value: command.into() }),
    }
}

/// Reads one message of the answer to [`link_groups`].
pub fn parse_link_group(body: &[u8]) -> Result<LinkGroup, DecodeError> {
    let (mut id, mut role, mut kind) = (None, None, LinkGroupKind::None);
    let (mut pnetid, mut connections, mut v2_peer, mut direct) = (None, 0, None, None);
    let (mut send_buffer_bytes, mut receive_buffer_bytes) = (None, None);
    for attribute in nest(body, SMC_GEN_LGR_SMCR, "SMC_GEN_LGR_SMCR")? {
        let attribute = attribute?;
        match attribute.kind {
            1 => id = Some(attribute.u32("SMC_NLA_LGR_R_ID")?),
            2 => {
                let what = "SMC_NLA_LGR_R_ROLE";
                role = Some(Role::from_number(attribute.u8(what)?, what)?);
            }
            3 => kind = attribute.u8("SMC_NLA_LGR_R_TYPE")?.into(),
            4 => pnetid = unpadded(attribute, "SMC_NLA_LGR_R_PNETID")?,
            6 => connections = attribute.u32("SMC_NLA_LGR_R_CONNS_NUM")?,
            7 => v2_peer = Some(peer(attribute.nested())?),
            8 => direct = is_direct(attribute.nested())?,
            12 => send_buffer_bytes = Some(attribute.uint("SMC_NLA_LGR_R_SNDBUF_ALLOC")?),
            13 => receive_buffer_bytes = Some(attribute.uint("SMC_NLA_LGR_R_RMB_ALLOC")?),
            _ => {}
        }
    }
    Ok(LinkGroup {
        id: id.ok_or(DecodeError::Missing { what: "SMC_NLA_LGR_R_ID" })?,
        role: role.ok_or(DecodeError::Missing { what: "SMC_NLA_LGR_R_ROLE" })?,
        kind,
        pnetid,
        connections,
        v2_peer,
        direct,
        send_buffer_bytes,
        receive_buffer_bytes,
    })
}

fn peer(attributes: Attributes<'_>) -> Result<V2Peer, DecodeError> {
    let mut peer = V2Peer::default();
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            // Unlike everywhere else, numbering starts at 0.
            0 => peer.version = attribute.u8("SMC_NLA_LGR_V2_VER")?,
            1 => peer.release = attribute.u8("SMC_NLA_LGR_V2_REL")?,
            2 => peer.operating_system = attribute.u8("SMC_NLA_LGR_V2_OS")?,
            3 => peer.negotiated_eid = unpadded(attribute, "SMC_NLA_LGR_V2_NEG_EID")?,
            4 => peer.host = unpadded(attribute, "SMC_NLA_LGR_V2_PEER_HOST")?,
            _ => {}
        }
    }
    Ok(peer)
}

fn is_direct(attributes: Attributes<'_>) -> Result<Option<bool>, DecodeError> {
    let mut direct = None;
    for attribute in attributes {
        let attribute = attribute?;
        if attribute.kind == 1 {
            direct = Some(attribute.u8("SMC_NLA_LGR_R_V2_DIRECT")? != 0);
        }
    }
    Ok(direct)
}

fn link(body: &[u8]) -> Result<Link, DecodeError> {
    let (mut id, mut device, mut port, mut connections) = (None, None, 0, 0);
    let (mut gid, mut peer_gid) = (String::new(), String::new());
    let (mut netdev_index, mut state) = (None, LinkState::Unused);
    for attribute in nest(body, SMC_GEN_LINK_SMCR, "SMC_GEN_LINK_SMCR")? {
        let attribute = attribute?;
        match attribute.kind {
            1 => id = Some(attribute.u8("SMC_NLA_LINK_ID")?),
            2 => device = Some(attribute.string("SMC_NLA_LINK_IB_DEV")?.to_owned()),
            3 => port = attribute.u8("SMC_NLA_LINK_IB_PORT")?,
            4 => attribute.string("SMC_NLA_LINK_GID")?.clone_into(&mut gid),
            5 => attribute.string("SMC_NLA_LINK_PEER_GID")?.clone_into(&mut peer_gid),
            6 => connections = attribute.u32("SMC_NLA_LINK_CONN_CNT")?,
            7 => netdev_index = some_index(attribute.u32("SMC_NLA_LINK_NET_DEV")?),
            10 => state = attribute.u32("SMC_NLA_LINK_STATE")?.into(),
            _ => {}
        }
    }
    Ok(Link {
        id: id.ok_or(DecodeError::Missing { what: "SMC_NLA_LINK_ID" })?,
        device: device.ok_or(DecodeError::Missing { what: "SMC_NLA_LINK_IB_DEV" })?,
        port,
        gid,
        peer_gid,
        connections,
        netdev_index,
        state,
    })
}

impl From<u8> for LinkGroupKind {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::None,
            1 => Self::Single,
            2 => Self::Symmetric,
            3 => Self::AsymmetricPeer,
            4 => Self::AsymmetricLocal,
            other => Self::Other(other),
        }
    }
}

impl From<u32> for LinkState {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Unused,
            1 => Self::Inactive,
            2 => Self::Activating,
            3 => Self::Active,
            other => Self::Other(other),
        }
    }
}
