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
mod tests;
