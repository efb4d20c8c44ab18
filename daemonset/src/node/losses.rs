//! What the node lost between two looks: what the earlier one left in place, the later one did not find, and put back.

use std::collections::BTreeSet;

use smc_model::{Anchor, Conversion, Guard, NodeFacts, PeerRules, Reason};

/// A look at the node, before and after its steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct LookedAt<'a> {
    /// As the last look left it.
    pub(super) before: &'a NodeFacts,
    /// As it was found.
    pub(super) found: &'a NodeFacts,
    /// Who may speak SMC with the node's pods, as it was found in the guard's map; `None` where there is none.
    pub(super) found_rules: Option<&'a PeerRules>,
    /// As it is now.
    pub(super) now: &'a NodeFacts,
}

/// What was put back. What comes for the first time, such as the PNETID of a port that was plugged in, was not lost.
pub(super) fn losses(look: LookedAt<'_>) -> Vec<Reason> {
    let mut lost = Vec::new();
    lost.extend(ueid(look));
    lost.extend(pnetids(look));
    // What is part of the module went with it, and is told by what is missing on the node.
    if look.found.smc_loaded {
        lost.extend(conversion(look));
        lost.extend(guard(look));
        lost.extend(anchor(look));
    }
    lost
}

fn ueid(LookedAt { before, found, now, .. }: LookedAt<'_>) -> Option<Reason> {
    let back = |ueid: &&_| !found.ueids.contains(ueid) && now.ueids.contains(ueid);
    before.ueids.iter().any(|ueid| back(&ueid)).then_some(Reason::NoUeid)
}

fn pnetids(LookedAt { before, found, now, .. }: LookedAt<'_>) -> Vec<Reason> {
    let named = |facts: &NodeFacts| -> BTreeSet<String> {
        let ports = facts.ports.iter().filter(|port| port.pnetid.is_some());
        ports.map(ToString::to_string).collect()
    };
    let (found, now) = (named(found), named(now));
    let lost = named(before).into_iter().filter(|port| !found.contains(port) && now.contains(port));
    lost.map(|port| Reason::PnetidMissing { port }).collect()
}

fn conversion(LookedAt { before, found, now, .. }: LookedAt<'_>) -> Option<Reason> {
    let Conversion::None { why } = &found.conversion else { return None };
    let works = |facts: &NodeFacts| !matches!(facts.conversion, Conversion::None { .. });
    let kernel = now.kernel.release.clone();
    (works(before) && works(now)).then(|| Reason::NoConversion { kernel, why: why.clone() })
}

fn guard(LookedAt { before, found, found_rules, now }: LookedAt<'_>) -> Option<Reason> {
    let pinned = |facts: &NodeFacts| facts.guard_pins.is_some();
    if pinned(before) && !pinned(found) && pinned(now) {
        return Some(match &found.guard {
            Guard::Missing { why } => Reason::SameNodeGuardMissing { why: why.clone() },
            _ => Reason::PeerFilterMissing { why: "its BPF program was not pinned".to_owned() },
        });
    }
    let kept = before.inbound == now.inbound;
    let changed = found_rules.is_some_and(|rules| *rules != before.inbound.rules());
    let why = "the node's rules in its map were not as they had been written".to_owned();
    (pinned(before) && kept && changed).then_some(Reason::PeerFilterMissing { why })
}

fn anchor(LookedAt { before, found, now, .. }: LookedAt<'_>) -> Option<Reason> {
    let (Anchor::Ready { index: then }, Anchor::Ready { index }) = (&before.anchor, &now.anchor) else {
        return None;
    };
    let why = match &found.anchor {
        Anchor::Missing { why } => why.clone(),
        // One that was made anew has another index.
        _ if then != index => "the link kubesmc0 was removed".to_owned(),
        _ => return None,
    };
    Some(Reason::SourceAnchorMissing { why })
}

/// Ports to which somebody else gave another PNETID: what the agent gave came after the node was found so.
pub(super) fn renamed_ports(LookedAt { before, found, .. }: LookedAt<'_>) -> Vec<Reason> {
    let renamed = found.ports.iter().filter_map(|now| {
        let then = before.ports.iter().find(|then| then.device == now.device && then.port == now.port)?;
        let (had, pnetid) = (then.pnetid.clone()?, now.pnetid.clone()?);
        (had != pnetid).then(|| Reason::ForeignPnetid { port: now.to_string(), pnetid, had })
    });
    renamed.collect()
}

#[cfg(test)]
mod tests;
