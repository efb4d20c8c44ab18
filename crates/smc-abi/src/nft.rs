//! Taking an nftables table away, over `NETLINK_NETFILTER` (uapi/linux/netfilter/nf_tables.h).
//!
//! Changes travel in a batch, which the kernel applies as a whole or not at all (net/netfilter/nfnetlink.c).

use crate::Request;
use crate::attribute::AttributeWriter;
use crate::frame::{NLM_F_ACK, NLM_F_REQUEST};

const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_INET: u8 = 1;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const NFT_MSG_DELTABLE: u16 = 2;
const NFTA_TABLE_NAME: u16 = 1;

/// One change, to be sent as one datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    change: Request,
}

impl Batch {
    /// The datagram: begin, change, end, with consecutive sequence numbers from `first_sequence`. Only the
    /// change is acknowledged; a refusal carries its sequence number, see [`Batch::change_sequence`].
    pub fn frames(&self, first_sequence: u32) -> Vec<u8> {
        let mut datagram = boundary(NFNL_MSG_BATCH_BEGIN).frame(first_sequence);
        datagram.extend(self.change.frame(self.change_sequence(first_sequence)));
        datagram.extend(boundary(NFNL_MSG_BATCH_END).frame(first_sequence.wrapping_add(2)));
        datagram
    }

    /// The sequence number that the answer to the change carries. A batch refused as a whole (EPERM)
    /// is answered under `first_sequence`.
    pub fn change_sequence(&self, first_sequence: u32) -> u32 {
        first_sequence.wrapping_add(1)
    }
}

/// Deletes a table of family inet with all that is in it; ENOENT when it is not there.
pub fn delete_table(table: &str) -> Batch {
    let body = AttributeWriter::new(&[NFPROTO_INET, 0, 0, 0]).string(NFTA_TABLE_NAME, table);
    let message_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE;
    Batch { change: Request { message_type, flags: NLM_F_REQUEST | NLM_F_ACK, body: body.finish() } }
}

/// A batch's begin or end; the subsystem it is for stands in `nfgenmsg.res_id`, in network order.
fn boundary(message_type: u16) -> Request {
    let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
    Request { message_type, flags: NLM_F_REQUEST, body: vec![NFPROTO_UNSPEC, 0, high, low] }
}
