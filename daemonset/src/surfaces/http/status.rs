//! `/status`: what the agent knows, as [`smc_surfaces::status`] has it.

use std::time::Instant;

use smc_model::Reason;
use smc_state::LivePod;
use smc_surfaces::status::{
    Agent, Device, Events, Explained, FallbackEvents, Live, Loss, Mesh, Node, Pod, Problem, STATUS_VERSION,
    Status,
};

use crate::board::{DeviceUse, EventCounts, NodeCheck, View};

/// The status; `wall` is the time in seconds since the epoch.
pub fn status(view: &View, now: Instant, wall: u64) -> Status {
    let not_ready = view.readiness.ready(now).err().map(|why| why.to_string());
    Status {
        version: STATUS_VERSION,
        agent: Agent {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_name: view.node_name.clone(),
            started: view.started,
            now: wall,
        },
        ready: not_ready.is_none(),
        not_ready_because: not_ready,
        node: view.node.as_ref().map(node),
        chain: view.readiness.chain().into(),
        mesh: mesh(view),
        pods: pods(view),
        devices: view.devices.iter().map(device).collect(),
        fallback_events: FallbackEvents {
            on: view.no_fallback_events.is_none(),
            why_not: view.no_fallback_events.clone(),
        },
        events: events(&view.events),
        problems: view
            .problems
            .iter()
            .map(|(subject, problem)| Problem { subject: subject.clone(), problem: problem.to_owned() })
            .collect(),
        losses: losses(view),
    }
}

fn node(node: &NodeCheck) -> Node {
    let obstacle = node.obstacle.as_ref().map(Explained::from);
    Node { kernel: node.kernel.clone(), ready: obstacle.is_none(), obstacle }
}

fn mesh(view: &View) -> Mesh {
    Mesh {
        mode: view.mesh_mode.to_string(),
        on: view.mesh.on,
        repair: view.mesh.repair,
        reason: view.mesh.why.name().to_owned(),
        why: view.mesh.why.to_string(),
    }
}

fn pods(view: &View) -> Vec<Pod> {
    let pod = |(attachment, pod): (&smc_state::AttachmentId, &crate::board::PodVerdict)| Pod {
        namespace: pod.pod.namespace.clone(),
        name: pod.pod.name.clone(),
        uid: pod.pod.uid.clone(),
        container: attachment.container().to_owned(),
        interface: attachment.ifname().to_owned(),
        id: pod.id.clone(),
        verdict: pod.verdict.name().to_owned(),
        live: view.live.get(attachment).map(live),
        reason: pod.verdict.reason().map(|reason: &Reason| reason.into()),
    };
    view.pods.iter().map(pod).collect()
}

/// What the kernel showed of a pod's traffic.
fn live(pod: &LivePod) -> Live {
    Live {
        verdict: pod.live.clone(),
        reason: pod.live.reason().map(str::to_owned),
        since: pod.since,
        smcr: pod.smcr,
        handshake_errors: pod.handshake_errors,
        fallbacks: pod.fallbacks.clone(),
        peers_without_smc: pod.peers_without_smc.clone(),
        unplaced: pod.unplaced,
    }
}

fn device(device: &DeviceUse) -> Device {
    Device {
        device: device.device.clone(),
        link_groups: device.link_groups,
        queue_pairs: device.queue_pairs,
        queue_pairs_max: device.queue_pairs_max,
    }
}

fn events(counts: &EventCounts) -> Events {
    let EventCounts {
        written,
        superseded,
        dropped_full,
        dropped_before_queue,
        dropped_stale,
        dropped_gone,
        dropped_rejected,
    } = counts;
    let dropped = dropped_full + dropped_before_queue + dropped_stale + dropped_gone + dropped_rejected;
    Events { written: *written, superseded: *superseded, dropped }
}

fn losses(view: &View) -> Vec<Loss> {
    let loss = |(reason, loss): (&str, &crate::board::Loss)| Loss {
        reason: reason.to_owned(),
        count: loss.count,
        last: loss.last,
        seen: loss.seen.clone(),
    };
    view.losses.iter().map(loss).collect()
}
