//! Set one attachment up.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use smc_host::HostError;
use smc_host::netlink::{Connection, Protocol};
use smc_host::netns::Netns;
use smc_host::sysctl::Sysctl;
use smc_model::{NetnsId, Note, Particulars, Plan, Reason, Verdict, Wish};
use smc_state::{AttachmentId, Phase, PodName, RECORD_VERSION, Record, StateError, Store};

use crate::detach::{Detached, end};
use machine::{Live, Machine};
use work::{Stop, Work};

mod machine;
mod work;

/// One attachment to set up.
#[derive(Debug, Clone)]
pub struct Job {
    /// Correlates record, log lines and events.
    pub id: String,
    /// Container id and interface name.
    pub attachment: AttachmentId,
    /// The CNI network's name.
    pub network: String,
    /// The pod.
    pub pod: PodName,
    /// Path of the pod's network namespace.
    pub netns: PathBuf,
    /// What the pod asks for; [`Wish::Disabled`] never comes here.
    pub wish: Wish,
    /// How, as its owner says it.
    pub particulars: Particulars,
}

/// When the work must have ended, and when it began.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// The end.
    pub deadline: Instant,
    /// The beginning, in milliseconds since the epoch.
    pub started_ms: u64,
}

impl Budget {
    fn check(&self, during: impl FnOnce() -> String) -> Result<(), Reason> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(Reason::BudgetExceeded { during: during() }) }
    }
}

/// What came of [`attach`].
#[derive(Debug)]
pub struct Outcome {
    /// The record as it stands now.
    pub record: Record,
    /// Whether anything was changed or newly recorded; `false` when all was in place already.
    pub changed: bool,
}

/// Why an attachment could not be judged, or not be recorded. What this call had set up was taken back.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The namespace cannot be opened.
    #[error("the pod's network namespace cannot be used")]
    Netns(#[source] HostError),
    /// The path names the host's own namespace.
    #[error("{} is the host's own network namespace, not a pod's", path.display())]
    HostNetns {
        /// The path.
        path: PathBuf,
    },
    /// The state directory cannot be used.
    #[error("the state of kube-smc cannot be read or written")]
    State(#[from] StateError),
}

/// Sets one attachment up, or records why not. Run again, it changes nothing and tells the same. A pod that was set up
/// before and is refused now loses its conversion where [`Reason::ends_conversion`] says so. The pod's namespace is
/// visited on the caller's own thread, see [`Netns::visited_from`]: this is for the plugin.
///
/// # Errors
/// When the namespace is gone or is the host's, or the state directory cannot be used; what this call had set up was
/// taken back then.
pub fn attach(store: &Store, boot_id: &str, job: &Job, budget: Budget) -> Result<Outcome, AttachError> {
    let netns = Netns::open(&job.netns).map_err(AttachError::Netns)?;
    let route = Connection::open(Protocol::Route).ok();
    let home = route.as_ref().and_then(|route| Netns::of(route).ok());
    let home = home.map_or_else(Netns::current, Ok).map_err(AttachError::Netns)?;
    refuse_host(&netns, &home, job)?;
    let (id, netns) = (netns.id(), netns.visited_from(home));
    let sysctl = Sysctl::default();
    let live = Live { netns: &netns, sysctl: &sysctl, proc: None, route: Cell::new(route) };
    attach_on(&live, id, store, boot_id, job, budget)
}

/// Like [`attach`], for a pod that may be running programs already, in a process with several threads. `netns` is the
/// pod's namespace, opened once and known to be that pod's: its path may be another pod's by now. `proc` is the host's
/// `/proc`: inside a container the own one has read-only sysctls and shows no process of a pod. What listens on older
/// sockets is told by [`Verdict::NeedsRestart`].
///
/// # Errors
/// As [`attach`].
pub fn repair(
    store: &Store,
    boot_id: &str,
    job: &Job,
    budget: Budget,
    netns: &Netns,
    proc: &Path,
) -> Result<Outcome, AttachError> {
    let home = Netns::current().map_err(AttachError::Netns)?;
    refuse_host(netns, &home, job)?;
    let sysctl = Sysctl::at(proc.join("sys"));
    let live = Live { netns, sysctl: &sysctl, proc: Some(proc), route: Cell::new(None) };
    attach_on(&live, netns.id(), store, boot_id, job, budget)
}

/// Puts on record that a pod cannot be set up, without a look at any namespace: it uses the host's. It lives until
/// [`crate::detach`].
///
/// # Errors
/// When the state directory cannot be used.
pub fn refuse(store: &Store, job: &Job, reason: Reason, budget: Budget) -> Result<Outcome, AttachError> {
    let _lock = store.lock(&job.attachment, budget.deadline)?;
    let (last, _unreadable) = store.read_or_quarantine(&job.attachment)?;
    let verdict = Verdict::refused(reason);
    if let Some(before) =
        last.as_ref().filter(|last| last.is_live() && last.verdict.as_ref() == Some(&verdict))
    {
        return Ok(Outcome { record: before.clone(), changed: false });
    }
    let mut record = new_record(job, None, last.as_ref(), budget);
    settle(&mut record, verdict);
    store.write(&record)?;
    Ok(Outcome { record, changed: true })
}

/// The caller's own namespace, `home`, must not be the pod's.
fn refuse_host(netns: &Netns, home: &Netns, job: &Job) -> Result<(), AttachError> {
    if netns.id() == home.id() {
        return Err(AttachError::HostNetns { path: job.netns.clone() });
    }
    Ok(())
}

fn attach_on<M: Machine>(
    machine: &M,
    netns: NetnsId,
    store: &Store,
    boot_id: &str,
    job: &Job,
    budget: Budget,
) -> Result<Outcome, AttachError> {
    // A mark that is there already speaks of an earlier attachment of this name; one that comes from now on, of this.
    let superseded = store.is_marked_deleted(&job.attachment);
    let _lock = store.lock(&job.attachment, budget.deadline)?;
    if superseded {
        store.unmark_deleted(&job.attachment)?;
    }
    // A record that cannot be read is made anew: what is in place is found by looking.
    let (last, _unreadable) = store.read_or_quarantine(&job.attachment)?;
    if let Some(since) = last.as_ref().filter(|last| is_later_work(last, budget)) {
        return Ok(Outcome { record: since.clone(), changed: false });
    }
    let mut record = new_record(job, Some(netns), last.as_ref(), budget);
    let mut work = Work::new(store, boot_id, job, budget, machine);
    let verdict = match work.run(&mut record) {
        Ok(()) => set_up(machine, &mut record),
        Err(Stop::Refused(reason)) => Verdict::refused(reason),
        Err(Stop::State(error)) => return Err(error.into()),
    };
    let unchanged = last.filter(|before| tells_the_same(before, &record, &verdict));
    let outcome = if let Some(before) = unchanged {
        Outcome { record: before, changed: false }
    } else {
        settle(&mut record, verdict);
        if let Err(error) = store.write(&record) {
            work.take_back(&mut record, true);
            return Err(error.into());
        }
        Outcome { record, changed: true }
    };
    drop(work);
    Ok(unless_deleted(outcome, store, budget))
}

/// Whether this is what somebody made of the attachment since this work began, which was held until its time was up: taking it
/// back for that would undo theirs.
fn is_later_work(last: &Record, budget: Budget) -> bool {
    Instant::now() >= budget.deadline
        && last.phase == Phase::Settled
        && last.started_ms > budget.started_ms
        && last.verdict.as_ref().is_some_and(Verdict::is_set_up)
}

/// The verdict on a pod that is set up, by what its programs listen on.
fn set_up<M: Machine>(machine: &M, record: &mut Record) -> Verdict {
    if !machine.pod_runs() {
        return Verdict::Configured;
    }
    if !record.plan.steps.is_empty() {
        record.repaired_ms = Some(record.started_ms);
    }
    if record.owned.keep_mptcp {
        // A listener for MPTCP has a TCP socket beneath, like one that is older than the conversion.
        let error = "those for MPTCP, which the pod keeps, cannot be told from older ones".to_owned();
        record.plan.notes.push(Note::ListenersUnknown { error });
        return Verdict::Configured;
    }
    match machine.old_listeners() {
        Ok(listeners) if listeners.is_empty() => Verdict::Configured,
        Ok(listeners) => Verdict::NeedsRestart { listeners },
        Err(error) => {
            record.plan.notes.push(Note::ListenersUnknown { error: error.with_cause() });
            Verdict::Configured
        }
    }
}

/// Whether a new record would say nothing that the settled one of an earlier run does not say.
fn tells_the_same(before: &Record, record: &Record, verdict: &Verdict) -> bool {
    // The notes of a pod that is set up are about the run that did it.
    let notes = verdict.is_set_up() || before.plan.notes == record.plan.notes;
    before.phase == Phase::Settled
        && before.verdict.as_ref() == Some(verdict)
        && before.netns_id == record.netns_id
        && before.cookie == record.cookie
        && before.owned == record.owned
        && record.plan.steps.is_empty()
        && notes
}

fn settle(record: &mut Record, verdict: Verdict) {
    if let Some(reason) = verdict.reason() {
        record.seen = reason.to_string();
        reason.remedy().clone_into(&mut record.remedy);
    }
    record.verdict = Some(verdict);
    record.phase = Phase::Settled;
}

/// Ends the attachment at once when its DEL came meanwhile and could not wait.
fn unless_deleted(outcome: Outcome, store: &Store, budget: Budget) -> Outcome {
    let attachment = &outcome.record.attachment;
    if !store.is_marked_deleted(attachment) {
        return outcome;
    }
    // What fails here is left, with the mark or in the tombstone, to the agent's sweep.
    let ended = end(store, attachment, budget.deadline, Duration::ZERO, &mut Detached::default());
    match ended.and_then(|()| store.read(attachment)) {
        Ok(Some(record)) => Outcome { record, changed: true },
        _ => outcome,
    }
}

/// The record of a new run. What the last one left in place stays ours, also when it ended in a tombstone; what is
/// known of its namespace only if this is still the same.
fn new_record(job: &Job, netns: Option<NetnsId>, last: Option<&Record>, budget: Budget) -> Record {
    let same_netns = last.filter(|last| netns.is_some() && last.netns_id == netns);
    let mut owned = last.map(|last| last.owned.clone()).unwrap_or_default();
    if same_netns.is_none() {
        owned = owned.in_host();
    }
    owned.peers.clone_from(&job.particulars.peers);
    owned.keep_mptcp = job.particulars.keep_mptcp;
    Record {
        version: RECORD_VERSION,
        phase: Phase::Intent,
        id: job.id.clone(),
        network: job.network.clone(),
        attachment: job.attachment.clone(),
        pod: job.pod.clone(),
        netns: job.netns.clone(),
        netns_id: netns,
        cookie: same_netns.and_then(|last| last.cookie),
        verdict: None,
        seen: String::new(),
        remedy: String::new(),
        plan: Plan::default(),
        owned,
        timings: Vec::new(),
        started_ms: budget.started_ms,
        repaired_ms: last.and_then(|last| last.repaired_ms),
        unknown: last.map(|last| last.unknown.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
