//! The result, for people and for programs.

use serde_json::{Value, json};
use smc_model::reasons::fallback_seen;

use crate::{Pair, Seen};
use rig::counters::{Counters, RoleCounters};

/// One pair's result.
#[derive(Debug, Clone)]
pub struct Report {
    /// The pair.
    pub pair: Pair,
    /// What was seen.
    pub seen: Seen,
    /// What is not as it must be.
    pub problem: Option<String>,
}

impl Report {
    /// The pair's object in `demo.json`.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.pair.name,
            "expected": self.pair.expected,
            "client": counters(&self.seen.client, Side::Client),
            "server": counters(&self.seen.server, Side::Server),
            "requests_ok": self.seen.traffic.requests,
            "requests_failed": self.seen.traffic.failed,
            "files": self.seen.traffic.files,
            "files_right": self.seen.traffic.files_right,
            "problem": self.problem,
        })
    }

    fn transport(&self) -> String {
        let client = &self.seen.client.client;
        match (client.smcr, client.fallbacks()) {
            (0, _) => "TCP".to_owned(),
            (smcr, 0) => format!("SMC-R ({smcr} connections)"),
            (smcr, _) => format!("SMC-R ({smcr} connections) between the pods, TCP within them"),
        }
    }

    fn reason(&self) -> String {
        let client = &self.seen.client.client;
        if client.is_zero() {
            return "not an SMC socket at all".to_owned();
        }
        let reasons =
            client.fallback.iter().map(|(&code, count)| format!("{} ({count})", fallback_seen(code)));
        reasons.collect::<Vec<_>>().join(", ")
    }
}

#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}

/// The side's own role, and the other one where a pod has connections of its own to itself.
fn counters(counters: &Counters, side: Side) -> Value {
    let (own, other) = match side {
        Side::Client => (&counters.client, &counters.server),
        Side::Server => (&counters.server, &counters.client),
    };
    let codes = |role: &RoleCounters| -> Value {
        role.fallback
            .iter()
            .map(|(code, count)| (format!("{code:#010x}"), json!(count)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let mut object = json!({ "smcr": own.smcr, "fallback": codes(own) });
    if !other.is_zero() {
        object["within_the_pod"] = json!({ "smcr": other.smcr, "fallback": codes(other) });
    }
    object
}

/// The table for people.
pub fn table(reports: &[Report]) -> String {
    let mut rows = vec![["", "PAIR", "REQUESTS", "TRANSPORT", "WHY TCP"].map(str::to_owned)];
    rows.extend(reports.iter().map(|report| {
        [
            if report.problem.is_none() { "ok" } else { "FAILED" }.to_owned(),
            report.pair.about.to_owned(),
            report.seen.traffic.requests.to_string(),
            report.transport(),
            report.reason(),
        ]
    }));
    let widths: Vec<usize> =
        (0..5).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    let problems = reports.iter().filter_map(|report| Some((report.pair.about, report.problem.as_ref()?)));
    text.extend(problems.map(|(about, problem)| format!("{about}: {problem}\n")));
    text
}
