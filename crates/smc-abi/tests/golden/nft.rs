use smc_abi::nft;
use smc_abi::{Message, messages};

use crate::exchange::Exchange;

/// The nft tool asks for no acknowledgement; all else must be equal.
#[test]
fn the_nft_tool_sends_the_same_batch() {
    let tool = Exchange::load("nft_tool_delete_table");
    let own = nft::delete_table("t").frames(tool.sequence());
    let own: Vec<Message<'_>> = messages(&own).map(Result::unwrap).collect();
    let tool: Vec<Message<'_>> = messages(tool.request_bytes()).map(Result::unwrap).collect();
    assert_eq!((own[0], own[2]), (tool[0], tool[2]));
    assert_eq!((own[1].message_type, own[1].sequence), (tool[1].message_type, tool[1].sequence));
    assert_eq!(own[1].flags & !smc_abi::frame::NLM_F_ACK, tool[1].flags);
    assert_eq!(own[1].body, tool[1].body);
}
