//! The host's kernel, brought to what the records say: for all pods at once, whoever took away from it or left something in it.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use smc_host::netlink::{Connection, Protocol};
use smc_host::{HostError, anchor, apply, conversion, guard, observe, route};
use smc_model::{Anchor, Conversion, Holding, Missing, NodeFacts, Release, Verdict};
use smc_state::{Phase, ReadBefore, Record, Store};

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
}

/// What was found wrong, and put right.
#[derive(Debug, Default)]
pub struct Mended {
    /// What was not there and is again.
    pub put_back: Missing,
    /// What was nobody's and is gone.
    pub released: Vec<Release>,
    /// What could not be, in words.
    pub problems: Vec<String>,
}

impl Mender {
    /// Compares the host's kernel with the records, and mends both ways. Whether a pod is converted is left to the look at that
    /// pod, which tells who lost it, unless the program's map was made anew (`map_is_new`).
    pub fn mend(&mut self, store: &Store, read: &ReadBefore, node: &NodeFacts, map_is_new: bool) -> Mended {
        let mut mended = Mended::default();
        if let Err(error) = self.try_mend(store, read, node, map_is_new, &mut mended) {
            mended.problems.push(error);
        }
        mended
    }

    fn try_mend(
        &mut self,
        store: &Store,
        read: &ReadBefore,
        node: &NodeFacts,
        map_is_new: bool,
        mended: &mut Mended,
    ) -> Result<(), String> {
        let now = Instant::now();
        let (missing, strays) = compare(store, read, node, map_is_new)?;
        self.strays.retain(|stray, _| strays.contains(stray));
        for stray in &strays {
            self.strays.entry(stray.clone()).or_insert(now);
        }
        let old = |strays: &BTreeMap<Release, Instant>, stray: &Release| {
            strays.get(stray).is_some_and(|since| now.duration_since(*since) >= STRAY_FOR)
        };
        if missing.is_nothing() && !strays.iter().any(|stray| old(&self.strays, stray)) {
            return Ok(());
        }
        // Whoever changes addresses holds the lock, with its intent on record: what is compared now is all there is.
        let _lock = store.lock_addresses(now + PATIENCE).map_err(|error| error.with_cause())?;
        let (missing, strays) = compare(store, read, node, map_is_new)?;
        put_back(missing, node, &mut mended.put_back).map_err(|error| error.with_cause())?;
        for stray in strays.into_iter().filter(|stray| old(&self.strays, stray)) {
            match apply::release(&stray) {
                Ok(()) => mended.released.push(stray),
                Err(error) => mended.problems.push(error.with_cause()),
            }
        }
        Ok(())
    }
}

fn compare(
    store: &Store,
    read: &ReadBefore,
    node: &NodeFacts,
    map_is_new: bool,
) -> Result<(Missing, Vec<Release>), String> {
    let state = observe::host_state(node).map_err(|error| error.with_cause())?;
    let listing = store.list_again(read);
    let known = listing.errors.is_empty();
    let of_node = listing.records.iter().map(AsRef::as_ref);
    // Self-tests keep records of their own, and look after them.
    let beside: Vec<_> = beside(store).iter().flat_map(|store| store.list().records).collect();
    let mut holdings: Vec<Holding<'_>> = of_node.map(holding).collect();
    holdings.extend(beside.iter().map(|record| Holding { stands: false, ..holding(record) }));
    let mut missing = state.missing(&holdings);
    if !map_is_new {
        missing.converting.clear();
    }
    // What an unreadable record owns is not known.
    let strays = if known { state.strays(&holdings) } else { Vec::new() };
    Ok((missing, strays))
}

fn holding(record: &Record) -> Holding<'_> {
    let set_up = record.verdict.as_ref().is_some_and(Verdict::is_set_up);
    Holding { owned: &record.owned, stands: record.phase == Phase::Settled && set_up }
}

fn beside(node: &Store) -> Vec<Store> {
    let directories = fs::read_dir(node.selftests_dir()).into_iter().flatten().flatten();
    directories.map(|directory| Store::beside(node, directory.path())).collect()
}

/// In the order of a pod's own plan: conversion last. `done` tells what is there again.
fn put_back(missing: Missing, node: &NodeFacts, done: &mut Missing) -> Result<(), HostError> {
    if let Anchor::Ready { index } = node.anchor
        && !(missing.anchored.is_empty() && missing.held.is_empty())
    {
        let mut host = Connection::open(Protocol::Route)?;
        for &address in missing.anchored.union(&missing.held) {
            let Some(way) = route::way_to(&mut host, address)? else { continue };
            // An address that the host does not route straight to its pod any more is left to the look at that pod.
            let Some(interface) = way.interface.filter(|_| way.straight && !way.local) else { continue };
            if !way.held {
                anchor::hold(&mut host, address, interface, way.source)?;
                done.held.insert(address);
            }
            if missing.anchored.contains(&address) {
                anchor::add_address(&mut host, address, index)?;
                anchor::drop_local(&mut host, address, index)?;
                done.anchored.insert(address);
            }
        }
    }
    if !missing.guarded.is_empty() {
        let mut netfilter = Connection::open(Protocol::Netfilter)?;
        for address in missing.guarded {
            guard::add(&mut netfilter, address)?;
            done.guarded.insert(address);
        }
    }
    if let Conversion::Bpf { map, .. } = &node.conversion {
        for cookie in missing.converting {
            conversion::add_to_map(map, cookie)?;
            done.converting.insert(cookie);
        }
    }
    Ok(())
}
