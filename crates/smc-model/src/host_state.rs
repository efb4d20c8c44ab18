//! What the host's kernel holds for the node's pods, as a function of their records.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use crate::{NetnsCookie, Owned, PeerRanges, PeerRules, Release};

/// What was found in the host's kernel. Each part is `None` where the node needs none, or could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostState {
    /// Addresses on the anchor link.
    pub anchored: Option<BTreeSet<Ipv4Addr>>,
    /// Addresses whose packets a route in table local holds.
    pub held: Option<BTreeSet<Ipv4Addr>>,
    /// Those of them that the host's own routes lead elsewhere: they are another pod's now.
    pub superseded: BTreeSet<Ipv4Addr>,
    /// Addresses of pods in the same-node guard, with the directory of its pins.
    pub guarded: Option<(PathBuf, BTreeSet<IpAddr>)>,
    /// Who may speak SMC with the pods of the addresses for which that is said.
    pub peers: BTreeMap<IpAddr, PeerRules>,
    /// Addresses of nodes in the same-node guard: connections from them stay plain TCP by our doing.
    pub stripped_nodes: BTreeSet<IpAddr>,
    /// Namespaces in the BPF program's map, with its path.
    pub converting: Option<(PathBuf, BTreeSet<NetnsCookie>)>,
}

/// What an attachment has in the host by its record.
#[derive(Debug, Clone, Copy)]
pub struct Holding<'a> {
    /// What is its own.
    pub owned: &'a Owned,
    /// Whether all of it must be there: the attachment lives, is set up, and nobody works on it.
    pub stands: bool,
}

/// What of the records' is not in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Missing {
    /// Addresses to be anchored again.
    pub anchored: BTreeSet<Ipv4Addr>,
    /// Addresses whose packets are to be held again.
    pub held: BTreeSet<Ipv4Addr>,
    /// Addresses to be guarded again.
    pub guarded: BTreeSet<IpAddr>,
    /// Addresses of pods of which it is to be said again who may speak SMC with them.
    pub peers: BTreeMap<IpAddr, PeerRanges>,
    /// Namespaces to be converted again.
    pub converting: BTreeSet<NetnsCookie>,
}

impl Missing {
    /// Whether nothing is.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// How many entries.
    pub fn count(&self) -> usize {
        self.anchored.len() + self.held.len() + self.guarded.len() + self.peers.len() + self.converting.len()
    }
}

impl HostState {
    /// What of the holdings that stand is not there.
    pub fn missing(&self, holdings: &[Holding<'_>]) -> Missing {
        let standing = || holdings.iter().filter(|holding| holding.stands).map(|holding| holding.owned);
        let lacking = |there: &Option<BTreeSet<Ipv4Addr>>, of: fn(&Owned) -> &BTreeSet<Ipv4Addr>| {
            let there = there.iter().flat_map(|there| {
                standing().flat_map(of).copied().filter(|address| !there.contains(address))
            });
            there.collect()
        };
        let guarded = self.guarded.iter().flat_map(|(pins, there)| {
            let owned = standing().filter(move |owned| owned.guard_pins.as_ref() == Some(pins));
            owned
                .flat_map(Owned::in_guard)
                .filter(|address| !there.contains(address) && !self.is_node(address))
        });
        let agreed = agreed_peers(holdings);
        let peers = self.guarded.iter().flat_map(|(pins, _)| {
            let owned = standing().filter(move |owned| owned.guard_pins.as_ref() == Some(pins));
            owned
                .flat_map(Owned::in_guard)
                .filter_map(|address| Some((address, *agreed.get(&address)?)))
                .filter(|(address, peers)| self.peers.get(address) != Some(&peers.rules(*address)))
                .map(|(address, peers)| (address, peers.clone()))
        });
        let converting = self.converting.iter().flat_map(|(map, there)| {
            let owned = standing().filter_map(|owned| owned.converted.as_ref());
            let here = owned.filter(move |(path, cookie)| path == map && !there.contains(cookie));
            here.map(|(_, cookie)| *cookie)
        });
        Missing {
            anchored: lacking(&self.anchored, |owned| &owned.anchored),
            held: lacking(&self.held, |owned| &owned.held),
            guarded: guarded.collect(),
            peers: peers.collect(),
            converting: converting.collect(),
        }
    }

    /// Whether the offers of an address are taken out for being a node's: a pod that has it, too, lacks nothing.
    pub fn is_node(&self, address: &IpAddr) -> bool {
        self.stripped_nodes.contains(address)
    }

    /// What is there and no record's, also not one's of an attachment that is being set up or ended: to be taken away, in this
    /// order.
    pub fn strays(&self, holdings: &[Holding<'_>]) -> Vec<Release> {
        let owned = || holdings.iter().map(|holding| holding.owned);
        let addresses: BTreeSet<IpAddr> = owned().flat_map(Owned::all_addresses).collect();
        let cookies: BTreeSet<NetnsCookie> =
            owned().filter_map(|owned| owned.converted.as_ref()).map(|(_, cookie)| *cookie).collect();
        let of_nobody = |there: Option<&BTreeSet<Ipv4Addr>>| -> Vec<Ipv4Addr> {
            let there = there.into_iter().flatten().copied();
            there.filter(|address| !addresses.contains(&IpAddr::V4(*address))).collect()
        };
        let unconvert = self.converting.iter().flat_map(|(map, there)| {
            let strays = there.difference(&cookies);
            strays.map(|&cookie| Release::Unconvert { map: map.clone(), cookie })
        });
        let unguard = self.guarded.iter().flat_map(|(pins, there)| {
            let strays = there.difference(&addresses);
            strays.map(|&address| Release::Unguard { pins: pins.clone(), address })
        });
        let said = agreed_peers(holdings);
        let allow_all = self.guarded.iter().flat_map(|(pins, _)| {
            let strays = self.peers.keys().filter(|address| !said.contains_key(*address));
            strays.map(|&address| Release::AllowAll { pins: pins.clone(), address })
        });
        let strays = of_nobody(self.anchored.as_ref()).into_iter();
        let unanchor = strays.map(|address| Release::Unanchor { address });
        let strays = of_nobody(self.held.as_ref()).into_iter();
        let unhold = strays.map(|address| Release::Unhold { address });
        unconvert.chain(unguard).chain(allow_all).chain(unanchor).chain(unhold).collect()
    }
}

/// Who may speak SMC with the pod of an address. Where several attachments have it, which pods with NET_ADMIN can bring about, only what
/// all of them say: nobody's rules hold for another's pod.
fn agreed_peers<'a>(holdings: &[Holding<'a>]) -> BTreeMap<IpAddr, &'a PeerRanges> {
    let mut said: BTreeMap<IpAddr, BTreeSet<Option<&PeerRanges>>> = BTreeMap::new();
    for owned in holdings.iter().map(|holding| holding.owned) {
        for address in owned.in_guard() {
            said.entry(address).or_default().insert(owned.peers.as_ref());
        }
    }
    let agreed = said.into_iter().filter(|(_, said)| said.len() == 1);
    agreed.filter_map(|(address, said)| Some((address, said.into_iter().next()??))).collect()
}

#[cfg(test)]
mod tests;
