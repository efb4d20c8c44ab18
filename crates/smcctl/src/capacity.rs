//! `smcctl capacity`: how far this node's queue pairs reach.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::output::{Outcome, Paint, Status, Table, field};
use smc_surfaces::facts::Facts;

/// What is asked: so many pods here, each with so many peers on other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Question {
    /// Accelerated pods of this node.
    pub(crate) pods: u64,
    /// Peers that each of them opens connections to, or has connections from.
    pub(crate) peers: u64,
    /// Connections between each two.
    pub(crate) connections: u64,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Capacity {
    /// Connections that one link group carries.
    pub(crate) connections_per_link_group: u64,
    /// RDMA links (a queue pair each) of a link group: more than one where several ports bear one PNETID.
    pub(crate) links_per_link_group: u64,
    /// The devices.
    pub(crate) devices: Vec<DeviceCapacity>,
    /// What was asked, and what it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<Plan>,
}

/// One device's queue pairs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeviceCapacity {
    /// Its name.
    pub(crate) device: String,
    /// Queue pairs that SMC-R has of it.
    pub(crate) queue_pairs: u64,
    /// Queue pairs that it has at all; absent when it may not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue_pairs_max: Option<u64>,
    /// Link groups that still fit: one for each further peer pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) more_peers: Option<u64>,
    /// Connections that those carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) more_connections: Option<u64>,
}

/// What a number of pods and peers takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Plan {
    /// What was asked.
    #[serde(flatten)]
    pub(crate) question: Question,
    /// Link groups.
    pub(crate) link_groups: u64,
    /// Queue pairs on this node.
    pub(crate) queue_pairs: u64,
    /// Whether they fit, beside nothing else; absent when the limit is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fits: Option<bool>,
}

/// Reckons.
pub(crate) fn reckon(facts: &Facts, question: Option<Question>) -> Capacity {
    let per_group = facts.family.smc().connections_per_group;
    let ports = facts.ports.as_deref().unwrap_or_default();
    // A second link is added where another active port bears the same PNETID (net/smc/smc_pnet.c, smc_pnet_find_alt_roce).
    let shared = ports.iter().any(|port| {
        port.active
            && port.pnetid.is_some()
            && ports.iter().filter(|other| other.active && other.pnetid == port.pnetid).count() > 1
    });
    let links = if shared { 2 } else { 1 };
    let mut devices: Vec<DeviceCapacity> = Vec::new();
    for port in ports {
        if let Some(device) = devices.iter_mut().find(|device| device.device == port.device) {
            device.queue_pairs += u64::from(port.links);
            continue;
        }
        devices.push(DeviceCapacity {
            device: port.device.clone(),
            queue_pairs: u64::from(port.links),
            queue_pairs_max: facts.queue_pairs_max(&port.device),
            more_peers: None,
            more_connections: None,
        });
    }
    for device in &mut devices {
        let left = device.queue_pairs_max.map(|max| max.saturating_sub(device.queue_pairs));
        device.more_peers = left;
        device.more_connections = left.map(|left| left.saturating_mul(per_group));
    }
    let max: Option<u64> = devices.iter().map(|device| device.queue_pairs_max).sum();
    let plan = question.map(|question| {
        let per_peer = question.connections.div_ceil(per_group).max(1);
        let link_groups = question.pods.saturating_mul(question.peers).saturating_mul(per_peer);
        let queue_pairs = link_groups.saturating_mul(links);
        let fits = max.filter(|_| !devices.is_empty()).map(|max| queue_pairs <= max);
        Plan { question, link_groups, queue_pairs, fits }
    });
    Capacity { connections_per_link_group: per_group, links_per_link_group: links, devices, plan }
}

/// Reckons and tells.
pub(crate) fn capacity(facts: &Facts, question: Option<Question>, paint: Paint) -> Result<Outcome> {
    let capacity = reckon(facts, question);
    let text = render(&capacity, facts, paint);
    let status = match (&facts.ports, capacity.plan.as_ref().and_then(|plan| plan.fits)) {
        (Err(_), _) => Status::CouldNotLook,
        (_, Some(false)) => Status::Problem,
        (Ok(ports), _) if ports.is_empty() => Status::Problem,
        _ => Status::Fine,
    };
    Outcome::new(status, &capacity, text)
}

fn render(capacity: &Capacity, facts: &Facts, paint: Paint) -> String {
    let mut text = String::new();
    if capacity.devices.is_empty() {
        let why = facts.ports.as_ref().err().map_or("SMC knows no RDMA device here", String::as_str);
        let _ = writeln!(text, "No queue pairs: {why}.");
    } else {
        let mut table = Table::new(&["DEVICE", "QUEUE PAIRS", "OF", "MORE PEER PODS", "MORE CONNECTIONS"]);
        let number = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        for device in &capacity.devices {
            table.row([
                device.device.clone(),
                device.queue_pairs.to_string(),
                number(device.queue_pairs_max),
                number(device.more_peers),
                number(device.more_connections),
            ]);
        }
        text.push_str(&table.render(paint));
    }
    if capacity.devices.iter().any(|device| device.queue_pairs_max.is_none()) {
        text.push_str(
            "\n?: how many queue pairs a device has, only the device tells (/dev/infiniband), and smc-agent may not ask it here.\n\
             On Alibaba Cloud it is the instance type's QueuePairNumber.\n",
        );
    }
    text.push('\n');
    field(
        &mut text,
        "link group",
        format!(
            "up to {} connections between two pods, {} queue pair(s) at each end",
            capacity.connections_per_link_group, capacity.links_per_link_group
        ),
    );
    if let Some(plan) = &capacity.plan {
        let Question { pods, peers, connections } = plan.question;
        let fits = match plan.fits {
            Some(true) => paint.good("they fit"),
            Some(false) => paint.bad("they do not fit: the rest of the connections would be TCP"),
            None => paint.doubt("whether they fit is not known"),
        };
        field(&mut text, "asked", format!("{pods} pods here × {peers} peers × {connections} connection(s)"));
        field(
            &mut text,
            "it takes",
            format!("{} link groups, {} queue pairs; {fits}", plan.link_groups, plan.queue_pairs),
        );
    }
    text
}

#[cfg(test)]
mod tests;
