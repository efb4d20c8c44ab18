//! Whether what was set up for a pod is still there.

use std::net::IpAddr;

use smc_host::anchor;
use smc_host::traffic::SetUp;
use smc_model::{HostState, NodeFacts, Reason, Step, Switch};
use smc_state::Record;

/// What of a record's set-up is not there. Where the feature is off, or the node cannot have it, nothing is missed.
pub(super) fn lost(record: &Record, facts: &NodeFacts, inside: &SetUp, host: &HostState) -> Vec<Reason> {
    if facts.switch != Switch::On {
        return Vec::new();
    }
    let mut lost = smc_model::lost(&record.plan, inside.converts, &inside.pnetids);
    if let Some(anchored) = &host.anchored {
        lost.extend(record.owned.anchored.difference(anchored).map(|address| Reason::SourceAnchorMissing {
            why: format!("{address} was removed from the link {}", anchor::LINK),
        }));
    }
    if let Some(held) = &host.held {
        lost.extend(record.owned.held.difference(held).map(|address| Reason::SourceAnchorMissing {
            why: format!("the route in table local that holds the packets of {address} was removed"),
        }));
    }
    if let (Some(_), Some((pins, guarded))) = (facts.guard_for_pods(), &host.guarded)
        && record.owned.guard_pins.as_ref() == Some(pins)
    {
        let there = |address: &IpAddr| guarded.contains(address) || host.is_node(address);
        let gone = record.owned.in_guard().filter(|address| !there(address));
        lost.extend(gone.map(|address| Reason::SameNodeGuardMissing {
            why: format!("{address} was removed from its map"),
        }));
        let taken = inside.unguarded.iter().filter(|interface| had_guard(record, interface));
        lost.extend(taken.map(|interface| Reason::SameNodeGuardMissing {
            why: format!("its program is not on the pod's interface {interface}"),
        }));
    }
    lost
}

/// Whether the pod has an interface that came after its set-up, as Multus gives them: nobody's doing, but to be guarded.
pub(super) fn has_new_interface(record: &Record, inside: &SetUp) -> bool {
    record.owned.guard_pins.is_some()
        && inside.unguarded.iter().any(|interface| !had_guard(record, interface))
}

fn had_guard(record: &Record, interface: &str) -> bool {
    let is_guarded = |step: &Step| matches!(step, Step::Guard { interface: Some(of), .. } if of == interface);
    record.plan.bindings.iter().any(|binding| binding.interface == interface)
        || record.plan.steps.iter().any(is_guarded)
}

#[cfg(test)]
mod tests;
