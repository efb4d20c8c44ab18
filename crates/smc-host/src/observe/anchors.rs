//! Which of a pod's addresses are anchored, and whose the host says that they are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use smc_model::{AnchorState, Ipv4Net};

use crate::netlink::Connection;
use crate::netns::Netns;
use crate::route::{HostRoute, Link, Way};
use crate::{HostError, anchor, route};

/// For each address of a pod that is on a pair with its other end in the host, the host's interface towards the pod.
pub type Towards = BTreeMap<Ipv4Addr, u32>;

/// An interface of a pod that is an end of a pair.
pub(super) struct PairEnd {
    index: u32,
    /// The other end's index, in whatever namespace that is.
    peer: u32,
    addresses: Vec<Ipv4Addr>,
}

pub(super) fn towards(host: &mut Connection, netns: &Netns, pairs: &[PairEnd]) -> Result<Towards, HostError> {
    let mut towards = Towards::new();
    for pair in pairs.iter().filter(|pair| !pair.addresses.is_empty()) {
        if let Some(interface) = anchor::towards_pod(host, netns, pair.index, pair.peer)? {
            towards.extend(pair.addresses.iter().map(|&address| (address, interface)));
        }
    }
    Ok(towards)
}

/// The source anchors of those addresses of `wanted` that the pod in `netns` has, by the host's connection `host`; `anchor` is the
/// anchor link.
pub fn anchors(
    host: &mut Connection,
    netns: &Netns,
    anchor: u32,
    wanted: &BTreeSet<Ipv4Addr>,
) -> Result<BTreeMap<Ipv4Addr, AnchorState>, HostError> {
    let mut inside = netns.connect()?.route;
    let mut addresses = route::addresses(&mut inside)?;
    addresses.retain(|(_, net)| wanted.contains(&net.address()));
    let links = route::links(&mut inside)?;
    let pairs: Vec<PairEnd> = links.into_iter().filter_map(|link| pair_end(&link, &addresses)).collect();
    let host_addresses = route::addresses(host)?;
    let mut anchors = BTreeMap::new();
    for (address, interface) in towards(host, netns, &pairs)? {
        let place = place_in_host(&host_addresses, anchor, address);
        anchors.insert(address, anchor_state(route::way_to(host, address)?, place, Some(interface)));
    }
    Ok(anchors)
}

/// The pod's end of a pair that `link` is, if it is one.
pub(super) fn pair_end(link: &Link, addresses: &[(u32, Ipv4Net)]) -> Option<PairEnd> {
    let peer = link.peer.filter(|_| matches!(link.kind.as_str(), "veth" | "netkit"))?;
    let on_link = addresses.iter().filter(|(index, _)| *index == link.index).map(|(_, net)| net.address());
    let addresses = on_link.filter(|address| !address.is_link_local()).collect();
    Some(PairEnd { index: link.index, peer, addresses })
}

/// Where the host itself has an address of the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    AnchorLink,
    /// The host's own address, which a pod with NET_ADMIN may have given itself.
    ElsewhereToo,
}

pub(super) fn place_in_host(host_addresses: &[(u32, Ipv4Net)], anchor: u32, address: Ipv4Addr) -> Place {
    let mut links =
        host_addresses.iter().filter(|(_, net)| net.address() == address).map(|(index, _)| *index).peekable();
    if links.peek().is_none() {
        Place::Nowhere
    } else if links.all(|index| index == anchor) {
        Place::AnchorLink
    } else {
        Place::ElsewhereToo
    }
}

/// An address is anchored when it is on the anchor link and the route in front of table local holds the pod's packets. It can be
/// when the host's route to it leads straight to the pod itself (`towards_pod`, by the host's word): a pod may give itself any
/// address, another pod's or the host's, and a route held for that would give it the other's packets. An address that the host
/// takes for its own is the host's; where that is only because the anchor link was brought up, the agent ends it.
pub(super) fn anchor_state(way: Option<Way>, place: Place, towards_pod: Option<u32>) -> AnchorState {
    let (Some(way), Some(towards_pod)) = (way, towards_pod) else { return AnchorState::Unreachable };
    let leads_to_pod = way.straight && !way.local && way.interface == Some(towards_pod);
    match place {
        _ if !leads_to_pod => AnchorState::Unreachable,
        Place::ElsewhereToo => AnchorState::Unreachable,
        Place::AnchorLink if way.held => AnchorState::Anchored,
        Place::AnchorLink | Place::Nowhere => AnchorState::Needed {
            towards_pod,
            source: way.source,
            held: way.held,
            on_link: place == Place::AnchorLink,
        },
    }
}

/// Addresses whose packets are held for one interface while the host has a route of its own to them by others only: they were given
/// to another pod, and the route that holds would keep their packets from it.
pub(super) fn superseded(routes: &[HostRoute]) -> BTreeSet<Ipv4Addr> {
    let behind = |held: &&HostRoute| {
        let mut others =
            routes.iter().filter(|other| other.address == held.address && other.in_main()).peekable();
        others.peek().is_some() && others.all(|other| other.interface != held.interface)
    };
    routes.iter().filter(|route| route.held).filter(behind).map(|route| route.address).collect()
}

#[cfg(test)]
mod tests {
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
        let held = |address| HostRoute {
            address,
            interface: 5,
            table: route::TABLE_LOCAL,
            local: false,
            held: true,
        };
        let of_cni = |address, interface| HostRoute {
            interface,
            table: route::TABLE_MAIN,
            held: false,
            ..held(address)
        };
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
}
