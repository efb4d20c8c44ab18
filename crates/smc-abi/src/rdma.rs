//! RDMA devices and ports, over `NETLINK_RDMA` (drivers/infiniband/core/nldev.c, uapi/rdma/rdma_netlink.h).
//!
//! Attributes follow the netlink header directly. A socket sees the devices its namespace may use.

use crate::attribute::{AttributeWriter, attributes};
use crate::frame::{NLM_F_DUMP, NLM_F_REQUEST};
use crate::{DecodeError, Request};

/// `RDMA_NL_NLDEV << 10`, to which the command is added.
const NLDEV: u16 = 5 << 10;
const GET: u16 = NLDEV + 1;
const PORT_GET: u16 = NLDEV + 5;
const SYS_GET: u16 = NLDEV + 6;

const DEV_INDEX: u16 = 1;
const DEV_NAME: u16 = 2;
const PORT_INDEX: u16 = 3;
const FW_VERSION: u16 = 5;
const NODE_GUID: u16 = 6;
const PORT_STATE: u16 = 12;
const PORT_PHYS_STATE: u16 = 13;
const DEV_NODE_TYPE: u16 = 14;
const NDEV_INDEX: u16 = 50;
const NDEV_NAME: u16 = 51;
const SYS_ATTR_NETNS_MODE: u16 = 66;
const DEV_PROTOCOL: u16 = 67;

/// An RDMA device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdmaDevice {
    /// Index, for [`ports`]; not reused until reboot.
    pub index: u32,
    /// Name, such as `mlx5_0`.
    pub name: String,
    /// Kind of device; SMC uses channel adapters only.
    pub node_type: NodeType,
    /// Node GUID.
    pub node_guid: u64,
    /// Number of ports.
    pub port_count: u32,
    /// Firmware version.
    pub firmware: Option<String>,
    /// Protocol: `roce`, `iw`, `ib`, `opa` or `usnic`.
    pub protocol: Option<String>,
}

/// A port of an RDMA device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdmaPort {
    /// Index of the device.
    pub device_index: u32,
    /// Name of the device.
    pub device: String,
    /// Port number, from 1.
    pub port: u32,
    /// Logical state.
    pub state: PortState,
    /// Physical state.
    pub physical_state: PhysicalState,
    /// Index of the port's netdev, if that is in the asking socket's namespace.
    pub netdev_index: Option<u32>,
    /// Name of the port's netdev, if that is in the asking socket's namespace.
    pub netdev_name: Option<String>,
}

/// Kind of RDMA device (`enum rdma_node_type`, rdma/ib_verbs.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeType {
    /// InfiniBand or RoCE channel adapter.
    ChannelAdapter,
    /// InfiniBand switch.
    Switch,
    /// InfiniBand router.
    Router,
    /// iWARP adapter.
    Rnic,
    /// All others, by number.
    Other(u8),
}

/// Logical state of a port (`enum ib_port_state`, rdma/ib_verbs.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortState {
    /// No change; never a port's real state.
    Nop,
    /// Down.
    Down,
    /// Physically up, not yet configured.
    Init,
    /// Configured, no data yet.
    Armed,
    /// Up.
    Active,
    /// Up, with the physical link lost a moment ago.
    ActiveDefer,
    /// A number newer than this crate.
    Other(u8),
}

/// Physical state of a port (`enum ib_port_phys_state`, rdma/ib_verbs.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PhysicalState {
    /// Asleep.
    Sleep,
    /// Looking for a peer.
    Polling,
    /// Switched off.
    Disabled,
    /// Link being trained.
    Training,
    /// Up.
    LinkUp,
    /// Recovering from link errors.
    ErrorRecovery,
    /// Under test.
    PhyTest,
    /// A number newer than this crate.
    Other(u8),
}

/// Who may use an RDMA device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NetnsMode {
    /// All network namespaces.
    Shared,
    /// Only the device's own network namespace.
    Exclusive,
}

/// Asks for all RDMA devices.
pub fn devices() -> Request {
    Request { message_type: GET, flags: NLM_F_REQUEST | NLM_F_DUMP, body: Vec::new() }
}

/// Asks for the ports of a device.
pub fn ports(device_index: u32) -> Request {
    let body = AttributeWriter::default().u32(DEV_INDEX, device_index).finish();
    Request { message_type: PORT_GET, flags: NLM_F_REQUEST | NLM_F_DUMP, body }
}

/// Asks for the host's RDMA namespace mode; one message answers, without acknowledgement.
pub fn netns_mode() -> Request {
    Request { message_type: SYS_GET, flags: NLM_F_REQUEST, body: Vec::new() }
}

/// Reads one message of the answer to [`devices`].
pub fn parse_device(body: &[u8]) -> Result<RdmaDevice, DecodeError> {
    let (mut index, mut name, mut node_type) = (None, None, None);
    let (mut node_guid, mut port_count, mut firmware, mut protocol) = (0, 0, None, None);
    for attribute in attributes(body) {
        let attribute = attribute?;
        match attribute.kind {
            DEV_INDEX => index = Some(attribute.u32("RDMA_NLDEV_ATTR_DEV_INDEX")?),
            DEV_NAME => name = Some(attribute.string("RDMA_NLDEV_ATTR_DEV_NAME")?.to_owned()),
            PORT_INDEX => port_count = attribute.u32("RDMA_NLDEV_ATTR_PORT_INDEX")?,
            FW_VERSION => firmware = non_empty(attribute.string("RDMA_NLDEV_ATTR_FW_VERSION")?),
            NODE_GUID => node_guid = attribute.u64("RDMA_NLDEV_ATTR_NODE_GUID")?,
            DEV_NODE_TYPE => node_type = Some(attribute.u8("RDMA_NLDEV_ATTR_DEV_NODE_TYPE")?.into()),
            DEV_PROTOCOL => protocol = non_empty(attribute.string("RDMA_NLDEV_ATTR_DEV_PROTOCOL")?),
            _ => {}
        }
    }
    Ok(RdmaDevice {
        index: index.ok_or(DecodeError::Missing { what: "RDMA_NLDEV_ATTR_DEV_INDEX" })?,
        name: name.ok_or(DecodeError::Missing { what: "RDMA_NLDEV_ATTR_DEV_NAME" })?,
        node_type: node_type.ok_or(DecodeError::Missing { what: "RDMA_NLDEV_ATTR_DEV_NODE_TYPE" })?,
        node_guid,
        port_count,
        firmware,
        protocol,
    })
}

/// Reads one message of the answer to [`ports`].
pub fn parse_port(body: &[u8]) -> Result<RdmaPort, DecodeError> {
    let (mut device_index, mut device, mut port) = (None, None, None);
    let (mut state, mut physical_state) = (None, PhysicalState::Other(0));
    let (mut netdev_index, mut netdev_name) = (None, None);
    for attribute in attributes(body) {
        let attribute = attribute?;
        match attribute.kind {
            DEV_INDEX => device_index = Some(attribute.u32("RDMA_NLDEV_ATTR_DEV_INDEX")?),
            DEV_NAME => device = Some(attribute.string("RDMA_NLDEV_ATTR_DEV_NAME")?.to_owned()),
            PORT_INDEX => port = Some(attribute.u32("RDMA_NLDEV_ATTR_PORT_INDEX")?),
            PORT_STATE => state = Some(attribute.u8("RDMA_NLDEV_ATTR_PORT_STATE")?.into()),
            PORT_PHYS_STATE => physical_state = attribute.u8("RDMA_NLDEV_ATTR_PORT_PHYS_STATE")?.into(),
            NDEV_INDEX => netdev_index = Some(attribute.u32("RDMA_NLDEV_ATTR_NDEV_INDEX")?),
            NDEV_NAME => netdev_name = non_empty(attribute.string("RDMA_NLDEV_ATTR_NDEV_NAME")?),
            _ => {}
        }
    }
    Ok(RdmaPort {
        device_index: device_index.ok_or(DecodeError::Missing { what: "RDMA_NLDEV_ATTR_DEV_INDEX" })?,
        device: device.ok_or(DecodeError::Missing { what: "RDMA_NLDEV_ATTR_DEV_NAME" })?,
        port: port.ok_or(DecodeError::Missing { what: "RDMA_NLDEV_ATTR_PORT_INDEX" })?,
        state: state.ok_or(DecodeError::Missing { what: "RDMA_NLDEV_ATTR_PORT_STATE" })?,
        physical_state,
        netdev_index,
        netdev_name,
    })
}

/// Reads the answer to [`netns_mode`].
pub fn parse_netns_mode(body: &[u8]) -> Result<NetnsMode, DecodeError> {
    let what = "RDMA_NLDEV_SYS_ATTR_NETNS_MODE";
    for attribute in attributes(body) {
        let attribute = attribute?;
        if attribute.kind == SYS_ATTR_NETNS_MODE {
            return match attribute.u8(what)? {
                0 => Ok(NetnsMode::Exclusive),
                1 => Ok(NetnsMode::Shared),
                other => Err(DecodeError::BadValue { what, value: other.into() }),
            };
        }
    }
    Err(DecodeError::Missing { what })
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl From<u8> for NodeType {
    fn from(number: u8) -> Self {
        match number {
            1 => Self::ChannelAdapter,
            2 => Self::Switch,
            3 => Self::Router,
            4 => Self::Rnic,
            other => Self::Other(other),
        }
    }
}

impl From<u8> for PortState {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Nop,
            1 => Self::Down,
            2 => Self::Init,
            3 => Self::Armed,
            4 => Self::Active,
            5 => Self::ActiveDefer,
            other => Self::Other(other),
        }
    }
}

impl From<u8> for PhysicalState {
    fn from(number: u8) -> Self {
        match number {
            1 => Self::Sleep,
            2 => Self::Polling,
            3 => Self::Disabled,
            4 => Self::Training,
            5 => Self::LinkUp,
            6 => Self::ErrorRecovery,
            7 => Self::PhyTest,
            other => Self::Other(other),
        }
    }
}
