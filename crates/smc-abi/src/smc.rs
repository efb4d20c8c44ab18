//! Generic netlink family `SMC_GEN_NETLINK`: devices, link groups, statistics and UEIDs
//! (net/smc/smc_netlink.c, uapi/linux/smc.h).
//!
//! Statistics are those of the socket's network namespace; everything else is host-wide, whatever
//! namespace asks.

mod device;
mod eid;
mod fallback_stats;
mod link_group;
mod stats;
mod sys_info;

pub use device::{SmcDevice, SmcDevicePort, devices, parse_device};
pub use eid::{add_ueid, parse_ueid, remove_ueid, ueids};
pub use fallback_stats::{FallbackStats, fallback_stats, parse_fallback_stats};
pub use link_group::{
    Link, LinkGroup, LinkGroupKind, LinkRecord, LinkState, V2Peer, link_groups, links, parse_link_group,
    parse_link_record,
};
pub use stats::{BufferStats, SizeClasses, Stats, TechStats, parse_stats, stats};
pub use sys_info::{SysInfo, parse_sys_info, sys_info};

use crate::DecodeError;
use crate::attribute::Attribute;

/// The family's name, for [`crate::genl::family`].
pub const FAMILY: &str = "SMC_GEN_NETLINK";

/// Which side of a connection or link group this host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It connected.
    Client,
    /// It accepted.
    Server,
}

impl Role {
    /// From the kernel's number: 0 client, 1 server (`SMC_CLNT`, `SMC_SERV`).
    pub(crate) fn from_number(number: u8, what: &'static str) -> Result<Self, DecodeError> {
        match number {
            0 => Ok(Self::Client),
            1 => Ok(Self::Server),
            _ => Err(DecodeError::BadValue { what, value: number.into() }),
        }
    }
}

/// Text that the kernel pads with blanks, such as EIDs, host names and PNETIDs; `None` when nothing is left.
fn unpadded(attribute: Attribute<'_>, what: &'static str) -> Result<Option<String>, DecodeError> {
    let text = attribute.string(what)?.trim_matches(' ');
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// An interface index; the kernel writes 0 for none.
fn some_index(index: u32) -> Option<u32> {
    (index != 0).then_some(index)
}
