//! What a node lacks: from what was seen and what is asked to the steps that bring the one to the other.
//!
//! What one step makes may show that another is due (SMC tells its ports only once it is loaded), so a node is looked at and
//! planned for until nothing is due any more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use smc_host::reserved_ports::{self, RESERVED};
use smc_model::{PnetId, StripCause, terway};
use smc_state::BoundPort;

use super::Asked;
use super::observed::{GuardPins, Observed, Port, Program, Rest, Smc};
use super::step::Step;

/// What is due at a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Plan {
    /// In order.
    pub(super) steps: Vec<Step>,
    /// What is due and cannot be done, in words for a person.
    pub(super) problems: Vec<String>,
}

/// Steps that bring a node from what was seen to what is asked; `named` are the ports that have their PNETIDs from us.
pub(super) fn plan(seen: &Observed, asked: &Asked<'_>, named: &BTreeSet<BoundPort>) -> Plan {
    let mut plan = Plan::default();
    let Some(rest) = &seen.rest else { return plan };
    if !seen.smc_loaded {
        match may_load_smc(seen, rest) {
            Ok(()) => plan.steps.push(Step::LoadSmc),
            Err(why) => plan.problems.push(format!("cannot {}: {why}", Step::LoadSmc.attempt())),
        }
        return plan;
    }
    if !rest.smc_diag_tried {
        plan.steps.push(Step::LoadSmcDiag);
    }
    if let Program::NotInPlace { protocol, .. } = rest.program {
        plan.steps.push(Step::AttachConversion { protocol });
    }
    if seen.traits().needs_anchor {
        anchor(&mut plan, rest);
    }
    if let Some(smc) = &rest.smc {
        guard(&mut plan, seen, rest, smc, asked);
        ports(&mut plan, rest, smc, named);
        let present = smc.ueids.as_deref().ok();
        let missing = |ueid: &&_| present.is_some_and(|present| !present.contains(ueid));
        plan.steps.extend(asked.ueids.iter().filter(missing).cloned().map(Step::AddUeid));
    }
    plan
}

/// With an iWARP eRDMA device loading fails, or worse, later namespaces cannot be made, when somebody holds one of the
/// reserved ports: then nothing is loaded.
pub(super) fn may_load_smc(seen: &Observed, rest: &Rest) -> Result<(), String> {
    if !seen.has_iwarp() || rest.reserved_taken.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the smc module was not loaded: eRDMA in iWARP mode needs TCP ports {}-{} in every network namespace, and somebody has {}; \
         end that program, and put the range into net.ipv4.ip_local_reserved_ports",
        RESERVED.start(),
        RESERVED.end(),
        reserved_ports::told(&rest.reserved_taken),
    ))
}

fn anchor(plan: &mut Plan, rest: &Rest) {
    match &rest.anchor {
        Ok(None) => plan.steps.push(Step::MakeAnchorLink),
        Ok(Some(link)) if link.up || !link.local.is_empty() => {
            plan.steps.push(Step::KeepAnchorDown {
                index: link.index,
                up: link.up,
                local: link.local.clone(),
            });
        }
        Ok(Some(_)) => {}
        Err(why) => plan.problems.push(why.clone()),
    }
}

/// The program for every node, since it also takes out the offers of whoever may not speak SMC with its pods; where nothing else
/// needs it, a node is as good without.
fn guard(plan: &mut Plan, seen: &Observed, rest: &Rest, smc: &Smc, asked: &Asked<'_>) {
    let current = matches!(rest.guard, GuardPins::There { current: true, .. });
    match &rest.offer {
        Ok(Some(offer)) if !current => plan.steps.push(Step::LoadGuard { offer: offer.clone() }),
        // One that is there was made for this kernel.
        Ok(_) => {}
        Err(why) => plan.problems.push(why.clone()),
    }
    let spared = if seen.needs_guard(smc) { BTreeSet::new() } else { StripCause::SAME_NODE.into() };
    let let_in = asked.let_in(seen);
    let GuardPins::There { maps, .. } = &rest.guard else {
        // Maps that are made anew are empty, and nobody who is to be kept out is to be let in meanwhile.
        if matches!(rest.offer, Ok(Some(_))) {
            plan.steps.extend((!spared.is_empty()).then_some(Step::SpareCauses(spared)));
            plan.steps.extend(let_in.filter(|inbound| !inbound.is_any()).map(Step::LetIn));
        }
        return;
    };
    let said = |why: &String| format!("cannot say who may speak SMC with this node's pods: {why}");
    match &maps.spared {
        Ok(now) if now.as_ref() != Some(&spared) => plan.steps.push(Step::SpareCauses(spared)),
        Ok(_) => {}
        Err(why) => plan.problems.push(said(why)),
    }
    match (&maps.rules, let_in) {
        // The reason need not be compared: only where nobody may, no range may.
        (Ok(now), Some(inbound)) if *now != inbound.rules() => plan.steps.push(Step::LetIn(inbound)),
        (Ok(_), _) | (Err(_), None) => {}
        (Err(why), Some(_)) => plan.problems.push(said(why)),
    }
    match (&maps.sources, &rest.own_addresses) {
        (Ok(there), Ok(own)) => plan.steps.extend(sources(there, own, asked.node_addresses)),
        (Err(why), _) | (_, Err(why)) => plan.problems.push(why.clone()),
    }
}

/// What masquerades (kube-proxy, the hairpin of a bridge) gives a pod's connection to another pod of the node a node's address:
/// this one's, or another's where it goes by that one's node port.
fn sources(
    there: &BTreeMap<IpAddr, StripCause>,
    own: &BTreeSet<IpAddr>,
    others: Option<&BTreeSet<IpAddr>>,
) -> Option<Step> {
    let mut wanted: BTreeMap<IpAddr, StripCause> =
        others.into_iter().flatten().map(|address| (*address, StripCause::OtherNode)).collect();
    wanted.extend(own.iter().map(|address| (*address, StripCause::Node)));
    wanted.retain(|address, _| !address.is_loopback());
    let has = |address: &IpAddr| there.get(address).is_some_and(|why| *why != StripCause::TimedOut);
    // What an agent before this one knew of other nodes stays while there is no API server.
    let is_ours =
        |why: StripCause| why == StripCause::Node || (why == StripCause::OtherNode && others.is_some());
    let of_none = |(address, why): &(&IpAddr, &StripCause)| !wanted.contains_key(*address) && is_ours(**why);
    let remove: BTreeMap<IpAddr, StripCause> =
        there.iter().filter(of_none).map(|(address, why)| (*address, *why)).collect();
    let add: BTreeMap<IpAddr, StripCause> =
        wanted.iter().filter(|(address, _)| !has(address)).map(|(address, why)| (*address, *why)).collect();
    (!add.is_empty() || !remove.is_empty()).then_some(Step::StripSources { add, remove })
}

fn ports(plan: &mut Plan, rest: &Rest, smc: &Smc, named: &BTreeSet<BoundPort>) {
    for seen in smc.ports.iter().flatten() {
        match pnetid(seen, rest.of_terway, named) {
            Ok(None) => {}
            Ok(Some(pnetid)) => plan.steps.push(Step::NamePort { port: seen.facts.clone(), pnetid }),
            Err(problem) => plan.problems.push(problem),
        }
    }
}

/// The id that a port is to get, if it is to get one. Where Terway manages eRDMA devices, a device's id is the one that it gives
/// its own pods: a device that has another it leaves as it is, and those pods would find none.
fn pnetid(seen: &Port, of_terway: bool, named: &BTreeSet<BoundPort>) -> Result<Option<PnetId>, String> {
    let port = &seen.facts;
    let wanted = if of_terway { terway::pnetid_of(&port.device) } else { None };
    match (&port.pnetid, wanted, &port.netdev) {
        // The kernel takes an id from all that have it.
        (Some(has), Some(wanted), _) if *has != wanted => {
            let ours = named.contains(&seen.bound(has.clone())) && !seen.shares_pnetid;
            Ok(ours.then_some(wanted))
        }
        (Some(_), ..) => Ok(None),
        (None, Some(wanted), _) => Ok(Some(wanted)),
        (None, None, Some(netdev)) => match seen.mac {
            Some(mac) => Ok(Some(PnetId::from_mac(mac))),
            None => Err(format!(
                "cannot derive a PNETID for RDMA port {port}: its network device {} has no MAC address",
                netdev.name
            )),
        },
        (None, None, None) => Err(format!("RDMA port {port} has no network device in the host's namespace")),
    }
}

#[cfg(test)]
mod tests;
