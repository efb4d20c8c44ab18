//! Set one attachment up.

use std::path::PathBuf;
use std::time::Instant;

use smc_host::apply;
use smc_host::netns::{Inside, Netns, protocol_of_a_new_tcp_socket};
use smc_host::observe::{self, Host};
use smc_host::{HostError, route};
use smc_model::{NodeFacts, Owned, Plan, PodFacts, Reason, Step, Verdict, Wish, decide};
use smc_state::{AttachmentId, Phase, PodName, RECORD_VERSION, Record, StateError, StepTiming, Store};

/// How often a plan is made and applied before what is read back must agree: a second time, because an address
/// that a pod left behind may be taken away by that pod's own DEL in between.
const ROUNDS: usize = 2;

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

/// Why an attachment could not even be judged. Nothing was changed.
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

/// Sets one attachment up, or records why not. Run again, it changes nothing and tells the same.
///
/// # Errors
/// When the namespace is gone or is the host's, or the state directory cannot be used; nothing was changed then.
pub fn attach(store: &Store, boot_id: &str, job: &Job, budget: Budget) -> Result<Outcome, AttachError> {
    let netns = Netns::open(&job.netns).map_err(AttachError::Netns)?;
    if netns.id() == Netns::current().map_err(AttachError::Netns)?.id() {
        return Err(AttachError::HostNetns { path: job.netns.clone() });
    }
    let _lock = store.lock(&job.attachment, budget.deadline)?;
    // A record that cannot be read is made anew: what is in place is found by looking.
    let before = store.read(&job.attachment).ok().flatten().filter(Record::is_live);
    let mut record = new_record(job, &netns, before.as_ref(), budget);
    let mut work = Work { store, boot_id, job, budget, netns: &netns, clock: Instant::now() };
    let verdict = match work.run(&mut record) {
        Ok(()) => Verdict::Configured,
        Err(Stop::Refused(reason)) => Verdict::refused(reason),
        Err(Stop::State(error)) => return Err(error.into()),
    };
    let same = |before: &Record| before.phase == Phase::Settled && before.verdict.as_ref() == Some(&verdict);
    if let Some(before) = before.filter(|before| same(before) && record.plan.steps.is_empty()) {
        return Ok(Outcome { record: before, changed: false });
    }
    if let Some(reason) = verdict.reason() {
        record.seen = reason.to_string();
        reason.remedy().clone_into(&mut record.remedy);
    }
    record.verdict = Some(verdict);
    record.phase = Phase::Settled;
    store.write(&record)?;
    Ok(Outcome { record, changed: true })
}

fn new_record(job: &Job, netns: &Netns, before: Option<&Record>, budget: Budget) -> Record {
    Record {
        version: RECORD_VERSION,
        phase: Phase::Intent,
        id: job.id.clone(),
        network: job.network.clone(),
        attachment: job.attachment.clone(),
        pod: job.pod.clone(),
        netns: job.netns.clone(),
        netns_id: Some(netns.id()),
        cookie: None,
        verdict: None,
        seen: String::new(),
        remedy: String::new(),
        plan: Plan::default(),
        owned: before.map(|before| before.owned.clone()).unwrap_or_default(),
        timings: Vec::new(),
        started_ms: budget.started_ms,
        unknown: before.map(|before| before.unknown.clone()).unwrap_or_default(),
    }
}

/// Why the work on one attachment ends early.
enum Stop {
    Refused(Reason),
    State(StateError),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl From<HostError> for Stop {
    fn from(error: HostError) -> Self {
        Self::Refused(Reason::CannotObserve { error: error.with_cause() })
    }
}

impl From<StateError> for Stop {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

struct Work<'a> {
    store: &'a Store,
    boot_id: &'a str,
    job: &'a Job,
    budget: Budget,
    netns: &'a Netns,
    clock: Instant,
}

/// What was changed so far, and how it was before.
#[derive(Default)]
struct Changes {
    done: Vec<Step>,
    before: Option<PodFacts>,
}

impl Work<'_> {
    /// Brings the attachment to where it should be, or leaves it as it was.
    fn run(&mut self, record: &mut Record) -> Result<(), Stop> {
        if let Wish::Invalid(value) = &self.job.wish {
            return Err(Reason::AnnotationInvalid { value: value.clone() }.into());
        }
        let published = self.store.node_facts(self.boot_id)?;
        let mut host = Host::connect()?
            .ok_or_else(|| Reason::SmcNotAvailable { kernel: published.kernel.release.clone() })?;
        let mut inside = self.netns.connect()?;
        record.cookie = Some(inside.cookie);
        let original = record.owned.clone();
        let mut changes = Changes::default();
        let result = self.converge(record, &published, &mut host, &mut inside, &mut changes);
        if result.is_err() && self.take_back(&changes, &mut host, &mut inside) {
            record.owned = original;
        }
        result
    }

    /// Observes, decides and applies until what is observed needs no step. `record` and `changes` tell at every
    /// moment what may have been changed.
    fn converge(
        &mut self,
        record: &mut Record,
        published: &NodeFacts,
        host: &mut Host,
        inside: &mut Inside,
        changes: &mut Changes,
    ) -> Result<(), Stop> {
        let original = record.owned.clone();
        for round in 0..=ROUNDS {
            let (node, pod) = self.observe(host, inside, published, &original)?;
            self.lap(record, if round == 0 { "observe" } else { "verify" });
            let plan = decide(&node, &pod)?;
            record.owned = original.clone().after(&plan.steps, &pod, &node.conversion, inside.cookie);
            if plan.steps.is_empty() {
                if round == 0 {
                    record.plan = plan;
                }
                return Ok(());
            }
            if round == ROUNDS {
                let missing = plan.steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return Err(Reason::ReadBackFailed { missing }.into());
            }
            changes.before.get_or_insert(pod);
            record.plan = merge(std::mem::take(&mut record.plan), plan.clone());
            self.store.write(record)?;
            self.apply(&plan.steps, host, inside, changes)?;
            self.lap(record, "apply");
            inside.protocol = self.netns.run(protocol_of_a_new_tcp_socket)??;
        }
        Ok(())
    }

    fn observe(
        &self,
        host: &mut Host,
        inside: &mut Inside,
        published: &NodeFacts,
        owned: &Owned,
    ) -> Result<(NodeFacts, PodFacts), Stop> {
        self.budget.check(|| "looking at the node and the pod".to_owned())?;
        let addresses = route::addresses(&mut host.route)?;
        let mut node = observe::refresh(host, published.clone(), &addresses)?;
        if node.ports.len() > 1 {
            self.count_pods(&mut node);
        }
        let primary = self.job.attachment.ifname();
        let pod = observe::pod(self.netns, inside, host, &addresses, &node, primary, owned)?;
        Ok((node, pod))
    }

    /// Spreads pods over ports: how many living records are bound to each.
    fn count_pods(&self, node: &mut NodeFacts) {
        let records = self.store.list().records;
        let others =
            records.iter().filter(|record| record.is_live() && record.attachment != self.job.attachment);
        for record in others {
            if let Some(binding) = record.plan.bindings.first() {
                let port =
                    node.ports.iter_mut().find(|p| p.device == binding.device && p.port == binding.port);
                if let Some(port) = port {
                    port.pods += 1;
                }
            }
        }
    }

    /// Takes the steps in order and notes each before it is taken.
    fn apply(
        &self,
        steps: &[Step],
        host: &mut Host,
        inside: &mut Inside,
        changes: &mut Changes,
    ) -> Result<(), Stop> {
        let _addresses = self.store.lock_addresses(self.budget.deadline)?;
        for step in steps {
            self.budget.check(|| step.to_string())?;
            changes.done.push(step.clone());
            apply::step(step, host, self.netns, inside).map_err(|error| refused_step(step, &error))?;
        }
        Ok(())
    }

    /// Undoes the changes, last first, and says whether all could be undone. Addresses that a living attachment
    /// owns too stay: they are that one's.
    fn take_back(&self, changes: &Changes, host: &mut Host, inside: &mut Inside) -> bool {
        let Some(before) = &changes.before else { return true };
        let Ok(others) = self.store.addresses_of_others(&self.job.attachment) else { return false };
        let mut clean = true;
        for step in changes.done.iter().rev() {
            let shared = match step {
                Step::AnchorAddress { address, .. } | Step::Guard { address } => others.contains(address),
                _ => false,
            };
            clean &= shared || apply::undo(step, host, self.netns, inside).is_ok();
        }
        clean & apply::restore_pnetids(before, host, inside).is_ok()
    }

    fn lap(&mut self, record: &mut Record, phase: &str) {
        let us = u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX);
        record.timings.push(StepTiming { phase: phase.to_owned(), us });
        self.clock = Instant::now();
    }
}

/// A later round's steps and notes after an earlier one's; the bindings are the later one's.
fn merge(earlier: Plan, later: Plan) -> Plan {
    let mut plan = later;
    plan.steps.splice(0..0, earlier.steps);
    plan.notes.splice(0..0, earlier.notes);
    plan
}

fn refused_step(step: &Step, error: &HostError) -> Reason {
    /// ENOENT from nftables: no such table or set.
    const ENOENT: i32 = 2;
    match step {
        Step::Guard { .. } if error.errno() == Some(ENOENT) => {
            Reason::SameNodeGuardMissing { why: error.with_cause() }
        }
        _ => Reason::StepFailed { step: step.to_string(), error: error.with_cause() },
    }
}

#[cfg(test)]
mod tests;
