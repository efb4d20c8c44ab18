//! Generic netlink family `SMC_PNETID`: which netdevs and RDMA ports are on the same physical network
//! (net/smc/smc_pnet.c, uapi/linux/smc.h).
//!
//! The table is per network namespace; RDMA devices enter that of the initial namespace only.

use crate::genl::{acknowledged, dump, payload, writer};
use crate::{DecodeError, Request};

/// The family's name, for [`crate::genl::family`].
pub const FAMILY: &str = "SMC_PNETID";

const SMC_PNETID_GET: u8 = 1;
const SMC_PNETID_ADD: u8 = 2;
const SMC_PNETID_DEL: u8 = 3;

const SMC_PNETID_NAME: u16 = 1;
const SMC_PNETID_ETHNAME: u16 = 2;
const SMC_PNETID_IBNAME: u16 = 3;
const SMC_PNETID_IBPORT: u16 = 4;

/// What the kernel writes in place of the name an entry does not have.
const NO_NAME: &str = "n/a";

/// One row of the PNETID table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PnetEntry {
    /// A network interface of this namespace.
    Netdev {
        /// The PNETID, without trailing blanks.
        pnetid: String,
        /// Interface name; it need not exist.
        netdev: String,
    },
    /// A port of an RDMA (or SMC-D) device.
    Device {
        /// The PNETID, without trailing blanks.
        pnetid: String,
        /// Device name as entered: an RDMA device name or its parent's, such as a PCI address.
        device: String,
        /// Port number, 1 or 2.
        port: u8,
    },
}

/// Asks for all entries of the socket's namespace.
pub fn list(family: u16) -> Request {
    dump(family, SMC_PNETID_GET)
}

/// Adds a network interface. EEXIST when it has an entry already, whatever its PNETID.
///
/// The kernel folds the PNETID to upper case here, but not in [`delete`]: pass it in upper case.
pub fn add_netdev(family: u16, pnetid: &str, netdev: &str) -> Request {
    let body = writer(SMC_PNETID_ADD).string(SMC_PNETID_NAME, pnetid).string(SMC_PNETID_ETHNAME, netdev);
    acknowledged(family, body)
}

/// Adds a port of an RDMA device, in the initial namespace only (EEXIST elsewhere). EEXIST also when
/// the device has an entry already, even for another port.
pub fn add_device(family: u16, pnetid: &str, device: &str, port: u8) -> Request {
    let body = writer(SMC_PNETID_ADD)
        .string(SMC_PNETID_NAME, pnetid)
        .string(SMC_PNETID_IBNAME, device)
        .u8(SMC_PNETID_IBPORT, port);
    acknowledged(family, body)
}

/// Removes every entry of that PNETID in the namespace; ENOENT when there is none.
pub fn delete(family: u16, pnetid: &str) -> Request {
    acknowledged(family, writer(SMC_PNETID_DEL).string(SMC_PNETID_NAME, pnetid))
}

/// Reads one message of the answer to [`list`].
pub fn parse(body: &[u8]) -> Result<PnetEntry, DecodeError> {
    let (mut pnetid, mut netdev, mut device, mut port) = (None, None, None, 1);
    for attribute in payload(body)? {
        let attribute = attribute?;
        match attribute.kind {
            SMC_PNETID_NAME => pnetid = Some(attribute.string("SMC_PNETID_NAME")?),
            SMC_PNETID_ETHNAME => netdev = Some(attribute.string("SMC_PNETID_ETHNAME")?),
            SMC_PNETID_IBNAME => device = Some(attribute.string("SMC_PNETID_IBNAME")?),
            SMC_PNETID_IBPORT => port = attribute.u8("SMC_PNETID_IBPORT")?,
            _ => {}
        }
    }
    let pnetid = pnetid.ok_or(DecodeError::Missing { what: "SMC_PNETID_NAME" })?;
    let pnetid = pnetid.trim_end_matches(' ').to_owned();
    if let Some(device) = device.filter(|name| *name != NO_NAME) {
        return Ok(PnetEntry::Device { pnetid, device: device.to_owned(), port });
    }
    let netdev = netdev
        .filter(|name| *name != NO_NAME)
        .ok_or(DecodeError::Missing { what: "SMC_PNETID_ETHNAME and SMC_PNETID_IBNAME" })?;
    Ok(PnetEntry::Netdev { pnetid, netdev: netdev.to_owned() })
}
