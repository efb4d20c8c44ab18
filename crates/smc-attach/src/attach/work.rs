//! Observe, decide, apply, read back; and all of it backwards when it fails.

use std::sync::Arc;
use std::time::Instant;

use smc_host::HostError;
use smc_model::{
    Guard, NetnsCookie, NodeFacts, Note, Owned, Plan, PodFacts, RdmaPort, Reason, Step, Switch, Verdict,
    Wish, decide,
};
use smc_state::{AttachmentId, Lock, Record, RecordCache, StateError, StepTiming, Store};

use super::machine::{Entered, Machine};
use super::{Budget, Job};

mod back;

/// How often a plan is made and applied before what is read back must agree: a second time, because an address
/// that a pod left behind may be taken away by that pod's own DEL in between.
const ROUNDS: usize = 2;

/// Why the work on one attachment ends early.
pub(super) enum Stop {
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

pub(super) struct Work<'a, M: Machine> {
    store: &'a Store,
    boot_id: &'a str,
    job: &'a Job,
    budget: Budget,
    machine: &'a M,
    entered: Option<M::Entered>,
    changes: Changes,
    /// Held from taking an address back until the record says so.
    addresses: Option<Lock>,
    clock: Instant,
}

/// What was changed so far, and how it was before.
#[derive(Default)]
struct Changes {
    done: Vec<Step>,
    before: Option<PodFacts>,
    /// What was ours before the first change, by the record and by what was found in place.
    owned: Option<Owned>,
}

impl<'a, M: Machine> Work<'a, M> {
    pub(super) fn new(
        store: &'a Store,
        boot_id: &'a str,
        job: &'a Job,
        budget: Budget,
        machine: &'a M,
    ) -> Self {
        let changes = Changes::default();
        let clock = Instant::now();
        Self { store, boot_id, job, budget, machine, entered: None, changes, addresses: None, clock }
    }

    /// Brings the attachment to where it should be, or leaves it as it was, but for a conversion that the refusal
    /// ends.
    pub(super) fn run(&mut self, record: &mut Record) -> Result<(), Stop> {
        let result = self.set_up(record);
        if let Err(stop) = &result {
            let ends = matches!(stop, Stop::Refused(reason) if reason.ends_conversion());
            self.take_back(record, !ends);
        }
        if let Err(Stop::Refused(reason)) = &result {
            self.refuse_converted(record, reason);
        }
        result
    }

    fn set_up(&mut self, record: &mut Record) -> Result<(), Stop> {
        match &self.job.wish {
            Wish::Invalid(value) => {
                return Err(Reason::AnnotationInvalid { key: None, value: value.clone() }.into());
            }
            Wish::InvalidParticular { key, value } => {
                let (key, value) = (Some(key.clone()), value.clone());
                return Err(Reason::AnnotationInvalid { key, value }.into());
            }
            Wish::Misspelt { key } => return Err(Reason::AnnotationMisspelt { key: key.clone() }.into()),
            Wish::InvalidPeers { value, why } => {
                let (value, why) = (value.clone(), why.clone());
                return Err(Reason::InboundPeersInvalid { value, why }.into());
            }
            Wish::Limited { key, accepted: false } => {
                return Err(Reason::BandwidthLimited { key: key.clone() }.into());
            }
            Wish::Enabled | Wish::Limited { accepted: true, .. } | Wish::Disabled => {}
        }
        let published = self.store.node_facts(self.boot_id)?;
        if let Switch::Off { why } = &published.switch {
            return Err(Reason::SwitchedOff { why: why.clone() }.into());
        }
        let mut entered = self.machine.enter(&published)?.ok_or_else(|| published.without_smc())?;
        if let Some(reason) = published.refuses(&self.job.particulars) {
            return Err(reason.into());
        }
        self.forget_other_namespace(record, entered.cookie());
        let result = self.converge(record, &published, &mut entered);
        self.entered = Some(entered);
        if let (Ok(()), Wish::Limited { key, .. }) = (&result, &self.job.wish) {
            let note = Note::NotLimited { key: key.clone() };
            if !record.plan.notes.contains(&note) {
                record.plan.notes.push(note);
            }
        }
        result
    }

    /// A namespace of the same name as an earlier one is another one all the same: its sysctl is not of our making,
    /// and the earlier one's cookie is never used again.
    fn forget_other_namespace(&self, record: &mut Record, cookie: Option<NetnsCookie>) {
        if record.cookie != cookie {
            record.owned = std::mem::take(&mut record.owned).in_host();
        }
        let converted = record.owned.converted.take_if(|(_, converted)| Some(*converted) != cookie);
        if converted.is_some() {
            // Nothing is lost where this fails: nobody will ever have that cookie.
            let _ = self.machine.unconvert(&Owned { converted, ..Owned::default() });
        }
        record.cookie = cookie;
    }

    /// Observes, decides and applies until what is observed needs no step. `record` and `self.changes` tell at every
    /// moment what may have been changed.
    fn converge(
        &mut self,
        record: &mut Record,
        published: &NodeFacts,
        entered: &mut M::Entered,
    ) -> Result<(), Stop> {
        let cookie = entered.cookie();
        let (mut node, mut pod) = entered.observe(published, self.job.attachment.ifname(), &record.owned)?;
        if node.ports.len() > 1 {
            count_pods(&mut node.ports, &self.store.list().records, &self.job.attachment);
        }
        self.lap(record, "observe");
        for round in 0..=ROUNDS {
            self.budget.check(|| "looking at the node and the pod".to_owned())?;
            if round > 0 {
                // What earlier rounds did is ours, too.
                pod = entered.observe_again(&node, pod, &record.owned)?;
                self.lap(record, "verify");
            }
            record.owned = std::mem::take(&mut record.owned).after(&[], &pod, &node, cookie);
            self.changes.owned.get_or_insert_with(|| record.owned.clone());
            let plan = decide(&node, &pod)?;
            if plan.steps.is_empty() {
                if round == 0 {
                    record.plan = plan;
                }
                self.release_former(record, &pod);
                return Ok(());
            }
            if round == ROUNDS {
                let missing = plan.steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return Err(Reason::ReadBackFailed { missing }.into());
            }
            self.check_rules_are_its_own(&pod)?;
            record.owned = std::mem::take(&mut record.owned).after(&plan.steps, &pod, &node, cookie);
            self.changes.before.get_or_insert_with(|| pod.clone());
            record.plan = merge(std::mem::take(&mut record.plan), plan.clone());
            self.store.write(record)?;
            let filters = pod.peers.is_some() || !node.inbound.is_any();
            match self.apply(&plan.steps, filters, entered) {
                Err(Stop::Refused(why)) if self.can_do_without_guard(&node, &pod) => {
                    Self::give_up_guard(&plan.steps, entered);
                    record.plan.notes.push(Note::NotFiltered { error: why.to_string() });
                    node.guard_pins = None;
                }
                applied => applied?,
            }
            self.lap(record, "apply");
        }
        Ok(())
    }

    /// Takes the steps in order and notes each before it is taken. `filters` says that not everybody may speak SMC with the pod.
    fn apply(&mut self, steps: &[Step], filters: bool, entered: &mut M::Entered) -> Result<(), Stop> {
        let _addresses = self.store.lock_addresses(self.budget.deadline).map_err(|error| match error {
            StateError::Locked { .. } => Stop::Refused(Reason::BudgetExceeded {
                during: "waiting for the host's addresses".to_owned(),
            }),
            other => Stop::State(other),
        })?;
        for step in steps {
            self.budget.check(|| step.to_string())?;
            self.changes.done.push(step.clone());
            entered.step(step).map_err(|error| refused_step(step, &error, filters))?;
        }
        Ok(())
    }

    /// A pod with NET_ADMIN gives itself any address, and must not say who may speak SMC with another's pod.
    fn check_rules_are_its_own(&mut self, pod: &PodFacts) -> Result<(), Stop> {
        if pod.peers.is_none() {
            return Ok(());
        }
        let others = self.store.addresses_of_others(&self.job.attachment, &RecordCache::default())?;
        match pod.addresses_to_guard().intersection(&others).next() {
            Some(address) => {
                let why = format!("its address {address} is another pod's as well");
                Err(Reason::PeerFilterMissing { why }.into())
            }
            None => Ok(()),
        }
    }

    /// Whether it is the guard that could not be had, on a node that needs none, for a pod that anybody may speak SMC with.
    fn can_do_without_guard(&self, node: &NodeFacts, pod: &PodFacts) -> bool {
        matches!(self.changes.done.last(), Some(Step::Guard { .. }))
            && node.guard == Guard::NotNeeded
            && node.inbound.is_any()
            && pod.peers.is_none()
            && Instant::now() < self.budget.deadline
    }

    /// The addresses go into the maps all the same, where they take nothing from anybody: so the record is true, and whatever looks
    /// at it finds what it says.
    fn give_up_guard(steps: &[Step], entered: &mut M::Entered) {
        for step in steps {
            if let Step::Guard { address, also, pins, peers, .. } = step {
                let (also, pins, peers) = (also.clone(), pins.clone(), peers.clone());
                let in_maps = Step::Guard { address: *address, interface: None, also, pins, peers };
                // What fails is put in by the agent.
                let _ = entered.step(&in_maps);
            }
        }
    }

    fn lap(&mut self, record: &mut Record, phase: &str) {
        let us = u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX);
        record.timings.push(StepTiming { phase: phase.to_owned(), us });
        self.clock = Instant::now();
    }
}

/// Spreads pods over ports: how many other pods that are set up are bound to each. Counted anew: what the agent
/// published is older.
fn count_pods(ports: &mut [RdmaPort], records: &[Arc<Record>], own: &AttachmentId) {
    for port in &mut *ports {
        port.pods = 0;
    }
    let others = records.iter().filter(|record| {
        record.is_live()
            && record.attachment != *own
            && record.verdict.as_ref().is_some_and(Verdict::is_set_up)
    });
    for binding in others.filter_map(|record| record.plan.bindings.first()) {
        let mut bound = ports.iter_mut().filter(|p| p.device == binding.device && p.port == binding.port);
        if let Some(port) = bound.next() {
            port.pods += 1;
        }
    }
}

/// A later round's steps and notes after an earlier one's; the bindings are the later one's.
fn merge(earlier: Plan, later: Plan) -> Plan {
    let mut plan = later;
    plan.steps.splice(0..0, earlier.steps);
    plan.notes.splice(0..0, earlier.notes);
    plan
}

/// `filters` says that not everybody may speak SMC with the pod.
fn refused_step(step: &Step, error: &HostError, filters: bool) -> Reason {
    /// ENOENT: nothing is pinned.
    const ENOENT: i32 = 2;
    match step {
        Step::Guard { .. } if error.errno() == Some(ENOENT) => {
            Reason::SameNodeGuardMissing { why: error.with_cause() }
        }
        Step::Guard { .. } if filters => Reason::PeerFilterMissing { why: error.with_cause() },
        _ => Reason::StepFailed { step: step.to_string(), error: error.with_cause() },
    }
}

#[cfg(test)]
mod tests;
