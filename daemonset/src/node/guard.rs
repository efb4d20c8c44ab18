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
use crate::bpf::{BpfError, EnsuredGuard, GuardProgram, PinnedGuard};

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
        if let Err(why) = self.guard_program(offer, pin_dir, last) {
            let guard = if needed { Guard::Missing { why } } else { Guard::NotNeeded };
            return (guard, None);
        }
        let filled = fill(&mut smc.route, needed, pin_dir, asked);
        let attempt = "say whose offers of SMC are taken out of their SYNs";
        if self.check_host(attempt, filled).is_none() && !needed {
            return (Guard::NotNeeded, None);
        }
        (if needed { Guard::Ready } else { Guard::NotNeeded }, Some(pin_dir.to_owned()))
    }

    /// Makes sure that the program and its maps are pinned; else why they are not.
    fn guard_program(
        &mut self,
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
                        self.restored.push(Reason::SameNodeGuardMissing { why });
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

/// Brings the maps to what is wanted. Who may speak SMC comes first: it is waited for.
fn fill(route: &mut Connection, needed: bool, pin_dir: &Path, asked: &Asked<'_>) -> Result<(), HostError> {
    let guard = Pinned::open(pin_dir)?;
    if let Some(inbound) = &asked.inbound {
        let (peers, rules) = (guard.peers()?, inbound.rules());
        // The reason need not be compared: only where nobody may, no range may.
        if peers.all()?.remove(&Whose::Node).unwrap_or_default() != rules {
            peers.set(Whose::Node, &rules, why(inbound))?;
        }
    }
    guard.spare(if needed { &[] } else { &Why::SAME_NODE })?;
    strip_from_nodes(&guard, route, asked.node_addresses)
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
