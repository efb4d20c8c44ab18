use smc_abi::Reply;
use smc_abi::rdma::{self, NetnsMode, NodeType, PhysicalState, PortState, RdmaDevice, RdmaPort};

use crate::exchange::Exchange;

#[test]
fn a_device_is_read_with_its_guid_and_protocol() {
    let exchange = Exchange::load("rdma_devices");
    exchange.asserts_request(&rdma::devices());
    let expected = RdmaDevice {
        index: 0,
        name: "rxe0".into(),
        node_type: NodeType::ChannelAdapter,
        node_guid: 0x5054_00ff_fe00_0001,
        port_count: 1,
        firmware: None,
        protocol: Some("roce".into()),
    };
    assert_eq!(exchange.dump().into_iter().map(rdma::parse_device).collect::<Vec<_>>(), [Ok(expected)]);
}

#[test]
fn a_port_is_read_with_its_netdev() {
    let exchange = Exchange::load("rdma_ports");
    exchange.asserts_request(&rdma::ports(0));
    let expected = RdmaPort {
        device_index: 0,
        device: "rxe0".into(),
        port: 1,
        state: PortState::Active,
        physical_state: PhysicalState::LinkUp,
        netdev_index: Some(2),
        netdev_name: Some("eth0".into()),
    };
    assert_eq!(exchange.dump().into_iter().map(rdma::parse_port).collect::<Vec<_>>(), [Ok(expected)]);
}

#[test]
fn the_ports_of_an_unknown_device_end_with_the_error_in_the_done_message() {
    let exchange = Exchange::load("rdma_ports_missing");
    exchange.asserts_request(&rdma::ports(99));
    let replies = exchange.replies();
    assert!(
        matches!(replies.as_slice(), [Reply::Done(Some(error))] if error.name() == Some("EINVAL")),
        "{replies:?}"
    );
}

#[test]
fn the_namespace_mode_is_answered_by_one_message() {
    let exchange = Exchange::load("rdma_netns_mode");
    exchange.asserts_request(&rdma::netns_mode());
    let answer = exchange.data(None);
    assert_eq!(answer.len(), 1);
    assert_eq!(rdma::parse_netns_mode(answer[0].body), Ok(NetnsMode::Shared));
}
