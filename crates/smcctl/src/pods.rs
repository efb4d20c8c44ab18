//! `smcctl pods`: every annotated pod, and what its connections became.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use smc_model::reasons;
use smc_model::{LiveVerdict, NodeFacts, PodTraffic, Reason, SideCounters, Switch, Verdict, standing_cause};
use smc_state::{LivePod, Record};
use smc_surfaces::facts::{PodNow, PodState};
use smc_surfaces::smcctl::{PodRow, Pods, TopReason};

use crate::output::{Outcome, Paint, Status, Table};

/// An annotated pod, and what follows from what was seen of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObservedPod {
    /// The record.
    pub(crate) record: Record,
    /// Its traffic; `None` when the pod is gone.
    pub(crate) traffic: Option<Result<PodTraffic, String>>,
    /// What the agent judges its traffic to be; `None` without a running agent.
    pub(crate) live: Option<LivePod>,
    /// What is wrong now with the node, the ports that serve the pod, or what is left of its set-up.
    pub(crate) cause: Option<Reason>,
    /// The node, as far as the agent prepared it.
    pub(crate) node: Option<NodeFacts>,
}

impl ObservedPod {
    /// The same on `node`.
    pub(crate) fn of(pod: PodState, node: Option<&NodeFacts>) -> Self {
        let PodState { record, now, traffic, judged } = pod;
        let (now, unseen) = match now {
            Some(Err(why)) => (None, Some(why)),
            Some(Ok(now)) => (Some(now), None),
            None => (None, None),
        };
        let cause = node.and_then(|node| cause(&record, node, now.as_ref()));
        // What could not be looked at in full is not known to be well.
        let traffic = unseen.map_or(traffic, |why| Some(Err(why)));
        Self { record, traffic, live: judged, cause, node: node.cloned() }
    }
}

/// What is wrong with a pod that is set up, at this moment.
fn cause(record: &Record, node: &NodeFacts, now: Option<&PodNow>) -> Option<Reason> {
    record.verdict.as_ref().filter(|verdict| verdict.is_set_up())?;
    let standing = standing_cause(&record.plan, node, &record.owned.addresses());
    standing.or_else(|| {
        let now = now.filter(|_| node.switch == Switch::On)?;
        let pnetids = now.pnetids.iter().cloned().collect();
        smc_model::lost(&record.plan, now.converts, &pnetids).into_iter().next()
    })
}

/// A pod's verdict in one word, by its traffic where that is judged.
pub(crate) fn verdict(record: &Record, live: Option<&LiveVerdict>) -> &'static str {
    record.verdict.as_ref().map_or("being-set-up", |verdict| smc_model::live_name(verdict, live))
}

/// Those that a person means by `NAME` or `NAMESPACE/NAME`.
pub(crate) fn named(all: Vec<ObservedPod>, name: &str) -> Result<Vec<ObservedPod>> {
    let is = |seen: &ObservedPod| {
        let pod = &seen.record.pod;
        pod.name == name || name.split_once('/') == Some((pod.namespace.as_str(), pod.name.as_str()))
    };
    let found: Vec<ObservedPod> = all.into_iter().filter(is).collect();
    if found.is_empty() {
        bail!("no annotated pod of this node is called {name} (`smcctl pods` lists them)");
    }
    Ok(found)
}

/// The table.
pub(crate) fn pods(all: &[ObservedPod], paint: Paint) -> Result<Outcome> {
    let rows: Vec<PodRow> = all.iter().map(row).collect();
    let status = status(all);
    let text = if rows.is_empty() {
        "No annotated pod is on record on this node.\n".to_owned()
    } else {
        render(&rows, paint) + &unplaced(all)
    };
    Outcome::new(status, &Pods { pods: rows }, text)
}

/// A line for each pod of whose fallbacks it is not known whether they should have been SMC-R.
fn unplaced(all: &[ObservedPod]) -> String {
    let open = all.iter().filter_map(|seen| {
        let count = seen.live.as_ref()?.unplaced;
        let pod = &seen.record.pod;
        (count > 0).then(|| {
            format!(
                "{}/{}: {count} of its fallbacks left the node or did not: counters alone do not tell\n",
                pod.namespace, pod.name
            )
        })
    });
    open.collect()
}

/// A pod that is not set up, or only for some of its sockets, or whose connections fall back, is a problem.
pub(crate) fn status(all: &[ObservedPod]) -> Status {
    let well = |seen: &ObservedPod| {
        let degraded = seen.live.as_ref().is_some_and(|live| live.live.is_degraded());
        !degraded
            && seen.cause.is_none()
            && !matches!(seen.record.verdict, Some(Verdict::Refused { .. } | Verdict::NeedsRestart { .. }))
    };
    let looked = |seen: &ObservedPod| !matches!(seen.traffic, Some(Err(_)));
    if !all.iter().all(well) {
        Status::Problem
    } else if !all.iter().all(looked) {
        Status::CouldNotLook
    } else {
        Status::Fine
    }
}

fn row(seen: &ObservedPod) -> PodRow {
    let record = &seen.record;
    let binding = record.plan.bindings.first();
    let counters =
        seen.traffic.as_ref().and_then(|traffic| traffic.as_ref().ok()).map(|traffic| &traffic.counters);
    let fallbacks =
        counters.map(|counters| fallbacks(&[&counters.client, &counters.server])).unwrap_or_default();
    PodRow {
        namespace: record.pod.namespace.clone(),
        name: record.pod.name.clone(),
        interface: record.attachment.ifname().to_owned(),
        device: binding.map(|binding| format!("{}/{}", binding.device, binding.port)),
        pnetid: binding.map(|binding| binding.pnetid.to_string()),
        verdict: verdict(record, seen.live.as_ref().map(|live| &live.live)).into(),
        smc_r: counters.map_or(0, smc_model::Counters::smcr),
        tcp: fallbacks.values().sum(),
        top_reason: top_reason(seen, &fallbacks),
        unknown: seen.traffic.as_ref().and_then(|traffic| traffic.as_ref().err()).cloned(),
        unplaced: seen.live.as_ref().map(|live| live.unplaced).filter(|count| *count > 0),
    }
}

/// Fallbacks by code, of both sides.
pub(crate) fn fallbacks(sides: &[&SideCounters]) -> BTreeMap<u32, u64> {
    let mut all = BTreeMap::new();
    for (code, count) in sides.iter().flat_map(|side| &side.fallbacks) {
        *all.entry(*code).or_default() += u64::from(*count);
    }
    all
}

pub(crate) fn top_reason(seen: &ObservedPod, fallbacks: &BTreeMap<u32, u64>) -> Option<TopReason> {
    match &seen.record.verdict {
        Some(Verdict::Refused { reason }) => {
            return Some(TopReason { name: reason.name().into(), code: None, connections: None });
        }
        Some(Verdict::NeedsRestart { .. }) => {
            let name = reasons::finding::NEEDS_RESTART.name;
            return Some(TopReason { name: name.to_owned().into(), code: None, connections: None });
        }
        Some(Verdict::Configured) | None => {}
    }
    // What is wrong now tells more than what was judged a while ago.
    let judged = || seen.live.as_ref().and_then(|live| live.live.reason());
    if let Some(name) = seen.cause.as_ref().map(Reason::name).or_else(judged) {
        return Some(TopReason { name: name.to_owned().into(), code: None, connections: None });
    }
    let (code, count) = fallbacks.iter().max_by_key(|(_, count)| **count).filter(|(_, count)| **count > 0)?;
    Some(TopReason {
        name: smc_model::fallback_label(*code).into(),
        code: Some(*code),
        connections: Some(*count),
    })
}

fn render(rows: &[PodRow], paint: Paint) -> String {
    let mut table = Table::new(&[
        "NAMESPACE",
        "POD",
        "INTERFACE",
        "DEVICE",
        "PNETID",
        "VERDICT",
        "SMC-R",
        "TCP",
        "TOP REASON",
    ]);
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    for row in rows {
        let reason = match (&row.unknown, &row.top_reason) {
            (Some(why), _) => format!("? {why}"),
            (None, None) => "-".to_owned(),
            (None, Some(top)) => match top.connections {
                Some(count) => format!("{} ({count})", top.name),
                None => top.name.to_string(),
            },
        };
        let count = |count: u64| if row.unknown.is_some() { "?".to_owned() } else { count.to_string() };
        table.row([
            row.namespace.clone(),
            row.name.clone(),
            row.interface.clone(),
            dash(&row.device),
            dash(&row.pnetid),
            row.verdict.to_string(),
            count(row.smc_r),
            count(row.tcp),
            reason,
        ]);
    }
    table.render(paint)
}

#[cfg(test)]
mod tests;
