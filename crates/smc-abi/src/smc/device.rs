use super::{some_index, unpadded};
use crate::attribute::Attributes;
use crate::genl::{dump, nest};
use crate::{DecodeError, Request};

const SMC_NETLINK_GET_DEV_SMCR: u8 = 6;
const SMC_GEN_DEV_SMCR: u16 = 6;
const SMC_NLA_DEV_PORT: u16 = 8;
const SMC_NLA_DEV_PORT2: u16 = 9;

/// An RDMA device as SMC knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmcDevice {
    /// RDMA device name.
    pub name: String,
    /// Some link group has no other device.
    pub is_critical: bool,
    /// PCI address; absent for devices without a parent, such as rxe.
    pub pci_id: Option<String>,
    /// Its first two ports, in order; SMC uses no others.
    pub ports: Vec<SmcDevicePort>,
}

/// A port of an [`SmcDevice`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmcDevicePort {
    /// The port's PNETID, if it has one.
    pub pnetid: Option<String>,
    /// The PNETID came through the PNETID table, not from the hardware.
    pub pnetid_is_user_defined: bool,
    /// Index of the port's netdev, valid in the netdev's own namespace only.
    pub netdev_index: Option<u32>,
    /// The port is up.
    pub active: bool,
    /// SMC-R links over this port.
    pub link_count: u32,
}

/// Asks for all RDMA devices that SMC knows, of all namespaces.
pub fn devices(family: u16) -> Request {
    dump(family, SMC_NETLINK_GET_DEV_SMCR)
}

/// Reads one message of the answer to [`devices`].
pub fn parse_device(body: &[u8]) -> Result<SmcDevice, DecodeError> {
    let (mut name, mut is_critical, mut pci_id) = (None, false, None);
    let (mut first_port, mut second_port) = (None, None);
    for attribute in nest(body, SMC_GEN_DEV_SMCR, "SMC_GEN_DEV_SMCR")? {
        let attribute = attribute?;
        match attribute.kind {
            2 => is_critical = attribute.u8("SMC_NLA_DEV_IS_CRIT")? != 0,
            7 => pci_id = unpadded(attribute, "SMC_NLA_DEV_PCI_ID")?,
            SMC_NLA_DEV_PORT => first_port = Some(port(attribute.nested())?),
            SMC_NLA_DEV_PORT2 => second_port = Some(port(attribute.nested())?),
            10 => name = Some(attribute.string("SMC_NLA_DEV_IB_NAME")?.to_owned()),
            _ => {}
        }
    }
    Ok(SmcDevice {
        name: name.ok_or(DecodeError::Missing { what: "SMC_NLA_DEV_IB_NAME" })?,
        is_critical,
        pci_id,
        ports: first_port.into_iter().chain(second_port).collect(),
    })
}

fn port(attributes: Attributes<'_>) -> Result<SmcDevicePort, DecodeError> {
    let mut port = SmcDevicePort {
        pnetid: None,
        pnetid_is_user_defined: false,
        netdev_index: None,
        active: false,
        link_count: 0,
    };
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            1 => port.pnetid_is_user_defined = attribute.u8("SMC_NLA_DEV_PORT_PNET_USR")? != 0,
            2 => port.pnetid = unpadded(attribute, "SMC_NLA_DEV_PORT_PNETID")?,
            3 => port.netdev_index = some_index(attribute.u32("SMC_NLA_DEV_PORT_NETDEV")?),
            4 => port.active = attribute.u8("SMC_NLA_DEV_PORT_STATE")? == 1,
            6 => port.link_count = attribute.u32("SMC_NLA_DEV_PORT_LNK_CNT")?,
            _ => {}
        }
    }
    Ok(port)
}
