use super::*;

/// Straight, by interface 5.
fn way(held: bool, local: bool) -> Way {
    Way { held, local, interface: Some(5), straight: true, source: None }
}

fn needed(held: bool, on_link: bool) -> AnchorState {
    AnchorState::Needed { towards_pod: 5, source: None, held, on_link }
}

#[test]
fn an_anchor_is_whole_on_the_link_and_behind_the_route_that_holds() {
    let state = |held, place| anchor_state(Some(way(held, false)), place, Some(5));
    assert_eq!(state(false, Place::Nowhere), needed(false, false), "never begun");
    assert_eq!(state(true, Place::Nowhere), needed(true, false), "held, and taken off the link");
    let not_held = "no longer held, or an earlier version's";
    assert_eq!(state(false, Place::AnchorLink), needed(false, true), "{not_held}");
    assert_eq!(state(true, Place::AnchorLink), AnchorState::Anchored);
}

#[test]
fn only_an_address_that_the_host_routes_straight_to_this_pod_is_anchored() {
    let free = way(false, false);
    let state = |way, place, towards| anchor_state(way, place, towards);
    for (what, way, place, towards_pod) in [
        ("no route", None, Place::Nowhere, Some(5)),
        ("another pod's, or the uplink's", Some(free), Place::Nowhere, Some(9)),
        ("its pair ends in another namespace", Some(free), Place::Nowhere, None),
        ("by a gateway", Some(Way { straight: false, ..free }), Place::Nowhere, Some(5)),
        ("127.0.0.5", Some(way(false, true)), Place::Nowhere, Some(5)),
        ("the link was brought up", Some(way(false, true)), Place::AnchorLink, Some(5)),
        ("the host's own address", Some(free), Place::ElsewhereToo, Some(5)),
    ] {
        assert_eq!(state(way, place, towards_pod), AnchorState::Unreachable, "{what}");
    }
}

#[test]
fn the_route_that_holds_keeps_the_source_of_the_one_that_it_stands_before() {
    let source = Some(Ipv4Addr::new(10, 0, 0, 1));
    let state = anchor_state(Some(Way { source, ..way(false, false) }), Place::Nowhere, Some(5));
    assert!(matches!(state, AnchorState::Needed { source: kept, .. } if kept == source), "{state:?}");
}

#[test]
fn an_address_that_was_given_to_another_pod_is_held_against_it() {
    let [ours, theirs] = [21, 22].map(|last| Ipv4Addr::new(10, 0, 0, last));
    let held =
        |address| HostRoute { address, interface: 5, table: route::TABLE_LOCAL, local: false, held: true };
    let of_cni =
        |address, interface| HostRoute { interface, table: route::TABLE_MAIN, held: false, ..held(address) };
    let of_link = HostRoute { interface: 7, local: true, held: false, ..held(ours) };
    let routes = [held(ours), of_cni(ours, 5), of_link, held(theirs), of_cni(theirs, 9)];
    assert_eq!(superseded(&routes), [theirs].into());
    assert_eq!(superseded(&[held(ours)]), BTreeSet::new(), "on a bridge there is no route to one pod");
}

#[test]
fn an_address_on_another_link_than_the_anchor_is_the_hosts_own() {
    let pods: Ipv4Net = "10.0.0.21/32".parse().unwrap();
    let hosts: Ipv4Net = "10.0.0.21/24".parse().unwrap();
    assert_eq!(place_in_host(&[], 7, pods.address()), Place::Nowhere);
    assert_eq!(place_in_host(&[(7, pods)], 7, pods.address()), Place::AnchorLink);
    assert_eq!(place_in_host(&[(2, hosts)], 7, pods.address()), Place::ElsewhereToo);
    assert_eq!(place_in_host(&[(7, pods), (2, hosts)], 7, pods.address()), Place::ElsewhereToo);
}
