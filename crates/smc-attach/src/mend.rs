//! The host's kernel, brought to what the records say: for all pods at once, whoever took away from it or left something in it.
//!
//! What the host's kernel holds is a function of the records (`smc_model::HostState`): each look compares anchor link, held routes, the guard's
//! maps and the map of converting namespaces with them, and mends both ways, under the lock on addresses, for all pods in one pass. What is
//! missing comes back at once, a held route only towards the pod's own pair; one that the host's own routes contradict goes at once; what no
//! record owns, also no self-test's, goes when it was nobody's for a minute and leads to nobody. Where the guard's program or a map of it had to
//! be made anew, every pod gets the new one in the same pass. Whether one pod is converted is left to the look at that pod, which tells who
//! lost it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smc_host::conversion::Mptcp;
use smc_host::guard::Guard;
use smc_host::guard::peers::Whose;
use smc_host::netlink::{Connection, Protocol};
use smc_host::{HostError, anchor, apply, conversion, guard, observe, route};
use smc_model::{
    Anchor, AnchorState, Conversion, Holding, HostState, Missing, NetnsCookie, NodeFacts, PeerRanges,
    Release, StripCause, Verdict,
};
use smc_state::{AttachmentId, Phase, Record, RecordCache, Store};

use crate::inside::namespace_of;

/// How long something must have been nobody's before it is taken away: whoever removed a living pod's record may not have meant
/// the pod, which the agent then finds and records again.
const STRAY_FOR: Duration = Duration::from_secs(60);
/// How long the lock on the host's addresses is waited for; others hold it for a few system calls.
const PATIENCE: Duration = Duration::from_millis(500);

/// Mends again and again.
#[derive(Debug, Default)]
pub struct Mender {
    /// What was found to be nobody's, and since when.
    strays: BTreeMap<Release, Instant>,
    /// Pods may have another program of the guard's than the one that is pinned.
    renew: bool,
}

/// What was found wrong, and put right.
#[derive(Debug, Default)]
pub struct Mended {
    /// What was not there and is again.
    pub put_back: Missing,
    /// How many pods have the guard's new program now.
    pub renewed: usize,
    /// What was nobody's, or held against a pod that has the address now, and is gone.
    pub released: Vec<Release>,
    /// What could not be, in words.
    pub problems: Vec<String>,
}

/// What of the node's was made just now, since it was not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Anew {
    /// The map of converting namespaces. Else whether a pod is converted is left to the look at that pod, which tells who lost
    /// it.
    pub map: bool,
    /// The guard's program or one of its maps.
    pub guard: bool,
}

/// What there is to compare.
struct Found {
    state: HostState,
    missing: Missing,
    strays: BTreeSet<Release>,
    standing: Vec<Arc<Record>>,
}

impl Found {
    fn is_well(&self) -> bool {
        self.missing.is_nothing() && self.state.superseded.is_empty()
    }
}

impl Mender {
    /// Compares the host's kernel with the records, and mends both ways. What was made `anew` every pod gets.
    pub fn mend(&mut self, store: &Store, read: &RecordCache, node: &NodeFacts, anew: Anew) -> Mended {
        self.renew |= anew.guard;
        let mut mended = Mended::default();
        if let Err(error) = self.try_mend(store, read, node, anew, &mut mended) {
            mended.problems.push(error);
        }
        mended
    }

    fn try_mend(
        &mut self,
        store: &Store,
        read: &RecordCache,
        node: &NodeFacts,
        anew: Anew,
        mended: &mut Mended,
    ) -> Result<(), String> {
        let now = Instant::now();
        let found = compare(store, read, node, anew)?;
        self.strays.retain(|stray, _| found.strays.contains(stray));
        for stray in &found.strays {
            self.strays.entry(stray.clone()).or_insert(now);
        }
        let old: BTreeSet<Release> = self
            .strays
            .iter()
            .filter(|(_, since)| now.duration_since(**since) >= STRAY_FOR)
            .map(|(stray, _)| stray.clone())
            .collect();
        if found.is_well() && old.is_empty() && !self.renew {
            return Ok(());
        }
        // Whoever changes addresses holds the lock, with its intent on record: what is compared now is all there is.
        let _lock = store.lock_addresses(now + PATIENCE).map_err(|error| error.with_cause())?;
        let found = compare(store, read, node, anew)?;
        for &address in &found.state.superseded {
            mended.release(Release::Unhold { address });
        }
        put_back(&found, node, mended);
        // After the map is filled: a program over an empty one would let all pass.
        if self.renew {
            self.renew = !renew_guard(&found, node, mended);
        }
        for stray in found.strays.into_iter().filter(|stray| old.contains(stray)) {
            match leads_to_somebody(&stray) {
                Ok(false) => mended.release(stray),
                // To be looked at again when it has been nobody's for as long again.
                Ok(true) => drop(self.strays.insert(stray, now)),
                Err(error) => mended.problems.push(error.with_cause()),
            }
        }
        Ok(())
    }
}

impl Mended {
    fn release(&mut self, step: Release) {
        match apply::release(&step) {
            Ok(()) => self.released.push(step),
            Err(error) => self.problems.push(error.with_cause()),
        }
    }
}

fn compare(store: &Store, read: &RecordCache, node: &NodeFacts, anew: Anew) -> Result<Found, String> {
    let state = observe::host_state(node).map_err(|error| error.with_cause())?;
    let listing = store.list_again(read);
    let deleted: BTreeSet<&AttachmentId> = listing.deleted.iter().collect();
    let stands = |record: &Record| {
        let set_up = record.verdict.as_ref().is_some_and(Verdict::is_set_up);
        record.phase == Phase::Settled && set_up && !deleted.contains(&record.attachment)
    };
    // Self-tests keep records of their own, and look after them.
    let beside: Vec<_> = beside(store).iter().flat_map(|store| store.list().records).collect();
    let of_node =
        listing.records.iter().map(|record| Holding { owned: &record.owned, stands: stands(record) });
    let of_tests = beside.iter().map(|record| Holding { owned: &record.owned, stands: false });
    let holdings: Vec<Holding<'_>> = of_node.chain(of_tests).collect();
    let mut missing = state.missing(&holdings);
    if !anew.map {
        missing.converting.clear();
    }
    // What an unreadable record owns is not known.
    let known = listing.errors.is_empty();
    let strays = if known { state.strays(&holdings).into_iter().collect() } else { BTreeSet::new() };
    let standing = listing.records.iter().filter(|record| stands(record)).cloned().collect();
    Ok(Found { state, missing, strays, standing })
}

fn beside(node: &Store) -> Vec<Store> {
    let directories = fs::read_dir(node.selftests_dir()).into_iter().flatten().flatten();
    directories.map(|directory| Store::beside(node, directory.path())).collect()
}

/// In the order of a pod's own plan: conversion last. What fails for one pod is none of the others' business.
fn put_back(found: &Found, node: &NodeFacts, mended: &mut Mended) {
    let missing = &found.missing;
    if let Anchor::Ready { index } = node.anchor {
        let gone: BTreeSet<Ipv4Addr> = missing.anchored.union(&missing.held).copied().collect();
        let lacks = |record: &&Arc<Record>| of_anchor(record).any(|address| gone.contains(&address));
        for record in found.standing.iter().filter(lacks) {
            if let Err(error) = put_back_anchors(record, index, &gone, &mut mended.put_back) {
                mended.problems.push(error.with_cause());
            }
        }
    }
    for (&address, peers) in &missing.peers {
        match say_peers_again(node, address, peers) {
            Ok(()) => drop(mended.put_back.peers.insert(address, peers.clone())),
            Err(error) => mended.problems.push(error.with_cause()),
        }
    }
    for &address in &missing.guarded {
        match guard_again(node, address) {
            Ok(()) => drop(mended.put_back.guarded.insert(address)),
            Err(error) => mended.problems.push(error.with_cause()),
        }
    }
    if let Conversion::Bpf { map, .. } = &node.conversion {
        for &cookie in &missing.converting {
            match conversion::add_to_map(map, cookie, Mptcp::keep(keeps_mptcp(found, cookie))) {
                Ok(()) => drop(mended.put_back.converting.insert(cookie)),
                Err(error) => mended.problems.push(error.with_cause()),
            }
        }
    }
}

fn keeps_mptcp(found: &Found, cookie: NetnsCookie) -> bool {
    let has = |record: &&Arc<Record>| record.owned.converted.as_ref().is_some_and(|(_, its)| *its == cookie);
    found.standing.iter().find(has).is_some_and(|record| record.owned.keep_mptcp)
}

fn guard_again(node: &NodeFacts, address: IpAddr) -> Result<(), HostError> {
    let Some(pins) = &node.guard_pins else { return Ok(()) };
    Guard::open(pins)?.add_pod(address, None)
}

fn say_peers_again(node: &NodeFacts, address: IpAddr, peers: &PeerRanges) -> Result<(), HostError> {
    let Some(pins) = &node.guard_pins else { return Ok(()) };
    Guard::open(pins)?.peers()?.set(Whose::Pod(address), &peers.rules(address), StripCause::NotAllowed)
}

/// Gives every pod that has the guard's program, or was guarded as earlier versions did, the one that is pinned now. Whether all
/// have it.
fn renew_guard(found: &Found, node: &NodeFacts, mended: &mut Mended) -> bool {
    let Some(pins) = node.guard_for_pods() else {
        // Who needs none has all that it needs; else it is to be done when there is one again.
        return node.guard == smc_model::Guard::NotNeeded;
    };
    let mut all = true;
    for record in found.standing.iter().filter(|record| record.owned.in_guard().next().is_some()) {
        match renew(record, pins) {
            Ok(renewed) => mended.renewed += usize::from(renewed),
            Err(error) => {
                all = false;
                mended.problems.push(error.with_cause());
            }
        }
    }
    all
}

fn renew(record: &Record, pins: &Path) -> Result<bool, HostError> {
    let Some(netns) = namespace_of(record) else { return Ok(false) };
    let guard = Guard::open(pins)?;
    let peers = record.owned.peers.as_ref();
    record.owned.in_guard().try_for_each(|address| guard.add_pod(address, peers))?;
    let mut inside = netns.connect()?;
    let lacking = guard::unguarded(&mut inside.route, Some(guard.program()))?;
    for interface in &lacking {
        if let Some(index) = inside.route.link_index(interface)? {
            guard.attach(&mut inside.route, index)?;
        }
    }
    Ok(!lacking.is_empty())
}

fn of_anchor(record: &Record) -> impl Iterator<Item = Ipv4Addr> {
    record.owned.anchored.union(&record.owned.held).copied()
}

/// Only what the host routes straight to this very pod: an address whose route is another one for the moment, or whose pod is going,
/// would be held against whoever has it next.
fn put_back_anchors(
    record: &Record,
    link: u32,
    gone: &BTreeSet<Ipv4Addr>,
    done: &mut Missing,
) -> Result<(), HostError> {
    let Some(netns) = namespace_of(record) else { return Ok(()) };
    let mut host = Connection::open(Protocol::Route)?;
    let wanted: BTreeSet<Ipv4Addr> = of_anchor(record).filter(|address| gone.contains(address)).collect();
    for (address, state) in observe::anchors(&mut host, &netns, link, &wanted)? {
        let AnchorState::Needed { towards_pod, source, held, on_link } = state else { continue };
        if !held {
            anchor::hold(&mut host, address, towards_pod, source)?;
            done.held.insert(address);
        }
        if !on_link {
            anchor::add_address(&mut host, address, link)?;
            anchor::drop_local(&mut host, address, link)?;
            done.anchored.insert(address);
        }
    }
    Ok(())
}

/// Whether the address of a stray may be a living pod's whose record is lost: the host's own way to it leads straight into another
/// namespace, or to a bridge. Without guard and anchor such a pod could come to harm; it keeps them.
fn leads_to_somebody(stray: &Release) -> Result<bool, HostError> {
    let address = match stray {
        // Of the sixth family nothing is looked up: it is released, and a living pod's next look brings it back.
        Release::Unconvert { .. }
        | Release::AllowAll { .. }
        | Release::Unguard { address: IpAddr::V6(_), .. } => return Ok(false),
        Release::Unguard { address: IpAddr::V4(address), .. }
        | Release::Unanchor { address }
        | Release::Unhold { address } => *address,
    };
    let mut host = Connection::open(Protocol::Route)?;
    let Some(way) = route::way_to(&mut host, address)?.filter(|way| way.straight && !way.local) else {
        return Ok(false);
    };
    let Some(interface) = route::interface_without_hold(&mut host, address, &way)? else { return Ok(false) };
    let link = route::link(&mut host, interface)?;
    Ok(link.is_some_and(|link| {
        link.peer_netns.is_some() || matches!(link.kind.as_str(), "bridge" | "openvswitch")
    }))
}

#[cfg(test)]
mod tests;
