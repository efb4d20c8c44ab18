//! The same-node guard's set: one pod address in or out. Table, chain and rule are the agent's; here it is only looked
//! whether they are there.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use smc_abi::nft;

use crate::netlink::{Connection, Sequences};
use crate::{HostError, error};

/// The guard's table (family inet) in the host's namespace.
pub const TABLE: &str = "kube-smc";
/// The set of this node's accelerated pods.
pub const SET: &str = "local_pods";

/// The chain with the guard's rule.
pub const CHAIN: &str = "same_node";

/// Puts `address` into the set; fine when it is there.
///
/// # Errors
/// ENOENT when there is no such set.
pub fn add(netfilter: &mut Connection, address: Ipv4Addr) -> Result<(), HostError> {
    let attempt = format_args!("add {address} to the nftables set {TABLE}/{SET}");
    let result = change(netfilter, &attempt, &nft::add_element(TABLE, SET, &address.octets()));
    error::tolerate(result, &[libc::EEXIST])
}

/// Takes `address` out of the set; fine when it, or the set, is not there.
pub fn remove(netfilter: &mut Connection, address: Ipv4Addr) -> Result<(), HostError> {
    let attempt = format_args!("remove {address} from the nftables set {TABLE}/{SET}");
    let result = change(netfilter, &attempt, &nft::delete_element(TABLE, SET, &address.octets()));
    error::tolerate(result, &[libc::ENOENT])
}

fn change(
    netfilter: &mut Connection,
    attempt: &dyn fmt::Display,
    batch: &nft::Batch,
) -> Result<(), HostError> {
    let first = netfilter.next_sequence();
    // Begin, change, end.
    let sequences = Sequences { first, count: 3, awaited: batch.element_sequence(first) };
    netfilter.batch(attempt, &batch.frames(first), sequences)
}

/// The generation of the namespace's whole nftables rule set: while it is the same, nobody changed a table, a rule or a
/// set in any way. `None` when the kernel tells none.
pub fn generation(netfilter: &mut Connection) -> Result<Option<u32>, HostError> {
    let attempt = "ask for the generation of the nftables rules";
    let answers = netfilter.request(&attempt, &nft::get_generation())?;
    let generations = answers.iter().map(|answer| nft::parse_generation(&answer.body));
    let generations = generations.collect::<Result<Vec<_>, _>>().map_err(HostError::at(attempt))?;
    Ok(generations.into_iter().flatten().next())
}

/// Whether `address` is in the set; a set that is not there holds nothing.
pub fn contains(netfilter: &mut Connection, address: Ipv4Addr) -> Result<bool, HostError> {
    let attempt = format_args!("look {address} up in the nftables set {TABLE}/{SET}");
    let request = nft::get_element(TABLE, SET, &address.octets()).without_ack();
    match netfilter.request(&attempt, &request) {
        Ok(answers) => Ok(!answers.is_empty()),
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The addresses in the set; `None` when there is no set.
pub fn elements(netfilter: &mut Connection) -> Result<Option<BTreeSet<Ipv4Addr>>, HostError> {
    let attempt = format_args!("list the nftables set {TABLE}/{SET}");
    let answers = match netfilter.request(&attempt, &nft::get_elements(TABLE, SET)) {
        Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(None),
        answers => answers?,
    };
    let keys = answers.iter().map(|answer| nft::parse_elements(&answer.body));
    let keys = keys.collect::<Result<Vec<_>, _>>().map_err(HostError::at(attempt))?;
    let addresses = keys.iter().flatten().filter_map(|key| <[u8; 4]>::try_from(key.as_slice()).ok());
    Ok(Some(addresses.map(Ipv4Addr::from).collect()))
}

/// Whether there is a set of that name.
pub fn has_set(netfilter: &mut Connection) -> Result<bool, HostError> {
    let attempt = format_args!("look for the nftables set {TABLE}/{SET}");
    match netfilter.request(&attempt, &nft::get_set(TABLE, SET)) {
        Ok(answers) => Ok(!answers.is_empty()),
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// How many rules the chain has; none when there is no such chain.
pub fn rules(netfilter: &mut Connection) -> Result<usize, HostError> {
    let attempt = format_args!("list the rules of the nftables chain {TABLE}/{CHAIN}");
    match netfilter.request(&attempt, &nft::get_rules(TABLE, CHAIN)) {
        Ok(answers) => Ok(answers.len()),
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(0),
        Err(error) => Err(error),
    }
}
