//! Watch the pods' records, log what becomes of them, and sweep what ended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use smc_attach::sweep;
use smc_model::{Reason, Verdict};
use smc_state::{AttachmentId, Phase, Record, StateError, Store};

use crate::kubernetes::announcement::told;

/// Longest wait for a lock while sweeping: the plugin's calls hold theirs for less than their own two seconds.
const SWEEP_BUDGET: Duration = Duration::from_secs(2);

/// What was seen of the records last time.
#[derive(Debug, Default)]
pub struct Records {
    seen: BTreeMap<AttachmentId, (String, Phase, Option<Verdict>)>,
    errors: Vec<String>,
}

/// What became of one record since the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new, or its phase or verdict is.
    Seen(Box<Record>),
    /// It is gone.
    Ended(AttachmentId),
}

impl Records {
    /// Logs every record that is new or changed since the last look, then sweeps tombstones, marks and what is
    /// unreadable. Returns what changed.
    pub fn look(&mut self, store: &Store) -> Vec<Change> {
        let mut changes = Vec::new();
        let listing = store.list();
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
                changes.push(Change::Seen(Box::new(record.clone())));
                self.seen.insert(record.attachment.clone(), state);
            }
            dead |= !record.is_live();
        }
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
        self.seen.retain(|attachment, _| {
            let there = listing.records.iter().any(|record| record.attachment == *attachment);
            if !there {
                changes.push(Change::Ended(attachment.clone()));
            }
            there
        });
        changes
    }
}

fn log(record: &Record) {
    let Record { id, pod, attachment, .. } = record;
    let pod = format!("{}/{}", pod.namespace, pod.name);
    let (container, ifname) = (attachment.container(), attachment.ifname());
    match (record.phase, &record.verdict) {
        (Phase::Tombstone, _) => tracing::info!(id, pod, container, ifname, "released"),
        (Phase::Intent, _) => tracing::debug!(id, pod, container, ifname, "being set up"),
        (Phase::Settled, Some(Verdict::Refused { reason: reason @ Reason::SwitchedOff { .. } })) => {
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
mod tests {
    use super::*;
    use crate::test_values::record;

    #[test]
    fn each_change_is_returned_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        store.create().unwrap();
        let (mut records, mut web) = (Records::default(), record("web-1", Verdict::Configured));
        store.write(&web).unwrap();
        assert_eq!(records.look(&store), [Change::Seen(Box::new(web.clone()))]);
        assert_eq!(records.look(&store), []);
        web.verdict = Some(Verdict::refused(Reason::NoRdmaDevice));
        store.write(&web).unwrap();
        assert_eq!(records.look(&store), [Change::Seen(Box::new(web.clone()))]);
        store.remove(&web.attachment).unwrap();
        assert_eq!(records.look(&store), [Change::Ended(web.attachment)]);
        assert_eq!(records.look(&store), []);
    }
}
