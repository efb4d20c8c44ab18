//! Generic netlink: the family lookup and the header all families share (uapi/linux/genetlink.h).

use crate::attribute::{AttributeWriter, Attributes, attributes};
use crate::frame::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use crate::{DecodeError, Request};

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_VERSION: u16 = 3;

/// Bytes of `struct genlmsghdr`.
const HEADER: usize = 4;

/// A registered generic netlink family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// The message type its requests carry; given out when the family registers.
    pub id: u16,
    /// Its name, such as `SMC_PNETID`.
    pub name: String,
    /// Its version; 1 for both SMC families.
    pub version: u32,
}

/// Asks for the family of that name; ENOENT means that it is not registered.
///
/// A lookup of a missing family makes the kernel try to load its module (net/netlink/genetlink.c).
pub fn family(name: &str) -> Request {
    let body = writer(CTRL_CMD_GETFAMILY).string(CTRL_ATTR_FAMILY_NAME, name);
    acknowledged(GENL_ID_CTRL, body)
}

/// Reads the answer to [`family`]; `body` starts with the generic netlink header.
pub fn parse_family(body: &[u8]) -> Result<Family, DecodeError> {
    let (mut id, mut name, mut version) = (None, None, 0);
    for attribute in payload(body)? {
        let attribute = attribute?;
        match attribute.kind {
            CTRL_ATTR_FAMILY_ID => id = Some(attribute.u16("CTRL_ATTR_FAMILY_ID")?),
            CTRL_ATTR_FAMILY_NAME => name = Some(attribute.string("CTRL_ATTR_FAMILY_NAME")?.to_owned()),
            CTRL_ATTR_VERSION => version = attribute.u32("CTRL_ATTR_VERSION")?,
            _ => {}
        }
    }
    Ok(Family {
        id: id.ok_or(DecodeError::Missing { what: "CTRL_ATTR_FAMILY_ID" })?,
        name: name.ok_or(DecodeError::Missing { what: "CTRL_ATTR_FAMILY_NAME" })?,
        version,
    })
}

/// A body with the header of `command`, version 1.
pub(crate) fn writer(command: u8) -> AttributeWriter {
    AttributeWriter::new(&[command, 1, 0, 0])
}

/// A request that is answered by an acknowledgement.
pub(crate) fn acknowledged(family: u16, body: AttributeWriter) -> Request {
    Request { message_type: family, flags: NLM_F_REQUEST | NLM_F_ACK, body: body.finish() }
}

/// A request for all objects of `command`, without attributes.
pub(crate) fn dump(family: u16, command: u8) -> Request {
    Request { message_type: family, flags: NLM_F_REQUEST | NLM_F_DUMP, body: writer(command).finish() }
}

/// The attributes behind the generic netlink header.
pub(crate) fn payload(body: &[u8]) -> Result<Attributes<'_>, DecodeError> {
    body.get(HEADER..).map(attributes).ok_or(DecodeError::Truncated {
        what: "genlmsghdr",
        need: HEADER,
        have: body.len(),
    })
}

/// The attributes inside the one top-level nest of type `kind`, which must be there.
pub(crate) fn nest<'a>(body: &'a [u8], kind: u16, what: &'static str) -> Result<Attributes<'a>, DecodeError> {
    for attribute in payload(body)? {
        let attribute = attribute?;
        if attribute.kind == kind {
            return Ok(attribute.nested());
        }
    }
    Err(DecodeError::Missing { what })
}
