//! Take one attachment's traces out of the host's kernel.

use std::time::{Duration, Instant};

use smc_host::apply;
use smc_model::{Owned, Release, release};
use smc_state::{AttachmentId, Lock, Phase, Record, RecordCache, StateError, StepTiming, Store};

/// What came of [`detach`] or of one record's [`sweep`].
#[derive(Debug, Default)]
pub struct Detached {
    /// The record as it was, if there was a living one.
    pub record: Option<Record>,
    /// What could not be done, for the log. The agent's sweep tries again.
    pub problems: Vec<String>,
}

/// Ends an attachment: releases what it owns and leaves a tombstone for the agent to sweep; where somebody works on it
/// for too long, a mark. Never fails as a whole; done twice, or for an attachment that never was, it does nothing. The
/// pod's namespace is not needed.
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
    if !store.knows(attachment) {
        return Ok(());
    }
    let begun = Instant::now();
    let _lock = store.lock(attachment, deadline).or_else(|error| {
        // Whoever holds the lock ends the attachment when done, or else the sweep does.
        store.mark_deleted(attachment)?;
        // It may have been let go just before the mark was there.
        store.lock(attachment, Instant::now()).map_err(|_| error)
    })?;
    end(store, attachment, deadline, begun.elapsed(), detached)
}

/// Ends an attachment whose lock the caller holds, after so long a wait. The tombstone tells how long both took, instead
/// of how long the set-up did.
pub(crate) fn end(
    store: &Store,
    attachment: &AttachmentId,
    deadline: Instant,
    waited: Duration,
    detached: &mut Detached,
) -> Result<(), StateError> {
    let begun = Instant::now();
    let (record, unreadable) = store.read_or_quarantine(attachment)?;
    detached.problems.extend(unreadable.map(|why| why.with_cause()));
    match record {
        Some(record) if record.is_live() => {
            let Released { left, addresses: _held } =
                release_owned(store, &record, deadline, &mut detached.problems);
            // The rest goes with the namespace; should the attachment come back in it, it is still of our making.
            let Owned { sysctl, mptcp_off, named, .. } = record.owned.clone();
            let owned = Owned { sysctl, mptcp_off, named, ..left };
            let timings = vec![timing("lock", waited), timing("release", begun.elapsed())];
            let tombstone = Record { phase: Phase::Tombstone, owned, timings, ..record.clone() };
            detached.record = Some(record);
            store.write(&tombstone)?;
        }
        Some(_) => {}
        // An ADD that ended before its first record: only its lock file is left.
        None => store.remove(attachment)?,
    }
    store.unmark_deleted(attachment)
}

fn timing(phase: &str, took: Duration) -> StepTiming {
    StepTiming { phase: phase.to_owned(), us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX) }
}

/// Sets unreadable records aside, ends what was marked as deleted, and finishes every tombstone: releases what its DEL
/// could not, and removes the record. Returns the attachments that are gone, and what is still in the way or was set
/// aside.
pub fn sweep(store: &Store, deadline: Instant) -> (Vec<AttachmentId>, Vec<String>) {
    let mut swept = Vec::new();
    let mut problems: Vec<String> =
        store.quarantine_all(deadline).iter().map(StateError::with_cause).collect();
    for attachment in store.list().deleted {
        problems.extend(detach(store, &attachment, deadline).problems);
    }
    let listing = store.list();
    problems.extend(listing.errors.iter().map(StateError::with_cause));
    for dead in listing.records.into_iter().filter(|record| !record.is_live()) {
        let attachment = &dead.attachment;
        let result = store.lock(attachment, deadline).and_then(|_lock| {
            // It may have come to life again since it was listed.
            let Some(record) = store.read(attachment)?.filter(|record| !record.is_live()) else {
                return Ok(false);
            };
            let Released { left, addresses: _held } = release_owned(store, &record, deadline, &mut problems);
            if left != Owned::default() {
                return Ok(false);
            }
            store.remove(attachment).map(|()| true)
        });
        match result {
            Ok(true) => swept.push(attachment.clone()),
            Ok(false) => {}
            Err(error) => problems.push(error.with_cause()),
        }
    }
    (swept, problems)
}

/// What [`release_owned`] leaves.
struct Released {
    /// What could not be released.
    left: Owned,
    /// Held until the record says what was released: two attachments that end at once and own one address must not
    /// leave it to each other.
    addresses: Option<Lock>,
}

/// Releases what a record owns and nobody else does.
fn release_owned(store: &Store, record: &Record, deadline: Instant, problems: &mut Vec<String>) -> Released {
    let owned = record.owned.clone().in_host();
    if owned == Owned::default() {
        return Released { left: owned, addresses: None };
    }
    // Read before the lock is taken, for which others wait: with it only what was written meanwhile is.
    let before = RecordCache::default();
    store.list_again(&before);
    let others = store
        .lock_addresses(deadline)
        .and_then(|lock| store.addresses_of_others(&record.attachment, &before).map(|others| (lock, others)));
    let (lock, others) = match others {
        Ok(found) => found,
        Err(error) => {
            problems.push(error.with_cause());
            return Released { left: owned, addresses: None };
        }
    };
    let mut left = Owned::default();
    for step in release(&owned, &others) {
        let Err(error) = apply::release(&step) else { continue };
        problems.push(error.with_cause());
        match step {
            Release::Unconvert { map, cookie } => left.converted = Some((map, cookie)),
            Release::Unanchor { address } => {
                left.anchored.insert(address);
            }
            Release::Unhold { address } => {
                left.held.insert(address);
            }
            Release::AllowAll { .. } => {}
            Release::Unguard { pins, address } => {
                left.guard_pins = Some(pins);
                left.own_guarded(address);
            }
        }
    }
    Released { left, addresses: Some(lock) }
}

#[cfg(test)]
mod tests;
