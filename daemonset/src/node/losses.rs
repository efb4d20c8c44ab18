//! What the node lost between two looks: what the earlier one left in place, the later one did not find, and put back.

use smc_model::{Anchor, Conversion, Guard, NodeFacts, PeerRules, RdmaPort, Reason};

use super::step::Step;

/// A look at the node, before and after its steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct LookedAt<'a> {
    /// As the last look left it.
    pub(super) before: &'a NodeFacts,
    /// As it was found.
    pub(super) found: &'a NodeFacts,
    /// Who may speak SMC with the node's pods, as it was found in the guard's map; `None` where there is none.
    pub(super) found_rules: Option<&'a PeerRules>,
    /// The steps that were taken, in order; not those that failed.
    pub(super) done: &'a [Step],
    /// As it is now.
    pub(super) now: &'a NodeFacts,
}

/// What was put back. What comes for the first time, such as the PNETID of a port that was plugged in, was not lost.
pub(super) fn losses(look: LookedAt<'_>) -> Vec<Reason> {
    // What is part of the module goes with it, and is told by what is missing on the node.
    let loaded = look.found.smc_loaded;
    let mut lost = Vec::new();
    for step in look.done {
        lost.extend(match step {
            Step::AddUeid(ueid) => look.before.ueids.contains(ueid).then_some(Reason::NoUeid),
            Step::NamePort { port, .. } if port.pnetid.is_none() => pnetid(look, port),
            Step::AttachConversion { .. } if loaded => conversion(look),
            Step::LoadGuard { .. } if loaded => guard(look),
            Step::LetIn(_) => rules(look),
            Step::MakeAnchorLink | Step::KeepAnchorDown { up: true, .. } if loaded => anchor(look),
            _ => None,
        });
    }
    // One that somebody else made anew has another index.
    if let (Anchor::Ready { index: then }, Anchor::Ready { index }) =
        (&look.before.anchor, &look.found.anchor)
        && then != index
    {
        lost.push(Reason::SourceAnchorMissing { why: "the link kubesmc0 was removed".to_owned() });
    }
    lost
}

fn pnetid(LookedAt { before, .. }: LookedAt<'_>, port: &RdmaPort) -> Option<Reason> {
    let known = before.ports.iter().find(|then| then.device == port.device && then.port == port.port)?;
    known.pnetid.is_some().then(|| Reason::PnetidMissing { port: port.to_string() })
}

fn conversion(LookedAt { before, found, now, .. }: LookedAt<'_>) -> Option<Reason> {
    let Conversion::None { why } = &found.conversion else { return None };
    let worked = !matches!(before.conversion, Conversion::None { .. });
    let kernel = now.kernel.release.clone();
    worked.then(|| Reason::NoConversion { kernel, why: why.clone() })
}

fn guard(LookedAt { before, found, .. }: LookedAt<'_>) -> Option<Reason> {
    if before.guard_pins.is_none() || found.guard_pins.is_some() {
        return None;
    }
    let why = "its BPF program was not pinned".to_owned();
    Some(match before.guard {
        Guard::NotNeeded => Reason::PeerFilterMissing { why },
        Guard::Ready | Guard::Missing { .. } => Reason::SameNodeGuardMissing { why },
    })
}

fn rules(LookedAt { before, found_rules, now, .. }: LookedAt<'_>) -> Option<Reason> {
    let kept = before.inbound == now.inbound && before.guard_pins.is_some();
    let changed = found_rules.is_some_and(|rules| *rules != before.inbound.rules());
    let why = "the node's rules in its map were not as they had been written".to_owned();
    (kept && changed).then_some(Reason::PeerFilterMissing { why })
}

fn anchor(LookedAt { before, found, .. }: LookedAt<'_>) -> Option<Reason> {
    let Anchor::Missing { why } = &found.anchor else { return None };
    matches!(before.anchor, Anchor::Ready { .. }).then(|| Reason::SourceAnchorMissing { why: why.clone() })
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
