//! `smcctl pod`: everything about one pod.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};
use smc_model::reasons;
use smc_model::{Connections, Failures, LiveVerdict, PodTraffic, Verdict};
use smc_state::Record;

use crate::conns;
use crate::output::{Outcome, Paint, field};
use crate::pods::{self, ObservedPod};

/// Everything about a pod; one that has several attachments is told with each.
pub(crate) fn pod(found: &[ObservedPod], paint: Paint) -> Result<Outcome> {
    let text: Vec<String> = found.iter().map(|seen| render(seen, paint)).collect();
    let json: Vec<Value> = found.iter().map(value).collect();
    Outcome::new(pods::status(found), &json!({ "attachments": json }), text.join("\n"))
}

fn traffic(seen: &ObservedPod) -> Option<&PodTraffic> {
    seen.traffic.as_ref()?.as_ref().ok()
}

fn value(seen: &ObservedPod) -> Value {
    json!({
        "record": seen.record,
        "counters": traffic(seen).map(|traffic| &traffic.counters),
        "connections": conns::rows(std::slice::from_ref(seen)),
        "unknown": seen.traffic.as_ref().and_then(|traffic| traffic.as_ref().err()),
        "live": seen.live,
        "cause": seen.cause,
    })
}

fn render(seen: &ObservedPod, paint: Paint) -> String {
    let record = &seen.record;
    let mut text = paint.strong(&record.pod.to_string());
    text.push('\n');
    verdict(&mut text, record, seen.live.as_ref().map(|live| &live.live), paint);
    if let Some(reason) = &seen.cause {
        field(&mut text, "wrong now", paint.bad(&format!("{reason} [{}]", reason.name())));
    }
    set_up(&mut text, record);
    match &seen.traffic {
        None => field(&mut text, "connections", "the pod's network namespace is gone"),
        Some(Err(why)) => field(&mut text, "connections", paint.doubt(&format!("not known: {why}"))),
        Some(Ok(traffic)) => connections(&mut text, seen, traffic, paint),
    }
    text
}

fn verdict(text: &mut String, record: &Record, live: Option<&LiveVerdict>, paint: Paint) {
    match &record.verdict {
        None => field(text, "verdict", paint.doubt("being set up")),
        Some(Verdict::Configured) => configured(text, live, paint),
        Some(Verdict::NeedsRestart { listeners }) => {
            let entry = &reasons::finding::NEEDS_RESTART;
            field(text, "verdict", paint.bad("needs-restart"));
            let ports: Vec<String> = listeners.iter().map(ToString::to_string).collect();
            field(text, "seen", format!("{}: {}", entry.seen, ports.join(", ")));
            field(text, "means", entry.meaning);
            field(text, "to do", entry.remedy);
        }
        Some(Verdict::Refused { reason }) => {
            field(text, "verdict", paint.bad(&format!("refused [{}]", reason.name())));
            field(text, "seen", reason);
            field(text, "means", reason.meaning());
            field(text, "to do", reason.remedy());
        }
    }
}

fn configured(text: &mut String, live: Option<&LiveVerdict>, paint: Paint) {
    match live {
        None | Some(LiveVerdict::Configured) => {
            field(text, "verdict", paint.good("configured: new TCP sockets offer SMC-R"));
        }
        Some(LiveVerdict::Active) => {
            field(text, "verdict", paint.good("active: the kernel showed SMC-R connections"));
        }
        Some(LiveVerdict::Degraded { cause, failures }) => {
            let what = "degraded: connections that should be SMC-R are TCP, or will be";
            field(text, "verdict", paint.bad(what));
            if let Some(cause) = cause {
                field(text, "cause", cause);
            }
            for Failures { count, failure, diagnosis } in failures {
                field(text, "failed", format!("{count} times: {failure}"));
                if let Some(reason) = diagnosis {
                    field(text, "because", format!("{reason} [{}]", reason.name()));
                }
            }
        }
    }
}

fn set_up(text: &mut String, record: &Record) {
    for binding in &record.plan.bindings {
        let by =
            format!("{} → {}/{}, PNETID {}", binding.interface, binding.device, binding.port, binding.pnetid);
        field(text, "PNETID", by);
    }
    for step in &record.plan.steps {
        field(text, "step", step);
    }
    if !record.timings.is_empty() {
        let millis = |us: u64| format!("{}.{} ms", us / 1000, us % 1000 / 100);
        let phases: Vec<String> =
            record.timings.iter().map(|timing| format!("{} {}", timing.phase, millis(timing.us))).collect();
        let all = record.timings.iter().map(|timing| timing.us).sum();
        field(text, "took", format!("{} ({})", millis(all), phases.join(", ")));
    }
    for note in &record.plan.notes {
        field(text, "note", note);
    }
    if record.repaired_ms.is_some() {
        field(text, "note", "it was set up while it was running");
    }
    let owned: Vec<String> = record.owned.addresses().iter().map(ToString::to_string).collect();
    if !owned.is_empty() {
        field(text, "in the host", format!("{} (source anchor, same-node guard)", owned.join(", ")));
    }
    field(text, "namespace", record.netns.display());
    field(text, "log id", &record.id);
}

fn connections(text: &mut String, seen: &ObservedPod, traffic: &PodTraffic, paint: Paint) {
    let counters = &traffic.counters;
    for (name, side) in [("as client", &counters.client), ("as server", &counters.server)] {
        let mut parts = vec![format!("{} SMC-R", side.smcr())];
        for (code, count) in &side.fallbacks {
            parts.push(format!("{count} TCP: {} ({code:#010x})", reasons::fallback_seen(*code)));
        }
        if side.errors > 0 {
            parts.push(format!("{} failed in the handshake", side.errors));
        }
        field(text, name, parts.join("; "));
    }
    match &traffic.connections {
        Connections::Unknown { why } => field(text, "connections", paint.doubt(&format!("not known: {why}"))),
        Connections::Known(known) if known.is_empty() => field(text, "connections", "none now"),
        Connections::Known(known) => {
            field(text, "connections", format!("{} now", known.len()));
            text.push('\n');
            text.push_str(&conns::render(&conns::rows(std::slice::from_ref(seen)), paint));
        }
    }
    let fallbacks = pods::fallbacks(&[&counters.client, &counters.server]);
    if let Some(entry) = pods::top_reason(seen, &fallbacks).and_then(|top| reasons::by_name(&top.name)) {
        let _ = write!(
            text,
            "\nMost of what is TCP: {} — {}\n  To do: {}\n",
            entry.name, entry.meaning, entry.remedy
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{golden_outcome, pods as recorded};

    #[test]
    fn recorded_pods_are_told_as_committed() {
        for name in ["client", "late", "misspelt"] {
            let found = pods::named(recorded(), name).unwrap();
            golden_outcome(&format!("pod-{name}"), &pod(&found, Paint::PLAIN).unwrap());
        }
    }
}
