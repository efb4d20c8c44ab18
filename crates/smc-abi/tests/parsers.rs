//! What parsers make of messages that the recorded exchanges do not have, and of missing or wrong fields.

use smc_abi::DecodeError;
use smc_abi::attribute::AttributeWriter;
use smc_abi::diag::{self, Fallback, Mode, SmcState};
use smc_abi::genl;
use smc_abi::pnetid::{self, PnetEntry};
use smc_abi::rdma::{self, NetnsMode, NodeType, PortState};
use smc_abi::smc::{self, Role};

fn empty() -> AttributeWriter {
    AttributeWriter::default()
}

/// A generic netlink body.
fn genl_body() -> AttributeWriter {
    AttributeWriter::new(&[1, 1, 0, 0])
}

/// A generic netlink body with one nest.
fn nest(kind: u16, inner: &AttributeWriter) -> Vec<u8> {
    genl_body().nested(kind, inner).finish()
}

/// `struct smc_diag_msg` with family, state and mode, and everything else zero.
fn smc_socket(family: u8, state: u8, mode: u8) -> AttributeWriter {
    let mut header = [0; 64];
    header[..3].copy_from_slice(&[family, state, mode]);
    AttributeWriter::new(&header)
}

#[test]
fn a_family_without_id_is_an_error() {
    let body = genl_body().string(2, "SMC_PNETID").finish();
    assert_eq!(genl::parse_family(&body), Err(DecodeError::Missing { what: "CTRL_ATTR_FAMILY_ID" }));
}

#[test]
fn a_body_without_the_generic_header_is_an_error() {
    let expected = DecodeError::Truncated { what: "genlmsghdr", need: 4, have: 3 };
    assert_eq!(pnetid::parse(&[1, 1, 0]), Err(expected));
}

#[test]
fn a_pnetid_is_read_without_trailing_blanks() {
    let body = genl_body().string(1, "CC  ").string(2, "eth0").string(3, "n/a").u8(4, 0xff).finish();
    assert_eq!(pnetid::parse(&body), Ok(PnetEntry::Netdev { pnetid: "CC".into(), netdev: "eth0".into() }));
}

#[test]
fn a_pnet_entry_with_neither_name_is_an_error() {
    let body = genl_body().string(1, "CC").string(2, "n/a").string(3, "n/a").u8(4, 0xff).finish();
    let expected = DecodeError::Missing { what: "SMC_PNETID_ETHNAME and SMC_PNETID_IBNAME" };
    assert_eq!(pnetid::parse(&body), Err(expected));
}

#[test]
fn a_ueid_that_is_too_long_is_sent_whole_so_that_the_kernel_refuses_it() {
    let long = "A".repeat(33);
    let request = smc::add_ueid(35, &long);
    assert_eq!(request.body[4..6], 38_u16.to_ne_bytes());
    assert_eq!(smc::parse_ueid(&request.body), Ok(long));
}

#[test]
fn a_device_with_two_ports_has_them_in_order() {
    let second = empty().u8(1, 0).string(2, "").u32(3, 0).u8(4, 0).u8(5, 1).u32(6, 0);
    let first = empty().u8(1, 1).string(2, "NET1            ").u32(3, 7).u8(4, 1).u8(5, 1).u32(6, 2);
    let device = empty()
        .u8(2, 0)
        .string(7, "0000:00:05.0")
        .nested(9, &second)
        .nested(8, &first)
        .string(10, "mlx5_0")
        .bytes(99, b"newer kernel");
    let device = smc::parse_device(&nest(6, &device)).unwrap();
    assert_eq!((device.name.as_str(), device.pci_id.as_deref()), ("mlx5_0", Some("0000:00:05.0")));
    assert_eq!(device.ports.len(), 2);
    assert_eq!((device.ports[0].pnetid.as_deref(), device.ports[0].netdev_index), (Some("NET1"), Some(7)));
    assert!(device.ports[0].active && device.ports[0].pnetid_is_user_defined);
    assert_eq!((&device.ports[1].pnetid, device.ports[1].netdev_index), (&None, None));
    assert!(!device.ports[1].active);
}

#[test]
fn a_message_without_its_nest_is_an_error() {
    let body = genl_body().finish();
    assert_eq!(smc::parse_stats(&body), Err(DecodeError::Missing { what: "SMC_GEN_STATS" }));
    assert_eq!(smc::parse_device(&body), Err(DecodeError::Missing { what: "SMC_GEN_DEV_SMCR" }));
}

#[test]
fn statistics_skip_padding_and_read_every_counter_of_a_buffer() {
    let buffers =
        (1..=7).fold(empty().bytes(0, &[]), |writer, kind: u16| writer.u64(kind, u64::from(kind) * 10));
    let sizes = (1..=9).fold(empty(), |writer, kind: u16| writer.u64(kind, u64::from(kind)));
    let tech = empty().nested(4, &sizes).nested(6, &buffers).u64(12, 1).u64(13, 2).u64(14, 3).u64(15, 4);
    let body = nest(7, &empty().nested(1, &tech).u64(3, 5).u64(4, 6));
    let stats = smc::parse_stats(&body).unwrap();
    assert_eq!(stats.smcd.rx_call_sizes, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let rx = &stats.smcd.rx_buffers;
    assert_eq!((rx.peer_too_small, rx.too_small, rx.peer_full, rx.full), (10, 20, 30, 40));
    assert_eq!((rx.reused, rx.allocated, rx.downgraded), (50, 60, 70));
    let special = (stats.smcd.splice_calls, stats.smcd.cork_calls, stats.smcd.nodelay_calls);
    assert_eq!((special, stats.smcd.urgent_data), ((1, 2, 3), 4));
    assert_eq!((stats.client_handshake_errors, stats.server_handshake_errors), (5, 6));
    assert_eq!((stats.smcd.rx_buffer_bytes, stats.smcr.client_v2), (None, 0));
}

#[test]
fn fallback_totals_are_absent_after_the_first_message() {
    let counter = empty().u8(1, 1).u32(4, 0x0303_0002).bytes(5, &7_u16.to_ne_bytes());
    let stats = smc::parse_fallback_stats(&nest(8, &counter)).unwrap();
    assert_eq!((stats.role, stats.reason, stats.count), (Role::Server, 0x0303_0002, 7));
    assert_eq!((stats.total_server, stats.total_client), (None, None));
}

#[test]
fn a_role_that_is_neither_client_nor_server_is_an_error() {
    let counter = empty().u8(1, 2).u32(4, 1);
    let expected = DecodeError::BadValue { what: "SMC_NLA_FBACK_STATS_TYPE", value: 2 };
    assert_eq!(smc::parse_fallback_stats(&nest(8, &counter)), Err(expected));
}

#[test]
fn a_link_group_of_version_one_says_nothing_of_its_peer() {
    let group =
        smc::parse_link_group(&nest(2, &empty().u32(1, 0x200).u8(2, 1).u8(3, 9).string(4, ""))).unwrap();
    assert_eq!((group.id, group.role, group.kind), (0x200, Role::Server, smc::LinkGroupKind::Other(9)));
    assert_eq!((group.v2_peer, group.direct, group.pnetid), (None, None, None));
}

#[test]
fn a_link_record_of_another_command_is_an_error() {
    let body = [9, 1, 0, 0];
    let expected = DecodeError::BadValue { what: "genlmsghdr.cmd", value: 9 };
    assert_eq!(smc::parse_link_record(&body), Err(expected));
}

#[test]
fn a_peers_decline_keeps_both_codes() {
    let codes = [0x0500_0000_u32.to_ne_bytes(), 0x0303_0002_u32.to_ne_bytes()].concat();
    let socket = diag::parse_smc_socket(&smc_socket(43, 1, 1).bytes(5, &codes).finish()).unwrap();
    assert_eq!(socket.mode, Some(Mode::Tcp));
    assert_eq!(socket.fallback, Some(Fallback { reason: 0x0500_0000, peer_diagnosis: 0x0303_0002 }));
}

#[test]
fn the_mode_counts_only_for_connected_sockets() {
    for (state, number, expected) in [
        (1, 0, Some(Mode::SmcR)),
        (1, 2, Some(Mode::SmcD)),
        (22, 0, Some(Mode::SmcR)),
        (2, 0, None),
        (7, 0, None),
        (10, 0, None),
        (10, 1, Some(Mode::Tcp)),
        (1, 3, None),
    ] {
        let socket = diag::parse_smc_socket(&smc_socket(43, state, number).finish()).unwrap();
        assert_eq!(socket.mode, expected, "state {state}, mode {number}");
    }
    let closing = diag::parse_smc_socket(&smc_socket(43, 22, 0).u8(3, 3).finish()).unwrap();
    assert_eq!(closing.state, SmcState::Closing(22));
    assert!(closing.receive_shutdown && closing.send_shutdown);
}

#[test]
fn the_family_decides_the_kind_of_an_empty_address_and_mapped_ones_are_ipv4() {
    let local = |family, source: [u8; 16]| {
        let mut body = smc_socket(family, 1, 0).finish();
        body[8..24].copy_from_slice(&source);
        diag::parse_smc_socket(&body).unwrap().local.ip().to_string()
    };
    assert_eq!((local(2, [0; 16]), local(10, [0; 16])), ("0.0.0.0".into(), "::".into()));
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1];
    assert_eq!((local(43, mapped), local(10, mapped)), ("10.0.0.1".into(), "10.0.0.1".into()));
    let ipv6 = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(local(43, ipv6), "fd00::1");
}

#[test]
fn a_short_link_description_is_an_error() {
    let body = smc_socket(43, 1, 0).bytes(2, &[0; 146]).finish();
    let expected = DecodeError::Truncated { what: "smc_diag_lgrinfo", need: 147, have: 146 };
    assert_eq!(diag::parse_smc_socket(&body), Err(expected));
}

#[test]
fn a_tcp_socket_of_another_family_or_too_short_is_an_error() {
    let mut body = [0; 72];
    body[0] = 1;
    let expected = DecodeError::BadValue { what: "idiag_family", value: 1 };
    assert_eq!(diag::parse_tcp_socket(&body), Err(expected));
    body[0] = 2;
    assert!(diag::parse_tcp_socket(&body).is_ok());
    assert!(diag::parse_tcp_socket(&body[..71]).is_err());
}

#[test]
fn an_iwarp_device_is_told_from_a_channel_adapter() {
    let body = empty().u32(1, 3).string(2, "erdma_0").u32(3, 1).u8(14, 4).string(67, "iw").finish();
    let device = rdma::parse_device(&body).unwrap();
    assert_eq!((device.node_type, device.protocol.as_deref()), (NodeType::Rnic, Some("iw")));
}

#[test]
fn a_port_whose_netdev_is_elsewhere_has_none() {
    let body = empty().u32(1, 0).string(2, "rxe0").u32(3, 1).u8(12, 1).u8(13, 3).finish();
    let port = rdma::parse_port(&body).unwrap();
    assert_eq!((port.state, port.netdev_index, port.netdev_name), (PortState::Down, None, None));
}

#[test]
fn the_namespace_mode_is_exclusive_shared_or_an_error() {
    let what = "RDMA_NLDEV_SYS_ATTR_NETNS_MODE";
    assert_eq!(rdma::parse_netns_mode(&empty().u8(66, 0).finish()), Ok(NetnsMode::Exclusive));
    let odd = rdma::parse_netns_mode(&empty().u8(66, 2).finish());
    assert_eq!(odd, Err(DecodeError::BadValue { what, value: 2 }));
    assert_eq!(rdma::parse_netns_mode(&[]), Err(DecodeError::Missing { what }));
}
