//! `smcctl status`: the node at a glance.

use std::collections::BTreeMap;

use anyhow::Result;
use smc_model::Reason;
use smc_surfaces::smcctl::{AgentState, NodeChain, NodeStatus, Obstacle};

use crate::output::{Outcome, Paint, Status, counted, field};
use crate::{doctor, pods};
use smc_surfaces::facts::Facts;

/// The node at a glance. A node on which pods cannot be accelerated at all is a problem; what else the doctor finds is
/// counted.
pub(crate) fn status(facts: &Facts, paint: Paint) -> Result<Outcome> {
    let checks = doctor::checks(facts);
    let problems = doctor::problems(&checks).count();
    let obstacle = match &facts.published {
        Ok(published) => published.unfit(),
        Err(reason) => Some(reason.clone()),
    };
    let verdicts = verdicts(facts);
    let groups = facts.link_groups.clone().unwrap_or_default();
    let agent = facts.agent.as_ref().ok();

    let text = text(facts, obstacle.as_ref(), &verdicts, problems, paint);
    let node = NodeStatus {
        accelerates: obstacle.is_none(),
        obstacle: obstacle.as_ref().map(|reason| Obstacle {
            name: reason.name().into(),
            seen: reason.to_string(),
            remedy: reason.remedy().into(),
        }),
        pods: verdicts.into_iter().map(|(verdict, count)| (verdict.into(), count)).collect(),
        kernel: facts.kernel.clone(),
        ports: facts.ports.clone().unwrap_or_default(),
        ueids: ueids(facts),
        link_groups: groups.groups,
        connections: groups.connections,
        agent: agent.map(|agent| AgentState {
            version: agent.version.clone(),
            ready: agent.not_ready.is_none(),
            not_ready_because: agent.not_ready.clone(),
        }),
        chain: NodeChain { entry: facts.chain.entry.clone(), state: agent.map(|agent| agent.chain) },
        problems,
    };
    let status = if obstacle.is_some() { Status::Problem } else { Status::Fine };
    Outcome::new(status, &node, text)
}

/// The same for a person.
fn text(
    facts: &Facts,
    obstacle: Option<&Reason>,
    verdicts: &BTreeMap<&'static str, u64>,
    problems: usize,
    paint: Paint,
) -> String {
    let groups = facts.link_groups.clone().unwrap_or_default();
    let agent = facts.agent.as_ref().ok();
    let ueids = ueids(facts);
    let mut text = String::new();
    field(
        &mut text,
        "pods",
        match obstacle {
            None => paint.good("annotated pods are accelerated"),
            Some(reason) => paint.bad(&format!("annotated pods stay on TCP: {reason} [{}]", reason.name())),
        },
    );
    let all: Vec<String> = verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    field(&mut text, "", if all.is_empty() { "none on record".to_owned() } else { all.join(", ") });
    field(&mut text, "kernel", &facts.kernel);
    for port in facts.ports.as_deref().unwrap_or_default() {
        let netdev = port.netdev.as_deref().unwrap_or("no network device");
        let pnetid = port.pnetid.as_ref().map_or("none", |pnetid| pnetid.as_str());
        let state = if port.active { "ACTIVE" } else { "not ACTIVE" };
        field(
            &mut text,
            "port",
            format!(
                "{}/{} over {netdev}, {state}, PNETID {pnetid}, {}",
                port.device,
                port.port,
                counted(port.links.into(), "queue pair")
            ),
        );
    }
    field(&mut text, "UEIDs", if ueids.is_empty() { "none".to_owned() } else { ueids.join(", ") });
    field(
        &mut text,
        "link groups",
        format!("{} with {}", groups.groups, counted(groups.connections, "connection")),
    );
    field(
        &mut text,
        "agent",
        match &facts.agent {
            Ok(agent) => match &agent.not_ready {
                None => format!("{}, ready", agent.version),
                Some(why) => format!("{}, not ready: {why}", agent.version),
            },
            Err(why) => format!("does not answer: {why}"),
        },
    );
    field(
        &mut text,
        "chain entry",
        match &facts.chain.entry {
            Some(entry) => {
                format!(
                    "in {entry}, {}",
                    agent.map_or("whether loaded is not known", |agent| agent.chain.name())
                )
            }
            None => "missing".to_owned(),
        },
    );
    field(
        &mut text,
        "doctor",
        match problems {
            0 => "sees no problem".to_owned(),
            count => paint.bad(&format!("sees {}: see smcctl doctor", counted(count as u64, "problem"))),
        },
    );
    text
}

fn ueids(facts: &Facts) -> Vec<String> {
    facts.ueids.as_deref().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// How many pods have each verdict.
fn verdicts(facts: &Facts) -> BTreeMap<&'static str, u64> {
    let mut verdicts = BTreeMap::new();
    for pod in facts.pods.iter().filter(|pod| pod.record.is_live()) {
        *verdicts
            .entry(pods::verdict(&pod.record, pod.judged.as_ref().map(|judged| &judged.live)))
            .or_default() += 1;
    }
    verdicts
}

#[cfg(test)]
mod tests;
