//! Watch the pods' records, log what becomes of them, and sweep what ended.

mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use smc_attach::sweep;
use smc_model::Verdict;
use smc_state::{AttachmentId, Phase, Record, RecordCache, StateError, Store};

use crate::surfaces::kubernetes::announcement::told;

pub use watch::Watch;

/// Longest wait for a lock while sweeping: the plugin's calls hold theirs for less than their own two seconds.
const SWEEP_BUDGET: Duration = Duration::from_secs(2);

/// How old a directory's time must be to be another one's after the next change.
const TELLS_CHANGES_APART: Duration = Duration::from_secs(1);

/// What was seen of the records last time.
#[derive(Debug, Default)]
pub struct Records {
    seen: BTreeMap<AttachmentId, (String, Phase, Option<Verdict>)>,
    read: RecordCache,
    errors: Vec<String>,
    /// When the directory was changed last, before the last look.
    directory: Option<SystemTime>,
    /// Something is left to be swept.
    unfinished: bool,
}

/// What became of one record since the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new, or its phase or verdict is.
    Seen(Arc<Record>),
    /// It is gone.
    Ended(AttachmentId),
}

impl Records {
    /// Nothing was seen yet; `read` is what others read of the same store.
    pub fn new(read: RecordCache) -> Self {
        Self { read, ..Self::default() }
    }

    /// Whether the records' directory changed since the last look, or something was left to do. Every record is written
    /// by renaming, which changes the directory.
    pub fn need_a_look(&self, store: &Store) -> bool {
        self.unfinished || self.directory != changed_at(store)
    }

    /// Logs every record that is new or changed since the last look, then sweeps tombstones, marks and what is
    /// unreadable. Returns what changed.
    pub fn look(&mut self, store: &Store) -> Vec<Change> {
        let mut changes = Vec::new();
        // A time this young may be shared by a change that comes after the listing: it advances with the kernel's tick.
        self.directory =
            changed_at(store).filter(|at| at.elapsed().is_ok_and(|age| age > TELLS_CHANGES_APART));
        let listing = store.list_again(&self.read);
        let errors: Vec<String> = listing.errors.iter().map(StateError::with_cause).collect();
        for error in errors.iter().filter(|error| !self.errors.contains(error)) {
            tracing::warn!("{error}");
        }
        self.errors = errors;
        // What could not be read is set aside by the sweep, and what was marked as deleted is ended by it.
        let mut dead = !listing.errors.is_empty() || !listing.deleted.is_empty();
        for record in &listing.records {
            let state = (record.id.clone(), record.phase, record.verdict.clone());
            if self.seen.get(&record.attachment) != Some(&state) {
                log(record);
                changes.push(Change::Seen(Arc::clone(record)));
                self.seen.insert(record.attachment.clone(), state);
            }
            dead |= !record.is_live();
        }
        self.unfinished = dead;
        if dead {
            let (swept, problems) = sweep(store, Instant::now() + SWEEP_BUDGET);
            for attachment in swept {
                tracing::debug!(%attachment, "swept");
                self.seen.remove(&attachment);
                changes.push(Change::Ended(attachment));
            }
            for problem in problems {
                tracing::warn!("while cleaning up after pods: {problem}");
            }
        }
        let listed: BTreeSet<_> = listing.records.iter().map(|record| &record.attachment).collect();
        self.seen.retain(|attachment, _| {
            let there = listed.contains(attachment);
            if !there {
                changes.push(Change::Ended(attachment.clone()));
            }
            there
        });
        changes
    }
}

fn changed_at(store: &Store) -> Option<SystemTime> {
    std::fs::metadata(store.pods_dir()).and_then(|directory| directory.modified()).ok()
}

fn log(record: &Record) {
    let Record { id, pod, attachment, .. } = record;
    let pod = pod.to_string();
    let (container, ifname) = (attachment.container(), attachment.ifname());
    match (record.phase, &record.verdict) {
        (Phase::Tombstone, _) => tracing::info!(id, pod, container, ifname, "released"),
        (Phase::Intent, _) => tracing::debug!(id, pod, container, ifname, "being set up"),
        (Phase::Settled, Some(Verdict::Refused { reason })) if !reason.is_alarm() => {
            tracing::info!(id, pod, container, ifname, reason = reason.name(), "runs on plain TCP: {reason}");
        }
        (Phase::Settled, Some(Verdict::NeedsRestart { listeners })) => tracing::warn!(
            id,
            pod,
            container,
            ifname,
            "set up while running; what it accepts on {} stays TCP until that program is restarted",
            told(listeners)
        ),
        (Phase::Settled, Some(Verdict::Refused { reason })) => tracing::warn!(
            id,
            pod,
            container,
            ifname,
            reason = reason.name(),
            fix = reason.remedy(),
            "runs on plain TCP: {reason}"
        ),
        (Phase::Settled, Some(Verdict::Configured)) => {
            let bindings = &record.plan.bindings;
            let bound: Vec<String> = bindings
                .iter()
                .map(|b| format!("{} on {}/{} by {}", b.interface, b.device, b.port, b.pnetid))
                .collect();
            let notes: Vec<String> = record.plan.notes.iter().map(ToString::to_string).collect();
            tracing::info!(
                id,
                pod,
                container,
                ifname,
                bound = bound.join(", "),
                notes = notes.join("; "),
                "configured for SMC-R"
            );
        }
        (Phase::Settled, None) => tracing::warn!(id, pod, container, ifname, "a record without a verdict"),
    }
}

#[cfg(test)]
mod tests;
