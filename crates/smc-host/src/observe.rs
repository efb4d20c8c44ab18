//! Observe: the facts that decisions are made from.

mod anchors;
mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use smc_model::{
    Anchor, Conversion, HostState, InterfaceKind, Ipv4Net, NodeFacts, Owned, PeerRanges, PodConversion,
    PodFacts, PodInterface, StripCause,
};

use crate::conversion::{Mptcp, OpenedMap};
use crate::genl::SmcFamilies;
use crate::guard::peers::Whose;
use crate::guard::{Guard, OpenedGuard};
use crate::netlink::{Connection, Protocol};
use crate::netns::{Inside, Netns};
use crate::route::{LOOPBACK, Link};
use crate::sysctl::Sysctl;
use crate::{HostError, conversion, pnet, route};

use anchors::{PairEnd, anchor_state, pair_end, place_in_host, superseded, towards};
pub use anchors::{Towards, anchors};
pub use node::{named_ports, ports, refresh};

/// Connections into the host's own network namespace, and what is the same in every namespace.
#[derive(Debug)]
pub struct Host {
    /// For links, addresses and routes.
    pub route: Connection,
    /// The numbers of SMC's families.
    pub families: SmcFamilies,
    /// How this process sees `/proc/sys`.
    pub sysctl: Sysctl,
    /// The BPF program's map, once it was needed.
    pub map: OpenedMap,
    /// The same-node guard's program and maps, once they were needed.
    pub guard: OpenedGuard,
}

impl Host {
    /// Opens the connections from a thread in the host's namespace, where `route` was opened. Sysctls are found where
    /// `sysctl` says: inside a container `/proc/sys` is read-only.
    pub fn connect(route: Connection, families: SmcFamilies, sysctl: Sysctl) -> Self {
        Self { route, families, sysctl, map: OpenedMap::default(), guard: OpenedGuard::default() }
    }
}

/// What the host's kernel holds for pods, as far as this node needs it. To be called in the host's own namespace.
pub fn host_state(node: &NodeFacts) -> Result<HostState, HostError> {
    let mut state = HostState::default();
    if let Anchor::Ready { index } = node.anchor {
        let mut host = Connection::open(Protocol::Route)?;
        let addresses = route::addresses(&mut host)?;
        let anchored = addresses.iter().filter(|(on, _)| *on == index).map(|(_, net)| net.address());
        state.anchored = Some(anchored.collect());
        let routes = route::host_routes(&mut host)?;
        state.held = Some(routes.iter().filter(|route| route.held).map(|route| route.address).collect());
        state.superseded = superseded(&routes);
    }
    if let Some(pins) = node.guard_for_pods()
        && let Some(guard) = Guard::open_if_there(pins)?
    {
        let sources = guard.sources()?.into_iter().filter(|(_, why)| *why != StripCause::TimedOut);
        let (pods, nodes): (Vec<_>, Vec<_>) = sources.partition(|(_, why)| *why == StripCause::Pod);
        let peers = guard.peers()?.all()?.into_iter();
        let of_pod =
            |(whose, rules)| if let Whose::Pod(address) = whose { Some((address, rules)) } else { None };
        state.peers = peers.filter_map(of_pod).collect();
        state.guarded = Some((pins.to_owned(), pods.into_iter().map(|(pod, _)| pod).collect()));
        state.stripped_nodes = nodes.into_iter().map(|(node, _)| node).collect();
    }
    if let Conversion::Bpf { map, .. } = &node.conversion {
        state.converting = match conversion::in_map(map) {
            Err(error) if error.errno() == Some(libc::ENOENT) => None,
            cookies => Some((map.clone(), cookies?.into_iter().collect())),
        };
    }
    Ok(state)
}

/// Observes a pod: its namespace through `inside`, and the host's side of it. `owned` is what an earlier run of
/// kube-smc put in place, which tells our sysctl from somebody else's.
pub fn pod(
    netns: &Netns,
    inside: &mut Inside,
    host: &mut Host,
    host_addresses: &[(u32, Ipv4Net)],
    node: &NodeFacts,
    primary: &str,
    owned: &Owned,
) -> Result<(PodFacts, Towards), HostError> {
    // Only the guard asks for them.
    let addresses6 =
        if node.guard_for_pods().is_some() { route::addresses6(&mut inside.route)? } else { Vec::new() };
    let (interfaces, pairs) = interfaces(inside, host.families.pnetid, &addresses6)?;
    let (conversion, mptcp) = converted(netns, inside, host, node, owned)?;
    let mut facts = PodFacts {
        primary: primary.to_owned(),
        interfaces,
        conversion,
        anchors: BTreeMap::new(),
        guarded: BTreeSet::new(),
        peers: owned.peers.clone(),
        mptcp,
        keep_mptcp: owned.keep_mptcp,
    };
    // More addresses than a pod may have are none to look for, one by one.
    let wanted = matches!(node.anchor, Anchor::Ready { .. }) && !facts.has_too_many_addresses();
    let towards = if wanted { towards(&mut host.route, netns, &pairs)? } else { Towards::new() };
    hosts_side(&mut facts, inside, host, host_addresses, node, &towards)?;
    Ok((facts, towards))
}

/// Observes again what steps of a plan can have changed: PNETIDs, the conversion, and the host's side. Links,
/// addresses and routes of the pod are as in `before`.
pub fn pod_again(
    netns: &Netns,
    inside: &mut Inside,
    host: &mut Host,
    node: &NodeFacts,
    towards: &Towards,
    before: PodFacts,
    owned: &Owned,
) -> Result<PodFacts, HostError> {
    inside.converts = netns.run(conversion::new_tcp_sockets_are_smc)??;
    let entries = pnet::list(&mut inside.generic, host.families.pnetid)?;
    let ids = pnet::netdevs(&entries);
    let mut facts = before;
    for interface in &mut facts.interfaces {
        interface.pnetid = ids.get(interface.name.as_str()).cloned();
    }
    (facts.conversion, facts.mptcp) = converted(netns, inside, host, node, owned)?;
    facts.anchors.clear();
    facts.guarded.clear();
    let host_addresses = route::addresses(&mut host.route)?;
    hosts_side(&mut facts, inside, host, &host_addresses, node, towards)?;
    Ok(facts)
}

/// Fills in what the host's namespace holds for the pod's addresses, and where the guard is.
fn hosts_side(
    facts: &mut PodFacts,
    inside: &mut Inside,
    host: &mut Host,
    host_addresses: &[(u32, Ipv4Net)],
    node: &NodeFacts,
    towards: &Towards,
) -> Result<(), HostError> {
    if facts.has_too_many_addresses() {
        return Ok(());
    }
    for address in facts.addresses() {
        if let Anchor::Ready { index } = node.anchor {
            let place = place_in_host(host_addresses, index, address);
            let way = route::way_to(&mut host.route, address)?;
            facts.anchors.insert(address, anchor_state(way, place, towards.get(&address).copied()));
        }
    }
    let Some(pins) = node.guard_for_pods() else { return Ok(()) };
    let guard = match host.guard.open(pins) {
        // Lost since the agent looked: the step that needs it says so.
        Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(()),
        guard => guard?,
    };
    // Of the few pods that have ranges of their own.
    let said = if facts.peers.is_some() { guard.peers()?.all()? } else { BTreeMap::new() };
    for address in facts.addresses_to_guard() {
        let is_said = |peers: &PeerRanges| said.get(&Whose::Pod(address)) == Some(&peers.rules(address));
        if guard.has_pod(address)? && facts.peers.as_ref().is_none_or(is_said) {
            facts.guarded.insert(address);
        }
    }
    for interface in &mut facts.interfaces {
        // Many namespaces have links that carry nothing, such as the kernel's own for tunnels.
        let carries = interface.routed || !interface.addresses.is_empty() || !interface.addresses6.is_empty();
        let index = if carries { inside.route.link_index(&interface.name)? } else { None };
        interface.guarded = index.map_or(Ok(true), |index| guard.is_attached(&mut inside.route, index))?;
    }
    Ok(())
}

/// The pod's interfaces, and those that are ends of pairs.
fn interfaces(
    inside: &mut Inside,
    pnetid_family: u16,
    addresses6: &[(u32, Ipv6Addr)],
) -> Result<(Vec<PodInterface>, Vec<PairEnd>), HostError> {
    let addresses = route::addresses(&mut inside.route)?;
    let routed = route::routed_interfaces(&mut inside.route)?;
    let entries = pnet::list(&mut inside.generic, pnetid_family)?;
    let ids = pnet::netdevs(&entries);
    let used = addresses.iter().map(|(index, _)| *index).chain(routed.iter().copied());
    let used = used.chain(addresses6.iter().map(|(index, _)| *index));
    let used = used.filter(|index| *index != LOOPBACK).collect();
    let named = ids.keys().copied().collect();
    let links = links_of_use(&mut inside.route, &used, &named)?;
    let mut interfaces = Vec::with_capacity(links.len());
    let mut pairs = Vec::new();
    for link in links.into_iter().filter(|link| !link.loopback) {
        let on_link = addresses.iter().filter(|(index, _)| *index == link.index).map(|(_, net)| *net);
        let own: Vec<Ipv4Net> = on_link.filter(|net| !net.address().is_link_local()).collect();
        pairs.extend(pair_end(&link, &addresses));
        let pair = matches!(link.kind.as_str(), "veth" | "netkit");
        interfaces.push(PodInterface {
            kind: if pair { InterfaceKind::Pair } else { InterfaceKind::Direct },
            addresses: own,
            addresses6: addresses6.iter().filter(|(on, _)| *on == link.index).map(|(_, own)| *own).collect(),
            routed: routed.contains(&link.index),
            pnetid: ids.get(link.name.as_str()).cloned(),
            guarded: false,
            name: link.name,
        });
    }
    Ok((interfaces, pairs))
}

/// The links with an index in `used` or a name in `named`, and perhaps others. Most pods have one, and looking at that
/// costs half of listing all with the loopback device, which is in every namespace.
fn links_of_use(
    route: &mut Connection,
    used: &BTreeSet<u32>,
    named: &BTreeSet<&str>,
) -> Result<Vec<Link>, HostError> {
    if used.len() > 2 {
        return route::links(route);
    }
    let mut links = Vec::with_capacity(used.len());
    for index in used {
        links.extend(route::link(route, *index)?);
    }
    let all = named.iter().all(|name| links.iter().any(|link| link.name == *name));
    if all { Ok(links) } else { route::links(route) }
}

/// Whether new TCP sockets are converted, and whether those that are asked for as MPTCP would stay so.
fn converted(
    netns: &Netns,
    inside: &Inside,
    host: &mut Host,
    node: &NodeFacts,
    owned: &Owned,
) -> Result<(PodConversion, bool), HostError> {
    let (ours, mptcp) = match &node.conversion {
        Conversion::None { .. } => return Ok((PodConversion::Off, false)),
        Conversion::Tcp2smc => {
            let enabled = netns.run(|| host.sysctl.read(conversion::MPTCP_ENABLED))??;
            (owned.sysctl, enabled.is_some_and(|enabled| enabled.trim() == "1"))
        }
        Conversion::Bpf { .. } if !inside.converts => return Ok((PodConversion::Off, false)),
        Conversion::Bpf { map, .. } => {
            let found = host.map.open(map)?.get(inside.needed_cookie()?)?;
            (found.is_some(), found == Some(Mptcp::Kept))
        }
    };
    let conversion = match (inside.converts, ours) {
        (false, _) => PodConversion::Off,
        (true, true) => PodConversion::Ours,
        (true, false) => PodConversion::Foreign,
    };
    Ok((conversion, mptcp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_used_link_bears_is_looked_for_among_all_links() {
        let mut route = Connection::open(Protocol::Route).unwrap();
        let mut found = |used: &[u32], named: &[&str]| -> Vec<String> {
            let (used, named) = (used.iter().copied().collect(), named.iter().copied().collect());
            let links = links_of_use(&mut route, &used, &named).unwrap();
            links.into_iter().map(|link| link.name).collect()
        };
        assert_eq!(found(&[LOOPBACK], &["lo"]), ["lo"]);
        assert_eq!(found(&[], &[]), [""; 0]);
        assert!(found(&[], &["lo"]).contains(&"lo".to_owned()));
        assert!(found(&[7_000_001, 7_000_002, 7_000_003], &[]).contains(&"lo".to_owned()), "many: all");
    }
}
