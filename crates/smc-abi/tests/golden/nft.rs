use smc_abi::attribute::{AttributeWriter, attributes};
use smc_abi::nft::{self, Batch};
use smc_abi::{Message, Reply, messages};

use crate::exchange::Exchange;

const TABLE: &str = "kube-smc";
const SET: &str = "local_pods";
const ADDRESS: [u8; 4] = [10, 0, 0, 21];

/// Checks the batch byte for byte, and that all of the answer is for its element.
fn asserts_batch(exchange: &Exchange, batch: &Batch) {
    let first = exchange.sequence();
    assert_eq!(batch.frames(first), exchange.request_bytes());
    let answer = exchange.sequences();
    assert_eq!(answer, [batch.element_sequence(first)]);
}

#[test]
fn adding_an_element_succeeds_also_the_second_time() {
    for name in ["nft_add_element", "nft_add_element_again"] {
        let exchange = Exchange::load(name);
        asserts_batch(&exchange, &nft::add_element(TABLE, SET, &ADDRESS));
        assert_eq!(exchange.replies(), [Reply::Ack], "{name}");
    }
}

#[test]
fn deleting_an_element_succeeds_once() {
    let first = Exchange::load("nft_delete_element");
    asserts_batch(&first, &nft::delete_element(TABLE, SET, &ADDRESS));
    assert_eq!(first.replies(), [Reply::Ack]);

    let second = Exchange::load("nft_delete_element_missing");
    asserts_batch(&second, &nft::delete_element(TABLE, SET, &ADDRESS));
    let error = second.refusal();
    assert_eq!((error.name(), error.offset), (Some("ENOENT"), Some(56)));
}

#[test]
fn an_element_that_is_there_is_found() {
    let exchange = Exchange::load("nft_get_element");
    exchange.asserts_request(&nft::get_element(TABLE, SET, &ADDRESS));
    let answer = exchange.data(Some(&Reply::Ack));
    assert_eq!(answer.len(), 1);
    assert_eq!(nft::parse_elements(answer[0].body), Ok(vec![ADDRESS.to_vec()]));
}

#[test]
fn an_element_that_is_not_there_is_refused_with_enoent() {
    let exchange = Exchange::load("nft_get_element_missing");
    let error = exchange.asserts_request(&nft::get_element(TABLE, SET, &[10, 0, 0, 22])).refusal();
    assert_eq!(error.name(), Some("ENOENT"));
}

/// The nft tool asks for no acknowledgement and adds NFTA_SET_ELEM_LIST_SET_ID (4), which matters only for
/// sets made in the same batch; all else must be equal.
#[test]
fn the_nft_tool_sends_the_same_batch() {
    let tool = Exchange::load("nft_tool_add_element");
    let own = nft::add_element("t", "s", &ADDRESS).frames(tool.sequence());
    let own: Vec<Message<'_>> = messages(&own).map(Result::unwrap).collect();
    let tool: Vec<Message<'_>> = messages(tool.request_bytes()).map(Result::unwrap).collect();
    assert_eq!((own[0], own[2]), (tool[0], tool[2]));

    assert_eq!((own[1].message_type, own[1].sequence), (tool[1].message_type, tool[1].sequence));
    assert_eq!(own[1].flags & !smc_abi::frame::NLM_F_ACK, tool[1].flags);
    let (header, list) = tool[1].body.split_at(4);
    let mut without_set_id = AttributeWriter::new(header);
    for attribute in attributes(list).map(Result::unwrap).filter(|attribute| attribute.kind != 4) {
        let nested = if attribute.kind == 3 { 0x8000 } else { 0 };
        without_set_id = without_set_id.bytes(attribute.kind | nested, attribute.payload);
    }
    assert_eq!(own[1].body, without_set_id.finish());
}
