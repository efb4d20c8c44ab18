//! What would be done to a node, in words.

use std::fmt::Write as _;

use smc_host::HostError;
use smc_model::NodeFacts;

use super::facts::{Failures, facts};
use super::observed::Observed;
use super::plan::{Plan, plan};
use super::step::Step;
use super::{Asked, LastLook, Options, observe};

/// Looks at the node and says what `run` would do to it; does nothing of that.
///
/// # Errors
/// When the node cannot be looked at at all.
pub fn dry_run(options: &Options, asked: &Asked<'_>, mut last: LastLook) -> Result<String, HostError> {
    let seen = observe::observe(options, &asked.switch, &mut last)?;
    let plan = plan(&seen, asked, &last.named);
    let inbound = asked.let_in(&seen).unwrap_or(last.inbound);
    let facts = facts(&seen, asked, &inbound, &options.pin_dir, &Failures::default());
    Ok(words(&seen, &plan, &facts))
}

fn words(seen: &Observed, plan: &Plan, facts: &NodeFacts) -> String {
    let devices: Vec<&str> = seen.devices.iter().map(|device| device.name.as_str()).collect();
    let devices = if devices.is_empty() { "none".to_owned() } else { devices.join(", ") };
    let smc = if seen.smc_loaded { "is loaded" } else { "is not loaded" };
    let mut text = format!("node      Linux {}; RDMA devices: {devices}; smc {smc}\n", seen.release);
    for (number, step) in (1..).zip(&plan.steps) {
        let _ = writeln!(text, "would {number:>3} {step}");
    }
    if plan.steps.iter().any(shows_more) {
        text.push_str("          More steps may follow once these are done.\n");
    } else if plan.steps.is_empty() {
        let well = seen.problems.is_empty() && plan.problems.is_empty() && facts.unfit().is_none();
        let none = match (facts.only_looked_at, well) {
            (true, _) => "there is no RDMA device here that SMC can use, or the switch is off",
            (false, true) => "all is in place",
            (false, false) => "it cannot help what is wrong here",
        };
        let _ = writeln!(text, "would     do nothing: {none}");
    }
    for problem in seen.problems.iter().chain(&plan.problems) {
        let _ = writeln!(text, "problem   {problem}");
    }
    match facts.unfit() {
        None => text.push_str("pods      can use SMC-R as the node is now\n"),
        Some(reason) => {
            let _ = writeln!(text, "pods      stay on TCP as the node is now: {} ({reason})", reason.name());
        }
    }
    text.push_str(
        "Nothing was changed. Pods and the CNI chain are not looked at here: see `smcctl doctor`.\n",
    );
    text
}

/// Whether a step may bring to light what else is due.
fn shows_more(step: &Step) -> bool {
    matches!(step, Step::LoadSmc | Step::AttachConversion { .. } | Step::LoadGuard { .. })
}

#[cfg(test)]
mod tests;
