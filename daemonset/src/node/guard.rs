//! The same-node guard's program and maps, made or adopted, and the nodes' addresses in them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use smc_host::guard::Why;
use smc_host::netlink::Connection;
use smc_host::{HostError, route, smc, with_causes};
use smc_model::{Guard, KernelFamily, Reason, SynOption};

use super::{LastLook, Preparation, Smc};
use crate::bpf::{BpfError, EnsuredGuard, GuardProgram, PinnedGuard};

impl Preparation {
    pub(super) fn needs_guard(&mut self, smc: &mut Smc, family: KernelFamily, all_iwarp: bool) -> bool {
        let has_loopback = smc::has_loopback(&mut smc.generic, smc.families.smc);
        let has_loopback = self.check_host("ask SMC for its features", has_loopback) == Some(true);
        Guard::is_needed(family, all_iwarp, has_loopback)
    }

    pub(super) fn guard(
        &mut self,
        smc: &mut Smc,
        offer: Result<Option<&SynOption>, &str>,
        pin_dir: &Path,
        node_addresses: Option<&BTreeSet<IpAddr>>,
        last: &mut LastLook,
    ) -> Guard {
        let missing = |why: &str| Guard::Missing { why: why.to_owned() };
        if let Err(why) = offer {
            self.problems.push(why.to_owned());
        }
        let offer = match offer {
            Ok(Some(offer)) => offer,
            // A guard that is there was made for this kernel.
            _ if matches!(PinnedGuard::look(pin_dir), Ok(Some(_))) => return Guard::Ready,
            Ok(None) => return missing("this kernel's SYNs offer no SMC"),
            Err(why) => return missing(why),
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
                    return missing("this kernel offers SMC by an option of a form that is not known");
                }
                Err(error) => {
                    self.problems.push(format!("{}; {}", with_causes(&error), BpfError::remedy(&error)));
                    return missing(&with_causes(&error));
                }
            }
        }
        last.guard = known.or_else(|| PinnedGuard::look(pin_dir).ok().flatten());
        let attempt = "have SMC's offer taken out of SYNs from nodes' addresses";
        self.check_host(attempt, strip_from_nodes(&mut smc.route, pin_dir, node_addresses));
        Guard::Ready
    }
}

/// What masquerades (kube-proxy, the hairpin of a bridge) gives a pod's connection to another pod of the node a node's address:
/// this one's, or another's where it goes by that one's node port.
fn strip_from_nodes(
    route: &mut Connection,
    pin_dir: &Path,
    others: Option<&BTreeSet<IpAddr>>,
) -> Result<(), HostError> {
    let guard = smc_host::guard::Guard::open(pin_dir)?;
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
    for (address, why) in wanted.iter().filter(|(address, _)| !there.contains_key(address)) {
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
