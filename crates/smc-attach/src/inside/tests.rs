use super::*;

fn id(text: &str) -> PnetId {
    text.parse().unwrap()
}

fn entry(netdev: &str, pnetid: &str) -> PnetEntry {
    PnetEntry::Netdev { pnetid: pnetid.to_owned(), netdev: netdev.to_owned() }
}

fn named(pairs: &[(&str, &str)]) -> Owned {
    let named = pairs.iter().map(|(interface, pnetid)| ((*interface).to_owned(), id(pnetid)));
    Owned { named: named.collect(), ..Owned::default() }
}

#[test]
fn an_id_that_only_our_interfaces_have_is_removed_once() {
    let owned = named(&[("eth0", "NET1"), ("eth1", "NET1")]);
    let table = [entry("eth0", "NET1"), entry("eth1", "NET1"), entry("eth2", "THEIRS")];
    assert_eq!(ours(&owned, &table), (vec![&id("NET1")], vec![]));
}

#[test]
fn an_id_that_somebody_elses_interface_has_too_stays() {
    let owned = named(&[("eth0", "NET1"), ("eth1", "NET2")]);
    let table = [entry("eth0", "NET1"), entry("net1", "NET1"), entry("eth1", "NET2")];
    let shared = Shared { pnetid: id("NET1"), others: vec!["net1".to_owned()] };
    assert_eq!(ours(&owned, &table), (vec![&id("NET2")], vec![shared]));
}

#[test]
fn an_interface_of_ours_that_was_given_another_id_since_is_not_ours_any_more() {
    let owned = named(&[("eth0", "NET1"), ("eth1", "NET2")]);
    let table = [entry("eth0", "NET2"), entry("eth1", "NET2")];
    let shared = Shared { pnetid: id("NET2"), others: vec!["eth0".to_owned()] };
    assert_eq!(ours(&owned, &table), (vec![&id("NET1")], vec![shared]), "removing what is gone is fine");
}
