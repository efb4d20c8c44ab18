//! Annotated pods: which are not set up, and which have lost something since.

use smc_model::reasons::{self, finding};
use smc_model::{Failures, LiveVerdict, NodeFacts, Plan, Reason, Verdict, standing_cause};
use smc_state::{Phase, Record};

use smc_surfaces::facts::{Facts, PodNow, PodState};
use smc_surfaces::smcctl::Check;

/// `told` are the names of what is wrong with the node.
pub(super) fn pods(facts: &Facts, told: &[&str]) -> Vec<Check> {
    let mut checks = Vec::new();
    for error in &facts.unreadable {
        checks.push(Check::unknown("records", error));
    }
    let living: Vec<&PodState> = facts.pods.iter().filter(|pod| pod.record.is_live()).collect();
    let set_up =
        living.iter().filter(|pod| pod.record.verdict.as_ref().is_some_and(Verdict::is_set_up)).count();
    let seen = match living.len() {
        0 => "no annotated pod is on record".to_owned(),
        1 if set_up == 1 => "the one annotated pod is set up".to_owned(),
        1 => "the one annotated pod is not set up".to_owned(),
        all => format!("{set_up} of {all} annotated pods are set up"),
    };
    checks.push(Check::fine("pods", seen));
    let node = facts.node();
    // Without an agent nobody judges traffic any more.
    let judged = facts.agent.is_ok();
    checks.extend(living.into_iter().filter_map(|living| pod(living, node.as_ref(), told, judged)));
    checks
}

/// What is wrong with one pod.
fn pod(pod: &PodState, node: Option<&NodeFacts>, told: &[&str], judged: bool) -> Option<Check> {
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
            let wrong = lost(record, now).or_else(|| standing(node, &record.plan, now, told));
            if let Some(reason) = wrong {
                return Some(Check::problem(&name, reason.entry(), reason.to_string()));
            }
        }
    }
    if let Some(Verdict::NeedsRestart { listeners }) = &record.verdict {
        let ports = listeners.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Some(Check::problem(&name, &finding::NEEDS_RESTART, ports));
    }
    degraded(&name, &pod.judged.as_ref().filter(|_| judged)?.live, told)
}

/// What the agent sees of the pod's traffic.
fn degraded(name: &str, live: &LiveVerdict, told: &[&str]) -> Option<Check> {
    let entry = reasons::by_name(live.reason()?).filter(|entry| !told.contains(&entry.name))?;
    let LiveVerdict::Degraded { cause, failures } = live else { return None };
    let first = failures.first().map(|Failures { count, failure, diagnosis }| match diagnosis {
        Some(reason) => format!("{reason}; {count} × {failure}"),
        None => format!("{count} × {failure}"),
    });
    let seen = cause.as_ref().map(ToString::to_string).or(first).unwrap_or_default();
    Some(Check::problem(name, entry, format!("judged degraded by the agent: {seen}")))
}

/// What is missing of the pod's set-up.
fn lost(record: &Record, now: &PodNow) -> Option<Reason> {
    let pnetids = now.pnetids.iter().cloned().collect();
    let mut lost = smc_model::lost(&record.plan, now.converts, &pnetids);
    if record.owned.guard_pins.is_some() {
        lost.extend(now.unguarded.iter().map(|interface| Reason::SameNodeGuardMissing {
            why: format!("its program is not on the pod's interface {interface}"),
        }));
    }
    // Without conversion nothing else matters.
    let conversion = lost.iter().position(|reason| *reason == Reason::ConversionLost);
    if lost.is_empty() { None } else { Some(lost.swap_remove(conversion.unwrap_or(0))) }
}

/// What is wrong with the ports that serve the pod, unless the node's own lines told it.
fn standing(node: Option<&NodeFacts>, plan: &Plan, now: &PodNow, told: &[&str]) -> Option<Reason> {
    let node = node.filter(|node| node.obstacle().is_none())?;
    let addresses = now.addresses.iter().map(|net| net.address()).collect();
    standing_cause(plan, node, &addresses).filter(|cause| !told.contains(&cause.name()))
}
