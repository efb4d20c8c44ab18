use smc_abi::smc::{self, LinkGroupKind, LinkRecord, LinkState, Role, SmcDevice, SmcDevicePort, SysInfo};
use smc_abi::{Reply, fallback, genl};

use crate::exchange::Exchange;

const FAMILY: u16 = 35;
const UEID: &str = "SMCV2-DEFAULT-UEID";

#[test]
fn the_family_is_found_by_name() {
    let exchange = Exchange::load("genl_family_smc");
    exchange.asserts_request(&genl::family(smc::FAMILY));
    let answer = exchange.data(Some(&Reply::Ack));
    assert_eq!(genl::parse_family(answer[0].body).unwrap().id, FAMILY);
}

#[test]
fn a_ueid_is_added_once() {
    let first = Exchange::load("smc_add_ueid");
    assert_eq!(first.asserts_request(&smc::add_ueid(FAMILY, UEID)).replies(), [Reply::Ack]);
    let second = Exchange::load("smc_add_ueid_again");
    assert_eq!(second.asserts_request(&smc::add_ueid(FAMILY, UEID)).refusal().errno, 17);
}

#[test]
fn removing_an_unknown_ueid_is_refused_with_enoent() {
    let exchange = Exchange::load("smc_remove_ueid_missing");
    assert_eq!(exchange.asserts_request(&smc::remove_ueid(FAMILY, "OTHER")).refusal().errno, 2);
}

#[test]
fn the_ueid_list_is_without_padding() {
    let exchange = Exchange::load("smc_ueids");
    exchange.asserts_request(&smc::ueids(FAMILY));
    let ueids: Vec<_> = exchange.dump().into_iter().map(|body| smc::parse_ueid(body).unwrap()).collect();
    assert_eq!(ueids, [UEID]);
}

#[test]
fn a_refusal_is_read_with_and_without_extended_acknowledgement() {
    for name in ["smc_add_ueid_short", "smc_add_ueid_short_uncapped", "smc_add_ueid_short_plain"] {
        assert_eq!(Exchange::load(name).refusal().to_string(), "EINVAL (22)", "{name}");
    }
    let error = Exchange::load("smc_stats_with_attribute").refusal();
    assert_eq!(error.to_string(), "EINVAL (22): Attribute failed policy validation");
    assert_eq!(Exchange::load("smc_stats_no_dump").refusal().name(), Some("EOPNOTSUPP"));
}

#[test]
fn the_system_information_says_what_smc_can_do() {
    let exchange = Exchange::load("smc_sys_info");
    exchange.asserts_request(&smc::sys_info(FAMILY));
    let expected = SysInfo {
        version: 2,
        release: 1,
        is_ism_v2_capable: false,
        is_smcr_v2_capable: true,
        local_host: Some("node1".into()),
        system_eid: None,
    };
    assert_eq!(exchange.dump().into_iter().map(smc::parse_sys_info).collect::<Vec<_>>(), [Ok(expected)]);
}

#[test]
fn a_device_without_pci_parent_has_its_port_and_pnetid() {
    let exchange = Exchange::load("smc_devices");
    exchange.asserts_request(&smc::devices(FAMILY));
    let port = SmcDevicePort {
        pnetid: Some("KSMC1".into()),
        pnetid_is_user_defined: true,
        netdev_index: Some(2),
        active: true,
        link_count: 1,
    };
    let expected = SmcDevice { name: "rxe0".into(), is_critical: true, pci_id: None, ports: vec![port] };
    assert_eq!(exchange.dump().into_iter().map(smc::parse_device).collect::<Vec<_>>(), [Ok(expected)]);
}

#[test]
fn statistics_count_the_connections_and_their_bytes() {
    for (name, is_client) in [("client_smc_stats", true), ("server_smc_stats", false)] {
        let exchange = Exchange::load(name);
        exchange.asserts_request(&smc::stats(FAMILY));
        let bodies = exchange.dump();
        let stats = smc::parse_stats(bodies[0]).unwrap();
        assert_eq!(bodies.len(), 1);
        let smcr = &stats.smcr;
        let v2 = if is_client { (3, 0) } else { (0, 3) };
        assert_eq!((smcr.client_v2, smcr.server_v2), v2, "{name}");
        assert_eq!((smcr.client_v1, smcr.server_v1), (0, 0));
        assert_eq!((smcr.rx_bytes, smcr.tx_bytes), (9000, 9000));
        assert_eq!((smcr.rx_calls, smcr.tx_calls), (9, 9));
        assert_eq!(smcr.tx_call_sizes, [9, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(smcr.rx_buffer_sizes, [0, 0, 0, 3, 0, 0, 0, 0, 0]);
        assert_eq!((smcr.rx_buffers.allocated, smcr.tx_buffers.allocated), (3, 3));
        assert_eq!((smcr.rx_buffer_bytes, smcr.tx_buffer_bytes), (Some(3 * 65_536), Some(3 * 65_536)));
        assert_eq!((stats.smcd.rx_bytes, stats.smcd.client_v2), (0, 0));
        assert_eq!((stats.client_handshake_errors, stats.server_handshake_errors), (0, 0));
    }
}

#[test]
fn statistics_before_any_connection_are_zero() {
    let exchange = Exchange::load("smc_stats_idle");
    let stats = smc::parse_stats(exchange.dump()[0]).unwrap();
    assert_eq!((stats.smcr.client_v2, stats.smcr.tx_bytes), (0, 0));
    assert_eq!(stats.smcr.tx_buffer_bytes, Some(0));
}

#[test]
fn a_fallback_is_counted_on_the_side_that_saw_no_smc() {
    for (name, role, server, client) in
        [("client_smc_fallback_stats", Role::Client, 0, 1), ("server_smc_fallback_stats", Role::Server, 1, 0)]
    {
        let exchange = Exchange::load(name);
        exchange.asserts_request(&smc::fallback_stats(FAMILY));
        let expected = smc::FallbackStats {
            role,
            total_server: Some(server),
            total_client: Some(client),
            reason: fallback::PEERNOSMC,
            count: 1,
        };
        let all: Vec<_> = exchange.dump().into_iter().map(smc::parse_fallback_stats).collect();
        assert_eq!(all, [Ok(expected)]);
    }
}

#[test]
fn no_fallback_gives_no_message() {
    assert!(Exchange::load("smc_fallback_stats_idle").dump().is_empty());
}

#[test]
fn a_link_group_names_its_peer() {
    for (name, role, peer) in
        [("client_smc_link_groups", Role::Client, "node2"), ("server_smc_link_groups", Role::Server, "node1")]
    {
        let exchange = Exchange::load(name);
        exchange.asserts_request(&smc::link_groups(FAMILY));
        let groups: Vec<_> =
            exchange.dump().into_iter().map(|body| smc::parse_link_group(body).unwrap()).collect();
        assert_eq!(groups.len(), 1);
        let group = &groups[0];
        assert_eq!((group.id, group.role, group.kind), (0x100, role, LinkGroupKind::Single));
        assert_eq!((group.pnetid.as_deref(), group.connections), (Some("KSMC1"), 3));
        assert_eq!((group.direct, group.receive_buffer_bytes), (Some(true), Some(3 * 65_536)));
        let v2 = group.v2_peer.as_ref().unwrap();
        assert_eq!((v2.version, v2.release, v2.operating_system), (2, 1, 2));
        assert_eq!((v2.negotiated_eid.as_deref(), v2.host.as_deref()), (Some(UEID), Some(peer)));
    }
}

#[test]
fn links_follow_their_group() {
    let exchange = Exchange::load("client_smc_links");
    exchange.asserts_request(&smc::links(FAMILY));
    let records: Vec<_> =
        exchange.dump().into_iter().map(|body| smc::parse_link_record(body).unwrap()).collect();
    let [LinkRecord::Group(group), LinkRecord::Link(link)] = records.as_slice() else {
        panic!("a group and its link expected: {records:?}");
    };
    assert_eq!(group.connections, 3);
    assert_eq!((link.id, link.device.as_str(), link.port), (1, "rxe0", 1));
    assert_eq!(link.gid, "0000:0000:0000:0000:0000:ffff:0a00:000b");
    assert_eq!(link.peer_gid, "0000:0000:0000:0000:0000:ffff:0a00:000c");
    assert_eq!((link.connections, link.netdev_index, link.state), (3, Some(2), LinkState::Active));
}
