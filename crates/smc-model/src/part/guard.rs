//! The guard: the program at the pod's interfaces, and its addresses and peers in the program's maps.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use crate::node::NO_PROGRAM;
use crate::peer_ranges::MAX_ADDRESSES_WITH_RANGES;
use crate::{NodeFacts, Owned, Plan, PodFacts, Reason, Release, Step};

pub(crate) fn plan(node: &NodeFacts, pod: &PodFacts, plan: &mut Plan) -> Result<(), Reason> {
    match node.guard_for_pods() {
        Some(_) if pod.peers.is_some() && pod.addresses_to_guard().len() > MAX_ADDRESSES_WITH_RANGES => {
            let count = pod.addresses_to_guard().len();
            let why = format!(
                "it has {count} addresses; with ranges of its own it may have {MAX_ADDRESSES_WITH_RANGES}"
            );
            return Err(Reason::PeerFilterMissing { why });
        }
        Some(pins) => plan.steps.extend(steps(pins, pod)),
        None if pod.peers.is_some() => {
            return Err(Reason::PeerFilterMissing { why: NO_PROGRAM.to_owned() });
        }
        None => {}
    }
    Ok(())
}

/// Each interface gets the program, whether or not a route leaves by it, and each address into the map. A step names an IPv4
/// address also where its interface has none, by which earlier versions can read it.
fn steps(pins: &Path, pod: &PodFacts) -> Vec<Step> {
    let fourth = |address| if let IpAddr::V4(address) = address { Some(address) } else { None };
    let Some(any) = pod.addresses_to_guard().into_iter().find_map(fourth) else { return Vec::new() };
    let mut missing: BTreeSet<IpAddr> = pod.addresses_to_guard();
    missing.retain(|address| !pod.guarded.contains(address));
    let mut steps = Vec::new();
    for interface in &pod.interfaces {
        let of_interface: Vec<IpAddr> =
            pod.to_guard_on(interface).filter(|address| missing.remove(address)).collect();
        let also: BTreeSet<Ipv6Addr> = of_interface
            .iter()
            .filter_map(|address| if let IpAddr::V6(address) = address { Some(*address) } else { None })
            .collect();
        let mut own = of_interface.into_iter().filter_map(fourth);
        if !interface.guarded || !also.is_empty() {
            let own_or_any =
                own.next().or_else(|| pod.to_guard_on(interface).find_map(fourth)).unwrap_or(any);
            missing.remove(&IpAddr::V4(own_or_any));
            let name = (!interface.guarded).then(|| interface.name.clone());
            steps.push(Step::Guard {
                address: own_or_any,
                interface: name,
                also,
                pins: Some(pins.to_owned()),
                peers: pod.peers.clone(),
            });
        }
        steps.extend(own.map(|address| Step::Guard {
            address,
            interface: None,
            also: BTreeSet::new(),
            pins: Some(pins.to_owned()),
            peers: pod.peers.clone(),
        }));
    }
    steps
}

/// Out of the maps; the program goes with the pod's interfaces, and the set of earlier versions went as a whole.
pub(crate) fn release<'a>(
    owned: &'a Owned,
    others: &'a BTreeSet<IpAddr>,
) -> impl Iterator<Item = Release> + 'a {
    owned.guard_pins.iter().flat_map(|pins| {
        let guarded = owned.in_guard().filter(|address| !others.contains(address));
        guarded.map(|address| Release::Unguard { pins: pins.clone(), address })
    })
}
