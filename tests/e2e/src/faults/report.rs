//! The matrix: printed as it comes, and `faults.json`.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rig::host::Conversion;
use serde_json::{Value, json};

use super::table::{Fault, How};
use super::watch::Outcome;

/// A row of the matrix.
#[derive(Debug, Clone)]
pub struct Row {
    name: String,
    expected: BTreeSet<String>,
    outcome: Outcome,
    recorded: bool,
    healed_after: Option<Duration>,
    failed: Option<String>,
}

/// The matrix' head.
pub fn header() -> String {
    line("", "fault", "reported", "where", "after", "well again")
}

fn line(sign: &str, name: &str, reported: &str, places: &str, after: &str, healed: &str) -> String {
    format!("{sign:1} {name:28} {reported:44} {places:30} {after:>7} {healed:>10}")
}

/// Names of reasons, for a person.
pub fn joined(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

impl Row {
    /// What came of a fault.
    pub fn of(fault: &Fault, nodes: Conversion, outcome: Outcome) -> Self {
        let (name, expected) = (fault.name.clone(), fault.expects(nodes).0.clone());
        Self {
            name,
            expected,
            outcome,
            recorded: fault.how == How::Recorded,
            healed_after: None,
            failed: None,
        }
    }

    /// A recorded fault whose test has passed.
    pub fn recorded(fault: &Fault) -> Self {
        let mut row = Self::of(fault, Conversion::Bpf, Outcome::default());
        row.outcome.judgement.reported.clone_from(&fault.expected);
        row.outcome.judgement.places.clone_from(&fault.places);
        row.outcome.judgement.named = true;
        row
    }

    /// The fault was undone, and all was well after this time.
    pub fn healed(&mut self, after: Duration) {
        self.healed_after = Some(after);
    }

    /// Something went wrong.
    pub fn fail(&mut self, why: String) {
        self.failed.get_or_insert(why);
    }

    /// What was reported, in a few words.
    pub fn reported(&self) -> String {
        let after = self.outcome.named_after.map_or(0.0, |after| after.as_secs_f32());
        format!("{}: {} after {after:.1} s", self.name, joined(&self.outcome.judgement.reported))
    }

    /// Whether its cause was named.
    pub fn cause_named(&self) -> bool {
        self.outcome.judgement.named
    }

    /// Whether all is as it should be: the cause was named, and all was well afterwards.
    pub fn is_right(&self) -> bool {
        self.cause_named() && self.failed.is_none()
    }

    /// The entry of `faults.json`.
    pub fn to_json(&self) -> Value {
        let judgement = &self.outcome.judgement;
        let mut places: Vec<String> = judgement.places.iter().map(ToString::to_string).collect();
        if self.recorded {
            places.push("recorded".to_owned());
        }
        let seconds = self.outcome.named_after.map(|after| (after.as_secs_f64() * 10.0).round() / 10.0);
        let mut entry = json!({
            "name": self.name,
            "cause_named": self.cause_named(),
            "reported": joined(&judgement.reported),
            "where": places,
            "seconds": seconds,
        });
        if !judgement.at_the_peer.is_empty() {
            entry["at_the_peer"] = json!(judgement.at_the_peer);
        }
        if let Some(why) = &self.failed {
            entry["problem"] = json!(why);
        }
        entry
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judgement = &self.outcome.judgement;
        let mut reported = joined(&judgement.reported);
        if !judgement.at_the_peer.is_empty() {
            reported = format!("{reported} (at the peer {})", joined(&judgement.at_the_peer));
        }
        let mut places: Vec<String> = judgement.places.iter().map(ToString::to_string).collect();
        if self.recorded {
            places.push("recorded".to_owned());
        }
        let seconds =
            |time: Option<Duration>| time.map_or(String::new(), |t| format!("{:.1} s", t.as_secs_f32()));
        let sign = if self.is_right() { "✓" } else { "✗" };
        let (after, healed) = (seconds(self.outcome.named_after), seconds(self.healed_after));
        f.write_str(line(sign, &self.name, &reported, &places.join(" "), &after, &healed).trim_end())?;
        if !self.cause_named() {
            write!(f, "\n    expected {}", joined(&self.expected))?;
        }
        if let Some(why) = &self.failed {
            write!(f, "\n    {why}")?;
        }
        Ok(())
    }
}

/// Writes `faults.json`.
pub fn write(path: &Path, rows: &[Row]) -> Result<()> {
    let faults: Vec<Value> = rows.iter().map(Row::to_json).collect();
    let text = serde_json::to_string_pretty(&json!({ "faults": faults })).context("write the matrix")?;
    fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests;
