//! Take one attachment's traces out of the host's kernel.

use std::time::Instant;

use smc_host::apply;
use smc_model::{Owned, Release, release};
use smc_state::{AttachmentId, Phase, Record, StateError, Store};

/// What came of [`detach`] or of one record's [`sweep`].
#[derive(Debug, Default)]
pub struct Detached {
    /// The record as it was, if there was a living one.
    pub record: Option<Record>,
    /// What could not be done, for the log. The agent's sweep tries again.
    pub problems: Vec<String>,
}

/// Ends an attachment: releases what it owns and leaves a tombstone for the agent to sweep. Never fails as a whole;
/// done twice, or for an attachment that never was, it does nothing. The pod's namespace is not needed.
pub fn detach(store: &Store, attachment: &AttachmentId, deadline: Instant) -> Detached {
    let mut detached = Detached::default();
    if let Err(error) = try_detach(store, attachment, deadline, &mut detached) {
        detached.problems.push(error.with_cause());
    }
    detached
}

fn try_detach(
    store: &Store,
    attachment: &AttachmentId,
    deadline: Instant,
    detached: &mut Detached,
) -> Result<(), StateError> {
    // Nothing of ours: do not even make the directories.
    if store.read(attachment)?.is_none() {
        return Ok(());
    }
    let _lock = store.lock(attachment, deadline)?;
    let Some(record) = store.read(attachment)?.filter(Record::is_live) else { return Ok(()) };
    let left = release_owned(store, &record, deadline, &mut detached.problems);
    let tombstone = Record { phase: Phase::Tombstone, owned: left, ..record.clone() };
    detached.record = Some(record);
    store.write(&tombstone)
}

/// Finishes every tombstone: releases what its DEL could not, and removes the record. Returns the attachments that
/// are gone, and what is still in the way.
pub fn sweep(store: &Store, deadline: Instant) -> (Vec<AttachmentId>, Vec<String>) {
    let mut swept = Vec::new();
    let listing = store.list();
    let mut problems: Vec<String> = listing.errors.iter().map(StateError::with_cause).collect();
    for dead in listing.records.into_iter().filter(|record| !record.is_live()) {
        let attachment = dead.attachment;
        let result = store.lock(&attachment, deadline).and_then(|_lock| {
            // It may have come to life again since it was listed.
            let Some(record) = store.read(&attachment)?.filter(|record| !record.is_live()) else {
                return Ok(false);
            };
            if release_owned(store, &record, deadline, &mut problems) != Owned::default() {
                return Ok(false);
            }
            store.remove(&attachment).map(|()| true)
        });
        match result {
            Ok(true) => swept.push(attachment),
            Ok(false) => {}
            Err(error) => problems.push(error.with_cause()),
        }
    }
    (swept, problems)
}

/// Releases what a record owns and nobody else does; returns what could not be released.
fn release_owned(store: &Store, record: &Record, deadline: Instant, problems: &mut Vec<String>) -> Owned {
    if record.owned == Owned::default() {
        return Owned::default();
    }
    let others = store
        .lock_addresses(deadline)
        .and_then(|lock| store.addresses_of_others(&record.attachment).map(|others| (lock, others)));
    let (_lock, others) = match others {
        Ok(found) => found,
        Err(error) => {
            problems.push(error.with_cause());
            return record.owned.clone();
        }
    };
    let mut left = Owned::default();
    for step in release(&record.owned, &others) {
        let Err(error) = apply::release(&step) else { continue };
        problems.push(error.with_cause());
        match step {
            Release::Unconvert { map, cookie } => left.converted = Some((map, cookie)),
            Release::Unanchor { address } => {
                left.anchored.insert(address);
            }
            Release::Unguard { address } => {
                left.guarded.insert(address);
            }
        }
    }
    left
}

#[cfg(test)]
mod tests;
