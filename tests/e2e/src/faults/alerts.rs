//! The committed alert rules over what the nodes' metrics were in the course of a run, by Prometheus' own program.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use manifests::Promtool;
use serde_json::{Value, json};

use super::metrics::{Labels, Sample};

/// How long a rule of the committed ones that waits is let wait: a run is shorter than some of them would.
const WAITS: &str = "1m";
/// How often rules are evaluated, in seconds.
const STEP: u64 = 5;

/// The nodes' metrics in the course of a run.
#[derive(Debug)]
pub(super) struct Timeline {
    rules: Value,
    /// When the run began, in seconds since the epoch.
    began: f64,
    looks: Vec<(u8, Duration, Vec<Sample>)>,
}

impl Timeline {
    /// For `rules`, a file of rules, and a run that begins `began` seconds after the epoch.
    pub(super) fn new(mut rules: Value, began: f64) -> Self {
        for rule in all_rules_mut(&mut rules) {
            if rule["for"] != "0m" {
                rule["for"] = WAITS.into();
            }
        }
        Self { rules, began, looks: Vec::new() }
    }

    /// How many rules there are.
    pub(super) fn rules(&self) -> usize {
        self.names().len()
    }

    fn names(&self) -> Vec<&str> {
        let groups = self.rules["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        rules.filter_map(|rule| rule["alert"].as_str()).collect()
    }

    /// Adds what a node's metrics were at the time `at` of the run.
    pub(super) fn add(&mut self, node: u8, at: Duration, metrics: &[Sample]) {
        let asked = self.rules.to_string();
        let metrics = metrics.iter().filter(|sample| asked.contains(&sample.name)).cloned().collect();
        self.looks.push((node, at, metrics));
    }

    /// The alerts that fire, each with the first time at which it does, or what else promtool says.
    pub(super) fn alarms(&self, promtool: &Promtool) -> Result<Vec<String>> {
        let said = promtool.test(&self.rules, &self.none_fires()).context("try the alert rules")?;
        let Some(said) = said else { return Ok(Vec::new()) };
        let fired = fired(&said);
        Ok(if fired.is_empty() { vec![format!("promtool: {said}")] } else { fired })
    }

    /// What promtool is to hold the rules against: these series, and no alert at any time.
    fn none_fires(&self) -> Value {
        let end = self.looks.iter().map(|(_, at, _)| at.as_secs()).max().unwrap_or_default();
        let times = || (0..=end.div_ceil(STEP)).map(|step| step * STEP);
        let series = self.series(times().collect::<Vec<_>>().as_slice());
        let silent = times().flat_map(|time| {
            let at = move |name: &&str| json!({ "alertname": name, "eval_time": format!("{time}s"), "exp_alerts": [] });
            self.names().iter().map(at).collect::<Vec<_>>()
        });
        json!({
            "evaluation_interval": format!("{STEP}s"),
            "tests": [{
                "interval": format!("{STEP}s"),
                "input_series": series,
                "alert_rule_test": silent.collect::<Vec<_>>(),
            }],
        })
    }

    /// Each series with its value at each of these times, in seconds: what the last look before brought.
    fn series(&self, times: &[u64]) -> Vec<Value> {
        let of = |node: u8, sample: &Sample| (node, sample.name.clone(), sample.labels.clone());
        let all: BTreeSet<(u8, String, Labels)> =
            self.looks.iter().flat_map(|(node, _, samples)| samples.iter().map(|s| of(*node, s))).collect();
        let value = |key: &(u8, String, Labels), time: u64| {
            let mut before = self.looks.iter().rev();
            let (_, _, samples) = before.find(|(node, at, _)| *node == key.0 && at.as_secs() <= time)?;
            let sample = samples.iter().find(|sample| sample.name == key.1 && sample.labels == key.2)?;
            // promtool's clock begins with the run, at 0.
            let offset = if sample.name.ends_with("_since_seconds") { self.began } else { 0.0 };
            Some(sample.value - offset).filter(|value| value.is_finite())
        };
        let series = |key: (u8, String, Labels)| {
            let values: Vec<String> = times
                .iter()
                .map(|time| value(&key, *time).map_or_else(|| "stale".to_owned(), |value| value.to_string()))
                .collect();
            json!({ "series": name(key.0, &key.1, &key.2), "values": values.join(" ") })
        };
        all.into_iter().map(series).collect()
    }
}

/// A series as Prometheus writes it, with the node that a monitor adds.
fn name(node: u8, name: &str, labels: &Labels) -> String {
    let mut text = format!("{name}{{node=\"{node}\"");
    for (label, value) in labels {
        let _ = write!(text, ",{label}={value:?}");
    }
    text + "}"
}

fn all_rules_mut(rules: &mut Value) -> impl Iterator<Item = &mut Value> {
    let groups = rules["groups"].as_array_mut().into_iter().flatten();
    groups.flat_map(|group| group["rules"].as_array_mut().into_iter().flatten())
}

/// From promtool's words on a test in which no alert was to fire, those that did, each once.
fn fired(said: &str) -> Vec<String> {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    let mut time = "";
    for line in said.lines().map(str::trim) {
        if let Some((_, at)) =
            line.split_once("alertname: ").and_then(|(_, rest)| rest.split_once(", time: "))
        {
            time = at.trim_end_matches(',');
        }
        if let Some(labels) = line.split_once("Labels:").map(|(_, labels)| labels) {
            first.entry(labels.to_owned()).or_insert_with(|| format!("{time} of the run: alert {labels}"));
        }
    }
    first.into_values().collect()
}

#[cfg(test)]
mod tests;
