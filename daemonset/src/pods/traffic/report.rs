//! What is said about a pod's traffic: Events and log lines.

use smc_model::reasons::Entry;
use smc_model::{Failure, Failures, LiveVerdict, Reason, fallback_label};
use smc_state::Record;

use super::pod::Pod;
use crate::surfaces::kubernetes::announcement::Announcement;

/// How many failures an Event tells.
const TOLD: usize = 3;

/// Logs a changed verdict, and gives the Event that tells it. Coming back to "configured" is logged only.
pub(super) fn verdict_changed(pod: &Pod) -> Option<Announcement> {
    let record = pod.record()?;
    let verdict = pod.live.verdict();
    let name = record.pod.to_string();
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
    Some(Announcement::about(record, warning, reason, &message)?.on(verdict.reason().unwrap_or_default()))
}

fn degraded(verdict: &LiveVerdict) -> String {
    let LiveVerdict::Degraded { cause, failures } = verdict else { return String::new() };
    let mut parts = Vec::new();
    if let Some(cause) = cause {
        parts.push(format!("{}: {cause}; {}", cause.name(), cause.meaning()));
    }
    let told: Vec<String> = failures.iter().take(TOLD).map(told).collect();
    if !told.is_empty() {
        parts.push(format!("connections to other nodes fell back: {}", told.join(", ")));
    }
    let first = failures.first();
    let fix = match (cause, first.and_then(|first| first.diagnosis.as_ref()), first) {
        (Some(reason), ..) | (None, Some(reason), _) => reason.remedy().to_owned(),
        (None, None, Some(first)) => {
            format!("run `smcctl explain {}` on the node", explained(first.failure))
        }
        (None, None, None) => String::new(),
    };
    format!("new connections are TCP. {}. To do: {fix}", parts.join("; "))
}

fn told(failures: &Failures) -> String {
    let Failures { count, failure, diagnosis } = failures;
    match diagnosis {
        Some(reason) => format!("{count} × {}: {reason} (the kernel's word: {failure})", reason.name()),
        None => format!("{count} × {failure}"),
    }
}

/// What to ask `smcctl explain` for: a peer's own reason says more than that it declined.
fn explained(failure: Failure) -> &'static str {
    match failure {
        Failure::Fallback { peer_diagnosis, .. } if peer_diagnosis != 0 => fallback_label(peer_diagnosis),
        Failure::PeerLostSmc { .. } | Failure::Fallback { .. } => failure.label(),
    }
}

/// Logs what a program does that keeps some of its connections from SMC-R, and gives the Event that tells it.
pub(super) fn kept_on_tcp(record: &Record, entry: &'static Entry) -> Option<Announcement> {
    let message = format!("connections are TCP: {}; {}. To do: {}", entry.seen, entry.meaning, entry.remedy);
    let pod = record.pod.to_string();
    tracing::warn!(id = record.id, pod, reason = entry.name, "{message}");
    Announcement::about(record, true, entry.name, &message).map(Announcement::of_its_own)
}

/// Logs what somebody changed on the node that concerns a pod until it is set up again, and gives the Event that tells it.
pub(super) fn node_changed(record: &Record, reason: &Reason) -> Option<Announcement> {
    let message = format!("{reason}; {}. To do: {}", reason.meaning(), reason.remedy());
    let pod = record.pod.to_string();
    tracing::warn!(id = record.id, pod, reason = reason.name(), "{message}");
    Announcement::about(record, true, reason.name(), &message).map(Announcement::of_its_own)
}

/// Logs that a part of a pod's set-up was taken away, and gives the Event that tells it.
pub(super) fn set_up_lost(record: &Record, lost: &[Reason]) -> Option<Announcement> {
    let first = lost.first()?;
    let all: Vec<String> = lost.iter().map(ToString::to_string).collect();
    let message = format!(
        "{}; that was not kube-smc, and smc-agent puts it back. To do: find out who does that if it comes again",
        all.join("; ")
    );
    let pod = record.pod.to_string();
    tracing::warn!(id = record.id, pod, reason = first.name(), "{message}");
    Announcement::about(record, true, first.name(), &message).map(Announcement::of_its_own)
}

#[cfg(test)]
mod tests;
