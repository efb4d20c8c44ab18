use smc_abi::pnetid::{self, PnetEntry};
use smc_abi::{Reply, genl};

use crate::exchange::Exchange;

const FAMILY: u16 = 36;

fn both_entries() -> [PnetEntry; 2] {
    [
        PnetEntry::Netdev { pnetid: "KSMC1".into(), netdev: "eth0".into() },
        PnetEntry::Device { pnetid: "KSMC1".into(), device: "rxe0".into(), port: 1 },
    ]
}

#[test]
fn the_family_is_found_by_name() {
    let exchange = Exchange::load("genl_family_pnetid");
    exchange.asserts_request(&genl::family(pnetid::FAMILY));
    let answer = exchange.data(Some(&Reply::Ack));
    let family = genl::parse_family(answer[0].body).unwrap();
    assert_eq!((family.id, family.name.as_str(), family.version), (FAMILY, "SMC_PNETID", 1));
}

#[test]
fn a_missing_family_is_refused_with_enoent() {
    let exchange = Exchange::load("genl_family_missing");
    let error = exchange.asserts_request(&genl::family("NO_SUCH_FAMILY")).refusal();
    assert_eq!(error.to_string(), "ENOENT (2)");
}

#[test]
fn additions_are_acknowledged() {
    let netdev = Exchange::load("pnetid_add_netdev");
    netdev.asserts_request(&pnetid::add_netdev(FAMILY, "KSMC1", "eth0"));
    assert_eq!(netdev.replies(), [Reply::Ack]);

    let device = Exchange::load("pnetid_add_device");
    device.asserts_request(&pnetid::add_device(FAMILY, "KSMC1", "rxe0", 1));
    assert_eq!(device.replies(), [Reply::Ack]);
}

#[test]
fn a_second_addition_is_refused_with_eexist() {
    let exchange = Exchange::load("pnetid_add_netdev_again");
    let error = exchange.asserts_request(&pnetid::add_netdev(FAMILY, "KSMC1", "eth0")).refusal();
    assert_eq!(error.name(), Some("EEXIST"));
}

#[test]
fn deleting_an_unknown_pnetid_is_refused_with_enoent() {
    let exchange = Exchange::load("pnetid_delete_missing");
    let error = exchange.asserts_request(&pnetid::delete(FAMILY, "NONE")).refusal();
    assert_eq!(error.name(), Some("ENOENT"));
}

#[test]
fn the_list_has_netdevs_and_devices() {
    let exchange = Exchange::load("pnetid_list");
    exchange.asserts_request(&pnetid::list(FAMILY));
    let entries: Vec<_> = exchange.dump().into_iter().map(|body| pnetid::parse(body).unwrap()).collect();
    assert_eq!(entries, both_entries());
}

#[test]
fn a_get_ends_with_a_done_message_without_status() {
    let exchange = Exchange::load("pnetid_get");
    let entries: Vec<_> = exchange.dump().into_iter().map(|body| pnetid::parse(body).unwrap()).collect();
    assert_eq!(entries, both_entries());
}

#[test]
fn the_kernels_sentence_is_read_behind_a_capped_and_a_whole_request() {
    for name in ["pnetid_add_unterminated", "pnetid_add_unterminated_uncapped"] {
        let error = Exchange::load(name).refusal();
        assert_eq!(error.to_string(), "EINVAL (22): Attribute failed policy validation", "{name}");
        assert_eq!(error.offset, Some(20), "{name}");
    }
}
