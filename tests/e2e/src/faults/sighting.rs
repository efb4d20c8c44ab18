//! What a node reports: which reason, in which place.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smc_model::reasons::{self, finding};
use smc_surfaces::smcctl::{Doctor, Pods, State};

use super::metrics::{Sample, samples};

/// Where something is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A pod's verdict, in `smcctl pods`.
    Verdict,
    /// An Event.
    Event,
    /// A line of `smcctl doctor`.
    Doctor,
    /// A metric of the agent.
    Metric,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verdict => "verdict",
            Self::Event => "event",
            Self::Doctor => "doctor",
            Self::Metric => "metric",
        })
    }
}

/// What being seen says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// It is wrong now.
    Standing,
    /// It was wrong: an Event, a counted loss. It stays on record when all is well again.
    Happened,
    /// Nothing is wrong: a counter of what is no fault, a note of the doctor's.
    Noted,
}

impl Kind {
    /// Whether it says that something is, or was, wrong.
    pub(super) fn is_alarm(self) -> bool {
        self != Self::Noted
    }
}

/// One reason in one place of one node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// The node.
    pub node: u8,
    /// The place.
    pub place: Place,
    /// The reason's name.
    pub name: String,
    /// What it says of the moment.
    pub(super) kind: Kind,
}

/// What was seen at one moment, each with how often: lines, Events, pods, connections.
pub(super) type Seen = BTreeMap<Sighting, u64>;

/// What is in `now` more often than in `before`.
pub(super) fn news(now: &Seen, before: &Seen) -> Seen {
    let more = now.iter().filter(|(sighting, count)| **count > before.get(*sighting).copied().unwrap_or(0));
    more.map(|(sighting, count)| (sighting.clone(), *count)).collect()
}

/// What one look at a node brought: the raw answers of its programs.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// `smcctl --json pods`.
    pub pods: Pods,
    /// `smcctl --json doctor`.
    pub doctor: Doctor,
    /// The agent's metrics; none while it does not run.
    pub metrics: Vec<Sample>,
    /// Every write of an Event so far.
    pub events: Value,
}

impl Answers {
    /// Reads what the look's script printed: sections that begin with a line `@@name`.
    pub fn parse(text: &str) -> Self {
        let mut answers = Self::default();
        for section in text.split("\n@@").skip(1) {
            let (name, body) = section.split_once('\n').unwrap_or((section, ""));
            match name {
                "pods" => answers.pods = answer(name, body),
                "doctor" => answers.doctor = answer(name, body),
                "metrics" => answers.metrics = samples(body),
                "events" => answers.events = answer(name, body),
                _ => {}
            }
        }
        answers
    }

    /// Everything that is reported.
    pub fn sightings(&self, node: u8) -> Seen {
        let mut seen = Seen::new();
        let mut add = |place, name: &str, kind, count| {
            let sighting = Sighting { node, place, name: name.to_owned(), kind };
            *seen.entry(sighting).or_default() += count;
        };
        for row in &self.pods.pods {
            if ["degraded", "refused", "needs-restart"].contains(&&*row.verdict) {
                let reason = row.top_reason.as_ref().map_or("no reason", |top| &top.name);
                add(Place::Verdict, reason, Kind::Standing, 1);
            }
        }
        for check in &self.doctor.checks {
            match (check.state, check.reason.as_deref()) {
                (State::Problem, reason) => {
                    add(Place::Doctor, reason.unwrap_or("no reason"), Kind::Standing, 1);
                }
                (State::Note, Some(reason)) => add(Place::Doctor, reason, Kind::Noted, 1),
                _ => {}
            }
        }
        for event in items(&self.events).filter(|event| event["type"] == "Warning") {
            add(Place::Event, named_by(event), Kind::Happened, 1);
        }
        for sample in &self.metrics {
            if let Some((name, kind)) = told_by(sample) {
                add(Place::Metric, name, kind, whole(sample.value));
            }
        }
        seen
    }

    /// The verdict of a pod.
    pub fn verdict(&self, pod: &str) -> Option<&str> {
        self.pods.pods.iter().find(|row| row.name == pod).map(|row| &*row.verdict)
    }

    /// What an alarm says, in its own words, for a person.
    pub fn words(&self) -> Vec<String> {
        let checks = self.doctor.checks.iter().filter(|check| check.state == State::Problem);
        let checks = checks.map(|check| format!("doctor: {}: {}", check.name, check.seen));
        let events = items(&self.events).filter(|event| event["type"] == "Warning");
        checks
            .chain(events.map(|event| format!("event: {}: {}", event["reason"], event["message"])))
            .collect()
    }
}

/// What a program printed; nothing where it printed nothing, or was cut off. Of another form it would be taken for silence, so that
/// is a failure.
fn answer<T: Default + DeserializeOwned>(name: &str, body: &str) -> T {
    if body.trim().is_empty() {
        return T::default();
    }
    match serde_json::from_str(body) {
        Ok(answer) => answer,
        Err(error) if error.is_eof() => T::default(),
        Err(error) => panic!("{name} cannot be read: {error}: {body}"),
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The reason that an Event names: its own, else the first that its message has.
fn named_by(event: &Value) -> &str {
    let own = event["reason"].as_str().unwrap_or_default();
    let is_cause = |name: &str| name != finding::DEGRADED.name && reasons::by_name(name).is_some();
    if is_cause(own) {
        return own;
    }
    let message = event["message"].as_str().unwrap_or_default();
    message.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| is_cause(word)).unwrap_or(own)
}

/// The reason that a metric tells.
fn told_by(sample: &Sample) -> Option<(&str, Kind)> {
    let reason = sample.label("reason");
    match sample.name.as_str() {
        "kube_smc_node_ready" if sample.value < 1.0 => Some((reason, Kind::Standing)),
        "kube_smc_chain_loaded" if sample.value < 1.0 && sample.label("state") == "not-loaded" => {
            Some((finding::CHAIN_ENTRY_NOT_LOADED.name, Kind::Standing))
        }
        "kube_smc_pods" if sample.value > 0.0 => {
            let wrong = ["degraded", "refused", "needs-restart"].contains(&sample.label("verdict"));
            wrong
                .then_some((if reason.is_empty() { sample.label("verdict") } else { reason }, Kind::Standing))
        }
        "kube_smc_losses_total" if sample.value > 0.0 => Some((reason, Kind::Happened)),
        "kube_smc_fallbacks_total" if sample.value > 0.0 => Some((reason, Kind::Noted)),
        "kube_smc_peer_without_smc_total" if sample.value > 0.0 => Some(("PeerWithoutSmc", Kind::Noted)),
        _ => None,
    }
}

/// Counts are whole numbers; a state that is 0 counts as seen once.
fn whole(value: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let count = value as u64;
    count.max(1)
}

#[cfg(test)]
mod tests;
