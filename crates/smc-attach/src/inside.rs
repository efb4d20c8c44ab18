//! What kube-smc put into a pod's own namespace, taken out of a pod that goes on living.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use smc_host::genl::SmcFamilies;
use smc_host::netns::Netns;
use smc_host::pnet::PnetEntry;
use smc_host::sysctl::Sysctl;
use smc_host::{HostError, apply, guard, kernel, pnet, route};
use smc_model::{Owned, PnetId};
use smc_state::Record;

/// A PNETID of ours that stays: the kernel takes an id from everybody who has it at once, and somebody else has it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The id.
    pub pnetid: PnetId,
    /// Who has it that is not ours, as the kernel names them.
    pub others: Vec<String>,
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PNETID {}, which {} has from somebody else", self.pnetid, self.others.join(", "))
    }
}

/// The pod's namespace, unless it is gone, or another one by now.
pub(crate) fn namespace_of(record: &Record) -> Option<Netns> {
    Netns::open(&record.netns).ok().filter(|netns| record.netns_id == Some(netns.id()))
}

/// Ends the pod's conversion as far as it is ours, and leaves the rest; `proc` is the host's `/proc`.
pub fn unconvert_inside(record: &Record, proc: &Path) -> Result<(), HostError> {
    let Some(netns) = namespace_of(record) else { return Ok(()) };
    apply::unconvert(&record.owned, &netns, &Sysctl::at(proc.join("sys")))
}

/// Ends the pod's conversion and removes the guard's program and its PNETIDs, as far as they are ours alone; `proc` is the host's `/proc`. A
/// namespace that is gone, or another one by now, has nothing of ours. Returns the ids that stay.
pub fn undo_inside(record: &Record, proc: &Path) -> Result<Vec<Shared>, HostError> {
    let Some(netns) = namespace_of(record) else { return Ok(Vec::new()) };
    apply::unconvert(&record.owned, &netns, &Sysctl::at(proc.join("sys")))?;
    let mut inside = netns.connect()?;
    if record.owned.guard_pins.is_some() {
        for link in route::links(&mut inside.route)? {
            guard::detach(&mut inside.route, link.index)?;
        }
    }
    if record.owned.named.is_empty() || !kernel::module_is_loaded("smc") {
        return Ok(Vec::new());
    }
    let Some(families) = SmcFamilies::find(&mut inside.generic)? else { return Ok(Vec::new()) };
    let entries = pnet::list(&mut inside.generic, families.pnetid)?;
    let (alone, shared) = ours(&record.owned, &entries);
    for id in alone {
        pnet::delete(&mut inside.generic, families.pnetid, id)?;
    }
    Ok(shared)
}

/// Of the ids that are in the pod's table because of us: those that nobody else has, and the others.
fn ours<'a>(owned: &'a Owned, entries: &[PnetEntry]) -> (Vec<&'a PnetId>, Vec<Shared>) {
    let ids: BTreeSet<&PnetId> = owned.named.values().collect();
    let (mut alone, mut shared) = (Vec::new(), Vec::new());
    for id in ids {
        let mut others = pnet::members(entries, id);
        others.retain(|member| owned.named.get(member) != Some(id));
        if others.is_empty() {
            alone.push(id);
        } else {
            shared.push(Shared { pnetid: id.clone(), others });
        }
    }
    (alone, shared)
}

#[cfg(test)]
mod tests;
