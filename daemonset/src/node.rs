//! Prepare the node: everything that pods need once per node, made or adopted, and published as facts.
//!
//! *Observe → plan → apply*, until nothing is due: [`observe`] gives a value, [`plan`] what it lacks, [`apply`] takes one step,
//! and [`facts`] are what pods are told. `smc-agent run --dry-run` prints the plan and takes no step.
//!
//! A node without an RDMA device that its SMC could use, and one that is switched off, is only looked at, and nothing made there, unless
//! something of ours is there to be kept. What the agent made is in `made.json`; `uninstall` undoes exactly that. A PNETID that somebody else has
//! too stays, since the kernel takes it from everybody at once; that is told. What others take from the node between two looks (UEID, PNETID,
//! program, guard, anchor link) is a *loss*: logged with its reason, counted, in `/status`.

pub mod anchor;
mod apply;
pub mod bpf;

pub mod dry_run;
mod facts;
mod losses;
mod modules;
mod observe;
mod observed;
mod plan;
pub mod published;
mod standing;
mod step;
#[cfg(test)]
mod test_nodes;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use smc_host::HostError;
use smc_model::{Conversion, Inbound, NodeFacts, Reason, Switch, SynOption, Ueid};
use smc_state::{BoundPort, Made, Store};

use crate::node::bpf::{Pinned, PinnedGuard};
use crate::settings::Wishes;
use apply::{Effect, Failed};
use facts::Failures;
use losses::LookedAt;
use observed::{GuardPins, Observed};
use step::Step;

/// How often a node is looked at and worked on before what is still due is left to the next look. SMC, its ports and what
/// converts sockets, the guard, and what its maps say come one after the other.
const ROUNDS: usize = 6;

/// Where things are on the node, and what to make.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the BPF program and its map are pinned.
    pub pin_dir: PathBuf,
    /// The host's `/proc`.
    pub proc: PathBuf,
    /// The enterprise ids that the node must have.
    pub ueids: Vec<Ueid>,
}

/// What was found in place at the last look, so that the next one need not do again what is dear: load BPF programs to compare
/// them.
#[derive(Debug, Default)]
pub struct LastLook {
    /// Something was made here, by this agent or an earlier one, and is kept from then on.
    standing: bool,
    /// The pinned program that is this build's, with the number of IPPROTO_SMC.
    conversion: Option<(Pinned, u16)>,
    /// What the kernel's SYNs offer SMC by, with the conversion by which that was seen.
    offer: Option<(Conversion, SynOption)>,
    /// The pinned guard that is this build's.
    guard: Option<PinnedGuard>,
    /// The module `smc_diag` need not be tried again.
    tried_smc_diag: bool,
    /// Who may speak SMC with the node's pods, as far as anybody said.
    inbound: Inbound,
    /// The PNETIDs that ports have from us.
    named: BTreeSet<BoundPort>,
}

/// What is wanted of the node.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// Whether pods are to be accelerated.
    pub switch: Switch,
    /// Who may speak SMC with them; `None` while nobody knows, which leaves it as it is.
    pub inbound: Option<Inbound>,
    /// Whether a kernel whose SMC has known defects is refused.
    pub refuse_defects: bool,
    /// The addresses of the cluster's nodes, where they are known.
    pub node_addresses: Option<&'a BTreeSet<IpAddr>>,
    /// The enterprise ids that the node must have.
    pub ueids: &'a [Ueid],
}

impl<'a> Asked<'a> {
    /// By what is wished and set.
    pub fn new(wishes: Wishes, node_addresses: Option<&'a BTreeSet<IpAddr>>, options: &'a Options) -> Self {
        let Wishes { switch, inbound, refuse_defects } = wishes;
        Self { switch, inbound, refuse_defects, node_addresses, ueids: &options.ueids }
    }

    /// Known defects for which pods of this node are refused.
    fn refused_defects(&self, seen: &Observed) -> Vec<String> {
        if self.refuse_defects { seen.open_defects.clone() } else { Vec::new() }
    }

    /// Who may speak SMC with the node's pods; `None` while nobody knows. Where the kernel is refused nobody may: listeners that
    /// were made before stay open to whom SMC's handshake code answers.
    fn let_in(&self, seen: &Observed) -> Option<Inbound> {
        if self.refused_defects(seen).is_empty() {
            return self.inbound.clone();
        }
        Some(Inbound::Nobody { why: "this kernel's SMC has known defects".to_owned() })
    }
}

impl LastLook {
    /// Before the first look, at a node where an earlier agent or the plugin may have left something.
    pub fn at_start(store: &Store, boot_id: &str, pin_dir: &Path) -> Self {
        let before = store.node_facts(boot_id).ok();
        let inbound = before.map(|facts| facts.inbound).unwrap_or_default();
        let named = store.read_document::<Made>().ok().flatten().unwrap_or_default().ports;
        Self { standing: standing::is_standing(store, pin_dir), inbound, named, ..Self::default() }
    }
}

/// A prepared node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The facts to publish.
    pub facts: NodeFacts,
    /// The RDMA devices, whether or not SMC knows them.
    pub devices: Vec<String>,
    /// What could not be made, in words for a person.
    pub problems: Vec<String>,
    /// What was made or found, for the log.
    pub notes: Vec<String>,
    /// What others had taken since the last look, and was put back: nothing at the first look.
    pub losses: Vec<Reason>,
    /// Ports to which others gave another PNETID since the last look.
    pub renamed: Vec<Reason>,
    /// What was made that others could have made as well.
    pub made: Made,
    /// Whether the program that converts sockets was attached just now: its map may be empty.
    pub map_is_new: bool,
    /// Whether the guard's program or one of its maps was made just now: pods may have another.
    pub guard_is_new: bool,
}

/// Looks at the node and makes what is missing, unless there is nothing to be prepared for and nothing of ours to be kept. Run
/// again, it makes only what was lost; with the same `last` it is cheap while nothing changed. What others made (PNETIDs,
/// enterprise ids) is adopted. `before` is the node as the last look left it.
///
/// # Errors
/// Only when not even the kernel's release can be read; everything else is in [`Prepared::problems`] and in the
/// facts, so that pods learn why they stay on TCP.
pub async fn prepare(
    options: &Options,
    asked: Asked<'_>,
    last: &mut LastLook,
    before: Option<&NodeFacts>,
) -> Result<Prepared, HostError> {
    let mut seen = observe::observe(options, &asked.switch, last)?;
    let found = facts::facts(&seen, &asked, &last.inbound, &options.pin_dir, &Failures::default());
    let found_rules = rules(&seen);
    let mut work = Work::default();
    for round in 1.. {
        if seen.rest.is_some() {
            // From then on something may be ours.
            last.standing = true;
        }
        work.unseen(&seen.problems);
        let mut changed = false;
        for step in work.due(plan::plan(&seen, &asked, &last.named)) {
            let result = apply::apply(&step, options, last).await;
            changed |= work.took(step, result, &mut last.named);
        }
        if !changed {
            break;
        }
        seen = observe::observe(options, &asked.switch, last)?;
        if round == ROUNDS {
            work.unseen(&seen.problems);
            work.leave(&plan::plan(&seen, &asked, &last.named));
            break;
        }
    }
    if let (Some(inbound), Some(_)) = (asked.let_in(&seen), &seen.rest) {
        last.inbound = inbound;
    }
    let now = facts::facts(&seen, &asked, &last.inbound, &options.pin_dir, &work.failures);
    let look = before.map(|before| LookedAt {
        before,
        found: &found,
        found_rules: found_rules.as_ref(),
        done: &work.done,
        now: &now,
    });
    let losses = look.map(losses::losses).unwrap_or_default();
    let renamed = look.map(losses::renamed_ports).unwrap_or_default();
    let Work { unseen, undone, failed, notes, made, map_is_new, guard_is_new, .. } = work;
    let problems = unseen.into_iter().chain(undone).chain(failed).collect();
    let devices = seen.devices.into_iter().map(|device| device.name).collect();
    Ok(Prepared { facts: now, devices, problems, notes, losses, renamed, made, map_is_new, guard_is_new })
}

/// Who may speak SMC with the node's pods, as the guard's map says.
fn rules(seen: &Observed) -> Option<smc_model::PeerRules> {
    match &seen.rest.as_ref()?.guard {
        GuardPins::There { maps, .. } => maps.rules.clone().ok(),
        GuardPins::Missing => None,
    }
}

/// What was done at one look.
#[derive(Default)]
struct Work {
    done: Vec<Step>,
    failures: Failures,
    /// What could not be looked at, in words for a person, like the two that follow.
    unseen: BTreeSet<String>,
    /// What is due and was not even tried.
    undone: Vec<String>,
    /// Steps that were tried.
    failed: Vec<String>,
    notes: Vec<String>,
    made: Made,
    map_is_new: bool,
    guard_is_new: bool,
}

impl Work {
    /// Also what only an earlier look at the node met is told.
    fn unseen(&mut self, problems: &[String]) {
        self.unseen.extend(problems.iter().cloned());
    }

    /// Leaves what is still due to the next look.
    fn leave(&mut self, plan: &plan::Plan) {
        self.undone.clone_from(&plan.problems);
        let due = plan.steps.iter().filter(|step| !self.failures.has(step));
        let due: Vec<String> = due.map(ToString::to_string).collect();
        if !due.is_empty() {
            self.undone.push(format!("still due after {ROUNDS} rounds: {}", due.join("; ")));
        }
    }

    fn fail(&mut self, step: Step, failed: Failed) {
        let Failed { why, remedy } = failed;
        let attempt = if why.starts_with("cannot ") {
            why.clone()
        } else {
            format!("cannot {}: {why}", step.attempt())
        };
        self.failed.push(remedy.map_or(attempt.clone(), |remedy| format!("{attempt}; {remedy}")));
        self.failures.0.push((step, why));
    }

    /// The steps of a plan that are to be taken: each once at a look, whatever comes of it.
    fn due(&mut self, plan: plan::Plan) -> Vec<Step> {
        let plan::Plan { steps, problems } = plan;
        self.undone = problems;
        let mut due = Vec::new();
        for step in steps.into_iter().filter(|step| !self.failures.has(step)).collect::<Vec<_>>() {
            if self.done.contains(&step) {
                let why = "it was done, but is still missing (does something else undo it?)".to_owned();
                self.fail(step, why.into());
            } else {
                due.push(step);
            }
        }
        due
    }

    /// What came of a step; returns whether it changed anything. `named` are the PNETIDs that ports have from us.
    fn took(&mut self, step: Step, result: Result<Effect, Failed>, named: &mut BTreeSet<BoundPort>) -> bool {
        match result {
            Ok(effect) => {
                named.extend(effect.made.ports.iter().cloned());
                self.made.extend(effect.made);
                self.notes.extend(effect.note);
                self.map_is_new |= effect.map_is_new;
                self.guard_is_new |= effect.guard_is_new;
                self.done.push(step);
                true
            }
            Err(failed) => {
                self.fail(step, failed);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
