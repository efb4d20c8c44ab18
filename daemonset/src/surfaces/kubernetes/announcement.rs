//! What a pod's Event says.

use smc_model::{Listener, Verdict};
use smc_state::{Phase, PodName, Record};

/// The Event of one verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The pod.
    pub pod: PodName,
    /// The pod's interface.
    pub interface: String,
    /// The id that the record, the logs and the event share.
    pub id: String,
    /// Whether it is a warning.
    pub warning: bool,
    /// The verdict in one word.
    pub reason: &'static str,
    /// The verdict in words.
    pub message: String,
    /// Tells Events of the same reason apart; empty when nothing need.
    pub topic: &'static str,
    /// Whether it is a verdict. One that waits gives way to a newer one; whatever else is told stands for itself.
    pub verdict: bool,
}

impl Announcement {
    /// The Event of a record; `None` while it has no verdict, and for a pod that Kubernetes could not name.
    pub fn of(record: &Record) -> Option<Self> {
        let Record { attachment, plan, .. } = record;
        if record.phase != Phase::Settled {
            return None;
        }
        let (warning, reason, message) = match record.verdict.as_ref()? {
            Verdict::Configured => {
                let bound: Vec<String> = plan
                    .bindings
                    .iter()
                    .map(|b| format!("{} on RDMA port {}/{}", b.interface, b.device, b.port))
                    .collect();
                let bound = if bound.is_empty() { attachment.ifname().to_owned() } else { bound.join(", ") };
                let mut message = vec![format!("new TCP connections offer SMC-R ({bound})")];
                message.extend(plan.notes.iter().map(ToString::to_string));
                (false, "SMCConfigured", message.join("; "))
            }
            Verdict::NeedsRestart { listeners } => (
                true,
                "NeedsRestart",
                format!(
                    "new TCP connections that this pod opens offer SMC-R, but it was running already when it was set up: \
                     what it accepts on {} stays TCP. To do: restart these programs (or the pod) when it suits you",
                    told(listeners)
                ),
            ),
            Verdict::Refused { reason } => (
                reason.is_alarm(),
                reason.name(),
                format!("runs on plain TCP: {reason}; {}. To do: {}", reason.meaning(), reason.remedy()),
            ),
        };
        Self::about(record, warning, reason, &message)
    }
}

impl Announcement {
    /// An Event about the pod of a record; `None` for a pod that Kubernetes could not name.
    pub(crate) fn about(record: &Record, warning: bool, reason: &'static str, message: &str) -> Option<Self> {
        let Record { pod, attachment, id, .. } = record;
        if !is_object_name(&pod.namespace) || !is_object_name(&pod.name) {
            return None;
        }
        Some(Self {
            pod: pod.clone(),
            interface: attachment.ifname().to_owned(),
            id: id.clone(),
            warning,
            reason,
            message: format!("{message} (id {id})"),
            topic: "",
            verdict: true,
        })
    }
}

impl Announcement {
    /// Tells it apart from others of the same reason.
    #[must_use]
    pub(crate) fn on(self, topic: &'static str) -> Self {
        Self { topic, ..self }
    }

    /// Something that happened, which no later verdict makes untrue.
    #[must_use]
    pub(crate) fn of_its_own(self) -> Self {
        Self { verdict: false, ..self }
    }

    /// Whether, while `self` waits, `newer` takes its place.
    pub(crate) fn gives_way_to(&self, newer: &Self) -> bool {
        self.pod == newer.pod
            && self.interface == newer.interface
            && self.verdict == newer.verdict
            && (self.verdict || (self.reason, self.topic) == (newer.reason, newer.topic))
    }
}

/// Listeners in words.
pub(crate) fn told(listeners: &[Listener]) -> String {
    listeners.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether a text can be a pod's or a namespace's name: it becomes part of a URL.
fn is_object_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && !name.starts_with(['-', '.'])
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
}

#[cfg(test)]
mod tests;
