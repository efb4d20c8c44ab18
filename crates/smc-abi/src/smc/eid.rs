use super::unpadded;
use crate::genl::{acknowledged, dump, payload, writer};
use crate::{DecodeError, Request};

const SMC_NETLINK_DUMP_UEID: u8 = 9;
const SMC_NETLINK_ADD_UEID: u8 = 10;
const SMC_NETLINK_REMOVE_UEID: u8 = 11;
const SMC_NLA_EID_TABLE_ENTRY: u16 = 1;

/// Characters of an EID on the wire, without the NUL (`SMC_MAX_EID_LEN`).
const SMC_MAX_EID_LEN: usize = 32;

/// Asks for the host's UEIDs, one message each.
pub fn ueids(family: u16) -> Request {
    dump(family, SMC_NETLINK_DUMP_UEID)
}

/// Adds a UEID to the host's table: EEXIST when it is there, ERANGE when four are, EINVAL when malformed.
pub fn add_ueid(family: u16, ueid: &str) -> Request {
    change(family, SMC_NETLINK_ADD_UEID, ueid)
}

/// Removes a UEID from the host's table; ENOENT when it is not there.
pub fn remove_ueid(family: u16, ueid: &str) -> Request {
    change(family, SMC_NETLINK_REMOVE_UEID, ueid)
}

/// Reads one message of the answer to [`ueids`]: a UEID without its padding.
pub fn parse_ueid(body: &[u8]) -> Result<String, DecodeError> {
    let what = "SMC_NLA_EID_TABLE_ENTRY";
    for attribute in payload(body)? {
        let attribute = attribute?;
        if attribute.kind == SMC_NLA_EID_TABLE_ENTRY {
            return unpadded(attribute, what)?.ok_or(DecodeError::Missing { what });
        }
    }
    Err(DecodeError::Missing { what })
}

/// The kernel takes exactly 33 bytes (net/smc/smc_clc.c, `smc_nl_ueid_policy`), so a longer UEID is
/// refused and never cut to another one.
fn change(family: u16, command: u8, ueid: &str) -> Request {
    let padded = format!("{ueid:<SMC_MAX_EID_LEN$}");
    acknowledged(family, writer(command).string(SMC_NLA_EID_TABLE_ENTRY, &padded))
}
