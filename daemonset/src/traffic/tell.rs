//! What is said about a pod's traffic: Events and log lines.

use smc_model::{Failure, LiveVerdict, fallback_label};
use smc_state::Record;

use super::pod::Pod;
use super::set_up::Lost;
use crate::kubernetes::announcement::Announcement;

/// How many failures an Event tells.
const TOLD: usize = 3;

/// Logs a changed verdict, and gives the Event that tells it. Coming back to "configured" is logged only.
pub(super) fn changed(pod: &Pod) -> Option<Announcement> {
    let record = pod.record()?;
    let verdict = pod.live.verdict();
    let name = format!("{}/{}", record.pod.namespace, record.pod.name);
    let id = record.id.as_str();
    let (warning, reason, message) = match verdict {
        LiveVerdict::Configured => {
            tracing::info!(id, pod = name, "what was wrong is over; no new connection has shown SMC-R yet");
            return None;
        }
        LiveVerdict::Active if pod.was_active => {
            (false, "SMCRecovered", "new connections are SMC-R again".to_owned())
        }
        LiveVerdict::Active => {
            (false, "SMCActive", "the kernel shows SMC-R connections of this pod".to_owned())
        }
        LiveVerdict::Degraded { .. } => (true, "SMCDegraded", degraded(verdict)),
    };
    if warning {
        let why = verdict.reason().unwrap_or_default();
        tracing::warn!(id, pod = name, reason = why, "{message}");
    } else {
        tracing::info!(id, pod = name, "{message}");
    }
    Announcement::about(record, warning, reason, &message)
}

fn degraded(verdict: &LiveVerdict) -> String {
    let LiveVerdict::Degraded { cause, failures } = verdict else { return String::new() };
    let mut parts = Vec::new();
    if let Some(cause) = cause {
        parts.push(format!("{}: {cause}; {}", cause.name(), cause.meaning()));
    }
    let told: Vec<String> = failures
        .iter()
        .take(TOLD)
        .map(|failures| format!("{} × {}", failures.count, failures.failure))
        .collect();
    if !told.is_empty() {
        parts.push(format!("connections to other nodes fell back: {}", told.join(", ")));
    }
    let fix = match (cause, failures.first()) {
        (Some(cause), _) => cause.remedy().to_owned(),
        (None, Some(first)) => format!("run `smcctl explain {}` on the node", explained(first.failure)),
        (None, None) => String::new(),
    };
    format!("new connections are TCP. {}. To do: {fix}", parts.join("; "))
}

/// What to ask `smcctl explain` for: a peer's own reason says more than that it declined.
fn explained(failure: Failure) -> &'static str {
    match failure {
        Failure::Fallback { peer_diagnosis, .. } if peer_diagnosis != 0 => fallback_label(peer_diagnosis),
        Failure::PeerLostSmc { .. } => "PeerWithoutSmc",
        Failure::Fallback { .. } => failure.label(),
    }
}

/// Logs that a part of a pod's set-up was taken away, and gives the Event that tells it.
pub(super) fn lost(record: &Record, lost: &[Lost]) -> Option<Announcement> {
    let first = lost.first()?;
    let all: Vec<String> = lost.iter().map(ToString::to_string).collect();
    let message = format!(
        "{}, not by kube-smc; smc-agent puts it back. To do: find out who does that if it comes again",
        all.join("; ")
    );
    let pod = format!("{}/{}", record.pod.namespace, record.pod.name);
    tracing::warn!(id = record.id, pod, reason = first.name(), "{message}");
    Announcement::about(record, true, first.name(), &message)
}
