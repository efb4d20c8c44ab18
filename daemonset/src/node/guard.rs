//! The guard's program and maps, made or adopted; and in them the nodes' addresses, and who may speak SMC with the node's pods.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use smc_host::guard::{Guard as Pinned, Why};
use smc_host::netlink::Connection;
use smc_host::peers::Whose;
use smc_host::{HostError, route, smc, with_causes};
use smc_model::{Guard, Inbound, KernelFamily, Reason, SynOption};

use super::{Asked, LastLook, Preparation, Smc};
use crate::node::bpf::{BpfError, EnsuredGuard, GuardProgram, PinnedGuard};

impl Preparation {
    pub(super) fn needs_guard(&mut self, smc: &mut Smc, family: KernelFamily, all_iwarp: bool) -> bool {
        let has_loopback = smc::has_loopback(&mut smc.generic, smc.families.smc);
        let has_loopback = self.check_host("ask SMC for its features", has_loopback) == Some(true);
        Guard::is_needed(family, all_iwarp, has_loopback)
    }

    /// The program for every node, since it also takes out the offers of whoever may not speak SMC with its pods; where nothing else
    /// needs it, a node is as good without. Returns where it is pinned, too.
    pub(super) fn guard(
        &mut self,
        smc: &mut Smc,
        needed: bool,
        offer: Result<Option<&SynOption>, &str>,
        pin_dir: &Path,
        asked: &Asked<'_>,
        last: &mut LastLook,
    ) -> (Guard, Option<PathBuf>) {
        if let Err(why) = self.guard_program(needed, offer, pin_dir, last) {
            let guard = if needed { Guard::Missing { why } } else { Guard::NotNeeded };
            return (guard, None);
        }
        let guard = if needed { Guard::Ready } else { Guard::NotNeeded };
        let peers = Pinned::open(pin_dir).and_then(|guard| say_peers(&guard, needed, asked, last));
        match self.check_host("say who may speak SMC with this node's pods", peers) {
            Some(told) => self.restored.extend(told),
            // Whoever was to be kept out would be let in.
            None if asked.inbound.as_ref().unwrap_or(&last.inbound) != &Inbound::Any => {
                let why =
                    "who may speak SMC with pods cannot be written into its map; the agent's log says why"
                        .to_owned();
                return (if needed { Guard::Missing { why } } else { guard }, None);
            }
            None => {}
        }
        let filled = Pinned::open(pin_dir)
            .and_then(|guard| strip_from_nodes(&guard, &mut smc.route, asked.node_addresses));
        self.check_host("have SMC's offer taken out of SYNs from nodes' addresses", filled);
        (guard, Some(pin_dir.to_owned()))
    }

    /// Makes sure that the program and its maps are pinned; else why they are not.
    fn guard_program(
        &mut self,
        needed: bool,
        offer: Result<Option<&SynOption>, &str>,
        pin_dir: &Path,
        last: &mut LastLook,
    ) -> Result<(), String> {
        if let Err(why) = offer {
            self.problems.push(why.to_owned());
        }
        let offer = match offer {
            Ok(Some(offer)) => offer,
            // A guard that is there was made for this kernel.
            _ if matches!(PinnedGuard::look(pin_dir), Ok(Some(_))) => return Ok(()),
            Ok(None) => return Err("this kernel's SYNs offer no SMC".to_owned()),
            Err(why) => return Err(why.to_owned()),
        };
        let known = last
            .guard
            .take()
            .filter(|known| PinnedGuard::look(pin_dir).is_ok_and(|now| now.as_ref() == Some(known)));
        if known.is_none() {
            match GuardProgram::ensure(pin_dir, offer) {
                Ok(EnsuredGuard::Adopted) => {}
                Ok(EnsuredGuard::Made { replaced }) => {
                    self.guard_is_new = true;
                    let what = if replaced { "replaced" } else { "loaded" };
                    self.notes.push(format!("{what} the BPF program of the same-node guard"));
                    if !replaced {
                        let why = "its BPF program was not pinned".to_owned();
                        self.restored.push(if needed {
                            Reason::SameNodeGuardMissing { why }
                        } else {
                            Reason::PeerFilterMissing { why }
                        });
                    }
                }
                Ok(EnsuredGuard::UnknownOffer) => {
                    return Err("this kernel offers SMC by an option of a form that is not known".to_owned());
                }
                Err(error) => {
                    self.problems.push(format!("{}; {}", with_causes(&error), BpfError::remedy(&error)));
                    return Err(with_causes(&error));
                }
            }
        }
        last.guard = known.or_else(|| PinnedGuard::look(pin_dir).ok().flatten());
        Ok(())
    }
}

/// Has the node's own rules hold, and tells when they did not although nothing else is asked than at the last look.
fn say_peers(
    guard: &Pinned,
    needed: bool,
    asked: &Asked<'_>,
    last: &LastLook,
) -> Result<Option<Reason>, HostError> {
    guard.spare(if needed { &[] } else { &Why::SAME_NODE })?;
    let Some(inbound) = &asked.inbound else { return Ok(None) };
    let (peers, rules) = (guard.peers()?, inbound.rules());
    // The reason need not be compared: only where nobody may, no range may.
    if peers.rules_of_node()? == rules {
        return Ok(None);
    }
    peers.set(Whose::Node, &rules, why(inbound))?;
    let why = "the node's rules in its map were not as they had been written".to_owned();
    Ok((*inbound == last.inbound).then_some(Reason::PeerFilterMissing { why }))
}

fn why(inbound: &Inbound) -> Why {
    if matches!(inbound, Inbound::Nobody { .. }) { Why::SwitchedOff } else { Why::NotAllowed }
}

/// What masquerades (kube-proxy, the hairpin of a bridge) gives a pod's connection to another pod of the node a node's address:
/// this one's, or another's where it goes by that one's node port.
fn strip_from_nodes(
    guard: &Pinned,
    route: &mut Connection,
    others: Option<&BTreeSet<IpAddr>>,
) -> Result<(), HostError> {
    let anchors = route.link_index(smc_host::anchor::LINK)?;
    // Of these links kube-proxy's has every Service's address in IPVS mode, and none is a source.
    let services = route.link_index("kube-ipvs0")?;
    let is_own = |link: u32| ![anchors, services].contains(&Some(link));
    let fourth = route::addresses(route)?.into_iter().map(|(link, net)| (link, IpAddr::V4(net.address())));
    let sixth = route::addresses6(route)?.into_iter().map(|(link, address)| (link, IpAddr::V6(address)));
    let all = fourth.chain(sixth).filter(|(link, _)| is_own(*link));
    let own: BTreeSet<IpAddr> = all.map(|(_, address)| address).collect();
    let others_known = others.is_some();
    let others = others.into_iter().flatten().filter(|address| !own.contains(address));
    let mut wanted: BTreeMap<IpAddr, Why> = others.map(|address| (*address, Why::OtherNode)).collect();
    wanted.extend(own.iter().map(|address| (*address, Why::Node)));
    wanted.retain(|address, _| !address.is_loopback());
    let there = guard.sources()?;
    let is_there = |address: &IpAddr| there.get(address).is_some_and(|why| *why != Why::TimedOut);
    for (address, why) in wanted.iter().filter(|(address, _)| !is_there(address)) {
        guard.strip(*address, *why)?;
    }
    for (address, why) in there.iter().filter(|(address, _)| !wanted.contains_key(address)) {
        // What an agent before this one knew of other nodes stays while there is no API server.
        if *why == Why::Node || (*why == Why::OtherNode && others_known) {
            guard.leave(*address, *why)?;
        }
    }
    Ok(())
}
