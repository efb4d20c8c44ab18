//! Requests as the SMC and RDMA netlink families document them, byte for byte.
#![cfg(target_endian = "little")]

use smc_abi::attribute::AttributeWriter;
use smc_abi::frame::{NLM_F_ACK, NLM_F_REQUEST};
use smc_abi::{Request, diag, genl, pnetid, rdma, smc};

const PNETID: u16 = 36;
const SMC: u16 = 35;

fn asserts_bytes(request: &Request, sequence: u32, expected: &str) {
    let hex: Vec<String> = request.frame(sequence).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex.concat(), expected.replace(' ', ""));
}

#[test]
fn a_family_lookup_carries_the_name() {
    asserts_bytes(
        &genl::family("SMC_PNETID"),
        1,
        "24000000 10000500 01000000 00000000 03010000 0f000200 534d435f 504e4554 49440000",
    );
}

#[test]
fn a_netdev_is_added_by_name() {
    asserts_bytes(
        &pnetid::add_netdev(PNETID, "NET1", "eth0"),
        2,
        "2c000000 24000500 02000000 00000000 02010000 09000100 4e455431 00000000 09000200 65746830 00000000",
    );
}

#[test]
fn a_device_is_added_by_name_and_port() {
    asserts_bytes(
        &pnetid::add_device(PNETID, "NET1", "mlx5_0", 1),
        3,
        "34000000 24000500 03000000 00000000 02010000 09000100 4e455431 00000000 0b000300 6d6c7835 5f300000 \
         05000400 01000000",
    );
}

#[test]
fn the_pnetid_table_is_dumped_and_an_id_deleted() {
    asserts_bytes(&pnetid::list(PNETID), 4, "14000000 24000103 04000000 00000000 01010000");
    asserts_bytes(
        &pnetid::delete(PNETID, "NET1"),
        5,
        "20000000 24000500 05000000 00000000 03010000 09000100 4e455431 00000000",
    );
}

#[test]
fn a_ueid_is_padded_with_blanks() {
    let expected = format!(
        "3c000000 23000500 06000000 00000000 0a010000 25000100 54455354 55454944 {} 00000000",
        "20".repeat(24)
    );
    asserts_bytes(&smc::add_ueid(SMC, "TESTUEID"), 6, &expected);
}

#[test]
fn statistics_are_dumped_without_attributes() {
    asserts_bytes(&smc::stats(SMC), 7, "14000000 23000103 07000000 00000000 07010000");
}

#[test]
fn smc_sockets_are_asked_for_with_three_extensions() {
    let expected = format!("44000000 14000103 08000000 00000000 2b00000b {}", "00".repeat(48));
    asserts_bytes(&diag::smc_sockets(), 8, &expected);
}

#[test]
fn rdma_requests_have_no_header_of_their_own() {
    asserts_bytes(&rdma::devices(), 9, "10000000 01140103 09000000 00000000");
    asserts_bytes(&rdma::netns_mode(), 10, "10000000 06140100 0a000000 00000000");
}

#[test]
fn other_requests_can_be_built_with_the_attribute_writer() {
    let body = AttributeWriter::default().string(2, "rxe0").string(65, "rxe").string(51, "eth0").finish();
    let new_link = Request { message_type: (5 << 10) + 3, flags: NLM_F_REQUEST | NLM_F_ACK, body };
    asserts_bytes(
        &new_link,
        11,
        "30000000 03140500 0b000000 00000000 09000200 72786530 00000000 08004100 72786500 09003300 65746830 \
         00000000",
    );
}
