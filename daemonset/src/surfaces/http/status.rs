//! `/status`: what the agent knows, as JSON.
//!
//! The field names are an interface: within one `version`, fields are only added.

use std::time::Instant;

use serde_json::{Value, json};
use smc_model::Reason;
use smc_state::LivePod;

use crate::board::{Chain, View};

/// The version of the form.
pub const STATUS_VERSION: u32 = 1;

/// The status; `wall` is the time in seconds since the epoch.
pub fn status(view: &View, now: Instant, wall: u64) -> Value {
    let not_ready = view.readiness.ready(now).err().map(|why| why.to_string());
    let chain = view.readiness.chain();
    let why = match chain {
        Chain::NotLoaded { why } => Some(why),
        Chain::Unmanaged | Chain::Unknown | Chain::Untold | Chain::Loaded => None,
    };
    let node = view.node.as_ref().map(|node| {
        json!({
            "kernel": node.kernel,
            "ready": node.obstacle.is_none(),
            "obstacle": node.obstacle.as_ref().map(explained),
        })
    });
    let pods: Vec<Value> = view
        .pods
        .iter()
        .map(|(attachment, pod)| {
            json!({
                "namespace": pod.pod.namespace,
                "name": pod.pod.name,
                "uid": pod.pod.uid,
                "container": attachment.container(),
                "interface": attachment.ifname(),
                "id": pod.id,
                "verdict": pod.verdict.name(),
                "live": view.live.get(attachment).map(live),
                "reason": pod.verdict.reason().map(explained),
            })
        })
        .collect();
    let devices: Vec<Value> = view
        .devices
        .iter()
        .map(|device| {
            json!({
                "device": device.device,
                "link_groups": device.link_groups,
                "queue_pairs": device.queue_pairs,
                "queue_pairs_max": device.queue_pairs_max,
            })
        })
        .collect();
    let problems: Vec<Value> = view
        .problems
        .iter()
        .map(|(subject, problem)| json!({"subject": subject, "problem": problem}))
        .collect();
    let losses: Vec<Value> = view
        .losses
        .iter()
        .map(|(reason, loss)| json!({"reason": reason, "count": loss.count, "last": loss.last, "seen": loss.seen}))
        .collect();
    json!({
        "version": STATUS_VERSION,
        "agent": {
            "version": env!("CARGO_PKG_VERSION"),
            "node_name": view.node_name,
            "started": view.started,
            "now": wall,
        },
        "ready": not_ready.is_none(),
        "not_ready_because": not_ready,
        "node": node,
        "chain": {"state": chain.name(), "why": why},
        "mesh": {
            "mode": view.mesh_mode.to_string(),
            "on": view.mesh.on,
            "repair": view.mesh.repair,
            "reason": view.mesh.why,
            "why": view.mesh.why.to_string(),
        },
        "pods": pods,
        "devices": devices,
        "fallback_events": {"on": view.no_fallback_events.is_none(), "why_not": view.no_fallback_events},
        "events": {
            "written": view.events.written,
            "superseded": view.events.superseded,
            "dropped": view.events.dropped_full
                + view.events.dropped_before_queue
                + view.events.dropped_stale
                + view.events.dropped_gone
                + view.events.dropped_rejected,
        },
        "problems": problems,
        "losses": losses,
    })
}

/// What the kernel showed of a pod's traffic.
fn live(pod: &LivePod) -> Value {
    json!({
        "verdict": pod.live,
        "reason": pod.live.reason(),
        "since": pod.since,
        "smcr": pod.smcr,
        "handshake_errors": pod.handshake_errors,
        "fallbacks": pod.fallbacks,
        "peers_without_smc": pod.peers_without_smc,
        "unplaced": pod.unplaced,
    })
}

fn explained(reason: &Reason) -> Value {
    json!({
        "name": reason.name(),
        "seen": reason.to_string(),
        "meaning": reason.meaning(),
        "remedy": reason.remedy(),
    })
}
