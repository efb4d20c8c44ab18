//! Annotated pods: which are not set up, and which have lost something since.

use smc_model::reasons::finding;
use smc_model::{Plan, Verdict};
use smc_state::Phase;

use super::Check;
use crate::facts::{Facts, PodNow, PodState};

pub(super) fn pods(facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    for error in &facts.unreadable {
        checks.push(Check::unknown("records", error));
    }
    let living: Vec<&PodState> = facts.pods.iter().filter(|pod| pod.record.is_live()).collect();
    let set_up =
        living.iter().filter(|pod| pod.record.verdict.as_ref().is_some_and(Verdict::is_set_up)).count();
    let seen = match living.len() {
        0 => "no annotated pod is on record".to_owned(),
        all => format!("{set_up} of {all} annotated pods are set up"),
    };
    checks.push(Check::fine("pods", seen));
    checks.extend(living.into_iter().filter_map(pod));
    checks
}

/// What is wrong with one pod.
fn pod(pod: &PodState) -> Option<Check> {
    let record = &pod.record;
    let name = format!("pod {}/{}", record.pod.namespace, record.pod.name);
    match (&record.verdict, record.phase) {
        (Some(Verdict::Refused { reason }), _) => {
            return Some(Check::problem(&name, reason.entry(), reason.to_string()));
        }
        (None, Phase::Intent) => {
            return Some(Check::unknown(&name, "it is being set up, or whoever did was interrupted"));
        }
        _ => {}
    }
    match pod.now.as_ref()? {
        Err(why) => return Some(Check::unknown(&name, why)),
        Ok(now) => {
            if let Some(lost) = lost(&name, &record.plan, now) {
                return Some(lost);
            }
        }
    }
    if let Some(Verdict::NeedsRestart { listeners }) = &record.verdict {
        let ports = listeners.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Some(Check::problem(&name, &finding::NEEDS_RESTART, ports));
    }
    None
}

fn lost(name: &str, plan: &Plan, now: &PodNow) -> Option<Check> {
    if !now.converts {
        let seen = "its new TCP sockets are not converted any more";
        return Some(Check::problem(name, &finding::CONVERSION_LOST, seen));
    }
    for binding in &plan.bindings {
        let has = now.pnetids.iter().find(|(interface, _)| *interface == binding.interface).map(|(_, id)| id);
        if has != Some(&binding.pnetid) {
            let seen = match has {
                Some(id) => format!("{} has PNETID {id} instead of {}", binding.interface, binding.pnetid),
                None => format!("{} has lost PNETID {}", binding.interface, binding.pnetid),
            };
            return Some(Check::problem(name, &finding::PNETID_LOST, seen));
        }
    }
    None
}
