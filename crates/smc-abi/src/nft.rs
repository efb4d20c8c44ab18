//! One element of an nftables set, whether set and rules are there, and the rule set's generation, over
//! `NETLINK_NETFILTER` (uapi/linux/netfilter/nf_tables.h).
//!
//! Tables here are of family `inet`. Changes travel in a batch, which the kernel applies as a whole or not
//! at all (net/netfilter/nfnetlink.c).

use crate::attribute::{AttributeWriter, attributes};
use crate::frame::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST};
use crate::{DecodeError, Request};

const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_INET: u8 = 1;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const NFT_MSG_GETRULE: u16 = 7;
const NFT_MSG_GETSET: u16 = 10;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_GETSETELEM: u16 = 13;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFT_MSG_GETGEN: u16 = 16;

const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_GEN_ID: u16 = 1;

/// Bytes of `struct nfgenmsg`.
const HEADER: usize = 4;

/// A change of one element, to be sent as one datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    change: Request,
}

impl Batch {
    /// The datagram: begin, change, end, with consecutive sequence numbers from `first_sequence`. Only the
    /// change is acknowledged; a refusal carries its sequence number, see [`Batch::element_sequence`].
    pub fn frames(&self, first_sequence: u32) -> Vec<u8> {
        let mut datagram = boundary(NFNL_MSG_BATCH_BEGIN).frame(first_sequence);
        datagram.extend(self.change.frame(self.element_sequence(first_sequence)));
        datagram.extend(boundary(NFNL_MSG_BATCH_END).frame(first_sequence.wrapping_add(2)));
        datagram
    }

    /// The sequence number that the answer to the change carries. A batch refused as a whole (EPERM)
    /// is answered under `first_sequence`.
    pub fn element_sequence(&self, first_sequence: u32) -> u32 {
        first_sequence.wrapping_add(1)
    }
}

/// Adds an element; an element that is there already is no error. `key` is in the set's own order: network
/// order for addresses.
pub fn add_element(table: &str, set: &str, key: &[u8]) -> Batch {
    Batch { change: request(NFT_MSG_NEWSETELEM, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, table, set, key) }
}

/// Deletes an element; ENOENT when element, set or table is not there.
pub fn delete_element(table: &str, set: &str, key: &[u8]) -> Batch {
    Batch { change: request(NFT_MSG_DELSETELEM, NLM_F_REQUEST | NLM_F_ACK, table, set, key) }
}

/// Asks for one element; ENOENT when element, set or table is not there. An acknowledgement follows the
/// answer.
pub fn get_element(table: &str, set: &str, key: &[u8]) -> Request {
    request(NFT_MSG_GETSETELEM, NLM_F_REQUEST | NLM_F_ACK, table, set, key)
}

/// Asks for all elements of a set, in one message or more; ENOENT when set or table is not there.
pub fn get_elements(table: &str, set: &str) -> Request {
    let body = inet().string(NFTA_SET_ELEM_LIST_TABLE, table).string(NFTA_SET_ELEM_LIST_SET, set);
    Request {
        message_type: NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSETELEM,
        flags: NLM_F_REQUEST | NLM_F_DUMP,
        body: body.finish(),
    }
}

/// Asks for a set; ENOENT when set or table is not there. An acknowledgement follows the answer.
pub fn get_set(table: &str, set: &str) -> Request {
    let body = inet().string(NFTA_SET_TABLE, table).string(NFTA_SET_NAME, set);
    Request {
        message_type: NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSET,
        flags: NLM_F_REQUEST | NLM_F_ACK,
        body: body.finish(),
    }
}

/// Asks for the rules of a chain, one message each; none when chain or table is not there.
pub fn get_rules(table: &str, chain: &str) -> Request {
    let body = inet().string(NFTA_RULE_TABLE, table).string(NFTA_RULE_CHAIN, chain);
    Request {
        message_type: NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE,
        flags: NLM_F_REQUEST | NLM_F_DUMP,
        body: body.finish(),
    }
}

/// Reads the keys in one message of the answer to [`get_element`]; `body` starts with `struct nfgenmsg`.
pub fn parse_elements(body: &[u8]) -> Result<Vec<Vec<u8>>, DecodeError> {
    let list = body.get(HEADER..).ok_or(DecodeError::Truncated {
        what: "nfgenmsg",
        need: HEADER,
        have: body.len(),
    })?;
    let mut keys = Vec::new();
    for attribute in attributes(list) {
        let attribute = attribute?;
        if attribute.kind == NFTA_SET_ELEM_LIST_ELEMENTS {
            for element in attribute.nested() {
                keys.extend(key(element?.payload)?);
            }
        }
    }
    Ok(keys)
}

/// Asks for the generation of the namespace's rule set, which every committed change of it advances
/// (net/netfilter/nf_tables_api.c, `nf_tables_commit`).
pub fn get_generation() -> Request {
    let body = vec![NFPROTO_UNSPEC, 0, 0, 0];
    Request { message_type: NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, flags: NLM_F_REQUEST, body }
}

/// Reads the answer to [`get_generation`]; `body` starts with `struct nfgenmsg`. `None` when it tells none.
pub fn parse_generation(body: &[u8]) -> Result<Option<u32>, DecodeError> {
    let list = body.get(HEADER..).ok_or(DecodeError::Truncated {
        what: "nfgenmsg",
        need: HEADER,
        have: body.len(),
    })?;
    for attribute in attributes(list) {
        let attribute = attribute?;
        if attribute.kind == NFTA_GEN_ID {
            return Ok(attribute.payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)));
        }
    }
    Ok(None)
}

/// The key of one element; a catch-all element has none.
fn key(element: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    for attribute in attributes(element) {
        let attribute = attribute?;
        if attribute.kind == NFTA_SET_ELEM_KEY {
            for data in attribute.nested() {
                let data = data?;
                if data.kind == NFTA_DATA_VALUE {
                    return Ok(Some(data.payload.to_vec()));
                }
            }
        }
    }
    Ok(None)
}

fn request(message: u16, flags: u16, table: &str, set: &str, key: &[u8]) -> Request {
    let empty = AttributeWriter::default;
    let data = empty().bytes(NFTA_DATA_VALUE, key);
    let element = empty().nested(NFTA_SET_ELEM_KEY, &data);
    let body = inet()
        .string(NFTA_SET_ELEM_LIST_TABLE, table)
        .string(NFTA_SET_ELEM_LIST_SET, set)
        .nested(NFTA_SET_ELEM_LIST_ELEMENTS, &empty().nested(NFTA_LIST_ELEM, &element));
    Request { message_type: NFNL_SUBSYS_NFTABLES << 8 | message, flags, body: body.finish() }
}

/// `struct nfgenmsg` of family inet.
fn inet() -> AttributeWriter {
    AttributeWriter::new(&[NFPROTO_INET, 0, 0, 0])
}

/// A batch's begin or end; the subsystem it is for stands in `nfgenmsg.res_id`, in network order.
fn boundary(message_type: u16) -> Request {
    let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
    Request { message_type, flags: NLM_F_REQUEST, body: vec![NFPROTO_UNSPEC, 0, high, low] }
}
