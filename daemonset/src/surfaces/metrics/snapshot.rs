//! The metrics that are read off the board.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use smc_host::kernel;
use smc_model::{Defects, Reason, defects};
use smc_state::LivePod;

use crate::board::{Board, LOSSES, View};

/// Reads the board when metrics are asked for.
#[derive(Debug)]
pub(super) struct Snapshot(pub(super) Board);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.read(|view| {
            node(view, &mut encoder)?;
            pods(view, &mut encoder)?;
            devices(view, &mut encoder)?;
            events(view, &mut encoder)
        })
    }
}

fn node(view: &View, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut family = Values::gauges(
        encoder,
        "node_ready",
        "1 when annotated pods of this node can use SMC-R; else 0, with the reason",
    )?;
    let obstacle = view.node.as_ref().map(|node| node.obstacle.as_ref().map_or("", Reason::name));
    let (ready, reason) = obstacle.map_or((0, "NotChecked"), |reason| (i64::from(reason.is_empty()), reason));
    family.put(&[("reason", reason)], ready)?;
    let mut family = Values::gauges(
        encoder,
        "kernel_defect",
        "1 for each defect of this kernel's SMC that public records name; \"unknown\" for a vendor's kernel, of which they say nothing",
    )?;
    for name in known_defects() {
        family.put(&[("name", name)], 1)?;
    }
    let mut family = Values::gauges(
        encoder,
        "chain_loaded",
        "1 when the container runtime runs smc-cni; else 0, with the state",
    )?;
    let chain = view.readiness.chain();
    family.put(&[("state", chain.state().name())], i64::from(*chain == crate::board::Chain::Loaded))?;
    let mut family = Values::gauges(encoder, "mesh_on", "1 when the mesh switch is on")?;
    family.put(&[("mode", view.mesh_mode.to_string().as_str())], i64::from(view.mesh.on))?;
    let mut family = Values::gauges(
        encoder,
        "problem",
        "1 for each subject with which something is wrong; see the log or /status",
    )?;
    for (subject, _) in view.problems.iter() {
        family.put(&[("subject", subject.name())], 1)?;
    }
    let mut family = Values::counters(
        encoder,
        "losses",
        "How often something that had been set up for the node or a pod was found taken away or changed by others, by reason",
    )?;
    // Also those that never happened: what begins at 1 is no increase.
    for reason in LOSSES {
        family.add(&[("reason", reason)], view.losses.of(reason))?;
    }
    Ok(())
}

fn known_defects() -> Vec<&'static str> {
    let (Ok(release), Ok(version)) = (kernel::release(), kernel::version()) else { return Vec::new() };
    match defects(&release, &version) {
        Defects::OfAVendor => vec!["unknown"],
        Defects::Of { open, .. } => open.iter().map(|defect| defect.name).collect(),
    }
}

fn pods(view: &View, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut family = Values::gauges(
        encoder,
        "pods",
        "Interfaces of this node's annotated pods, by live verdict and reason",
    )?;
    for ((verdict, reason), count) in view.pods_by_verdict() {
        family.put(&[("verdict", verdict), ("reason", reason)], number(count))?;
    }
    let mut family = Values::counters(encoder, "smcr_connections", "Connections of a pod that became SMC-R")?;
    for pod in view.live_pods() {
        family.add(&labels(pod), pod.smcr)?;
    }
    let mut family = Values::counters(
        encoder,
        "fallbacks",
        "Connections of a pod that fell back to TCP, by the kernel's reason",
    )?;
    for pod in view.live_pods() {
        // Codes that are not the kernel's share a name.
        let mut counts = BTreeMap::<&str, u64>::new();
        for fallback in &pod.fallbacks {
            *counts.entry(&fallback.reason).or_default() += fallback.count;
        }
        for (reason, count) in counts {
            let [namespace, name] = labels(pod);
            family.add(&[namespace, name, ("reason", reason)], count)?;
        }
    }
    let mut family = Values::counters(
        encoder,
        "peer_without_smc",
        "Connections of a pod with peers elsewhere that do not speak SMC: probes, scrapes, plain pods; no fault",
    )?;
    for pod in view.live_pods() {
        family.add(&labels(pod), pod.peers_without_smc.total())?;
    }
    let mut family = Values::counters(
        encoder,
        "offers_taken_out",
        "Offers of SMC that kube-smc took out of SYNs to a pod, by cause: of this node's pods, of whoever may not speak SMC with it; no fault",
    )?;
    for pod in view.live_pods() {
        for (cause, count) in &pod.offers_taken_out {
            let [namespace, name] = labels(pod);
            family.add(&[namespace, name, ("cause", cause)], *count)?;
        }
    }
    let mut family = Values::counters(
        encoder,
        "syns_dropped",
        "SYNs to a pod that came in parts or could not be read, from whoever may not speak SMC with it, and were dropped",
    )?;
    for pod in view.live_pods() {
        family.add(&labels(pod), pod.syns_dropped)?;
    }
    let mut family = Values::gauges(
        encoder,
        "degraded_since_seconds",
        "Since when connections of a pod that should be SMC-R are TCP, in seconds since the epoch",
    )?;
    for pod in view.live_pods().filter(|pod| pod.live.is_degraded()) {
        let [namespace, name] = labels(pod);
        let reason = ("reason", pod.live.reason().unwrap_or_default());
        family.put(&[namespace, name, reason], number(pod.since))?;
    }
    Ok(())
}

fn labels(pod: &LivePod) -> [(&'static str, &str); 2] {
    [("namespace", pod.pod.namespace.as_str()), ("pod", pod.pod.name.as_str())]
}

fn devices(view: &View, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut family = Values::gauges(encoder, "link_groups", "SMC-R link groups over an RDMA device")?;
    for device in &view.devices {
        family.put(&[("device", device.device.as_str())], number(device.link_groups))?;
    }
    let mut family = Values::gauges(encoder, "queue_pairs", "Queue pairs of an RDMA device that SMC-R uses")?;
    for device in &view.devices {
        family.put(&[("device", device.device.as_str())], number(device.queue_pairs))?;
    }
    let mut family = Values::gauges(
        encoder,
        "queue_pairs_max",
        "Queue pairs that an RDMA device has, for all its users together",
    )?;
    for device in &view.devices {
        if let Some(max) = device.queue_pairs_max {
            family.put(&[("device", device.device.as_str())], number(max))?;
        }
    }
    Ok(())
}

fn events(view: &View, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let events = &view.events;
    let family = Values::counters(encoder, "events_written", "Events on pods that were written")?;
    family.only(events.written)?;
    let mut family = Values::counters(
        encoder,
        "events_dropped",
        "Events on pods that were not written, by cause: superseded (by a newer verdict), full, stale, gone, rejected",
    )?;
    for (cause, count) in [
        ("superseded", events.superseded),
        ("full", events.dropped_full + events.dropped_before_queue),
        ("stale", events.dropped_stale),
        ("gone", events.dropped_gone),
        ("rejected", events.dropped_rejected),
    ] {
        family.add(&[("cause", cause)], count)?;
    }
    Ok(())
}

/// A family under construction.
struct Values<'a>(MetricEncoder<'a>);

impl<'a> Values<'a> {
    fn gauges(encoder: &'a mut DescriptorEncoder<'_>, name: &'a str, help: &str) -> Result<Self, fmt::Error> {
        Ok(Self(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?))
    }

    fn counters(
        encoder: &'a mut DescriptorEncoder<'_>,
        name: &'a str,
        help: &str,
    ) -> Result<Self, fmt::Error> {
        Ok(Self(encoder.encode_descriptor(name, help, None, MetricType::Counter)?))
    }

    fn put(&mut self, labels: &[(&str, &str)], value: i64) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_family(&labels)?)
    }

    fn add(&mut self, labels: &[(&str, &str)], value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_family(&labels)?)
    }

    /// The value of a counter without labels.
    fn only(self, value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.0)
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
