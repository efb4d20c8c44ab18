//! A free address in the pods' subnet.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use smc_host::{observe, route};
use smc_model::Ipv4Net;
use smc_state::Store;

use crate::gather::Smc;

/// How many addresses are tried.
const TRIES: usize = 16;
/// How long somebody may take to answer for an address.
const ANSWER: Duration = Duration::from_millis(1200);

/// Who must be able to reach the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// This node alone: any address of the subnet does, and one that pods get last, or never (the highest are the network's own in
    /// a VPC), is taken.
    ThisNode,
    /// Other nodes: networks that know whose an address is bring to this node what is near its pods'.
    OtherNodes,
}

/// An address in the subnet of an RDMA network device, not in `others`, that nobody answers for.
pub(super) fn free(smc: &mut Smc, store: &Store, others: &[Ipv4Addr], reach: Reach) -> Result<Ipv4Addr> {
    let ports = observe::named_ports(&mut smc.route, &mut smc.generic, smc.families)?;
    let netdevs = ports.iter().filter(|port| port.active).filter_map(|port| port.netdev.as_ref());
    let nets: Vec<(u32, Ipv4Net)> =
        netdevs.flat_map(|netdev| netdev.addresses.iter().map(|net| (netdev.index, *net))).collect();
    let records = store.list().records;
    let pods: BTreeSet<Ipv4Addr> = records.iter().flat_map(|record| record.owned.addresses()).collect();
    let mut taken: BTreeSet<Ipv4Addr> = others.iter().copied().collect();
    taken.extend(route::addresses(&mut smc.route)?.into_iter().map(|(_, net)| net.address()));
    taken.extend(&pods);
    let near = if reach == Reach::OtherNodes { pods } else { BTreeSet::new() };
    let subnets: Vec<Ipv4Net> = nets.iter().map(|(_, net)| *net).collect();
    for address in candidates(&subnets, &near, &taken).take(TRIES) {
        // By the RDMA network device, or already routed to nobody but it: not to a pod of this node.
        let way = route::way_to(&mut smc.route, address)?;
        let towards_net =
            way.is_some_and(|way| !way.local && nets.iter().any(|(index, _)| way.interface == Some(*index)));
        if towards_net && !answers(address)? {
            return Ok(address);
        }
    }
    bail!(
        "no free address found beside the node's pods: name one with --ip (one that the network would route to this node)"
    )
}

/// Addresses of the subnets that are not taken: those next to `near` first, then from the end of each subnet.
fn candidates(
    nets: &[Ipv4Net],
    near: &BTreeSet<Ipv4Addr>,
    taken: &BTreeSet<Ipv4Addr>,
) -> impl Iterator<Item = Ipv4Addr> {
    let mut ordered = Vec::new();
    for pod in near {
        for distance in 1..=8_u32 {
            ordered.push(Ipv4Addr::from(u32::from(*pod).wrapping_add(distance)));
            ordered.push(Ipv4Addr::from(u32::from(*pod).wrapping_sub(distance)));
        }
    }
    for net in nets {
        let length = u32::from(net.prefix_length()).clamp(8, 32);
        let host_bits = u32::MAX.checked_shr(length).unwrap_or_default();
        let last = u32::from(net.address()) | host_bits;
        ordered.extend((1..=64).map(|back| Ipv4Addr::from(last.wrapping_sub(back))));
    }
    let mut seen = taken.clone();
    let usable = move |address: &Ipv4Addr| {
        let edge = nets.iter().any(|net| {
            let host_bits = u32::MAX.checked_shr(u32::from(net.prefix_length())).unwrap_or_default();
            let host = u32::from(*address) & host_bits;
            net.contains(*address) && (host == 0 || host == host_bits)
        });
        !edge && nets.iter().any(|net| net.contains(*address))
    };
    ordered
        .into_iter()
        .filter(usable)
        .filter(move |address| seen.insert(*address))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Whether somebody on the network answers for the address: the kernel asks when something is sent there.
fn answers(address: Ipv4Addr) -> Result<bool> {
    let socket = UdpSocket::bind("0.0.0.0:0").context("cannot make a UDP socket")?;
    // The discard port; a refusal to send is no answer.
    let _ = socket.send_to(&[0], (address, 9));
    let deadline = Instant::now() + ANSWER;
    loop {
        let table = fs::read_to_string("/proc/net/arp").context("cannot read /proc/net/arp")?;
        if is_complete(&table, address) {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return Ok(false);
        }
        sleep(Duration::from_millis(100));
    }
}

/// Whether the table has a hardware address for `address` (flag 2, `ATF_COM`).
fn is_complete(table: &str, address: Ipv4Addr) -> bool {
    table.lines().skip(1).any(|line| {
        let mut words = line.split_ascii_whitespace();
        let entry = words.next().and_then(|word| word.parse::<Ipv4Addr>().ok());
        let flags =
            words.nth(1).and_then(|flags| u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok());
        entry == Some(address) && flags.is_some_and(|flags| flags & 2 != 0)
    })
}

#[cfg(test)]
mod tests;
