//! The metrics, in OpenMetrics form. Names and labels are an interface: `metrics/names.txt` holds them, and a test.
//!
//! What is true at this moment (pods, connections, devices, switch) is read off the board when somebody asks; what
//! happened is counted here.

mod snapshot;

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use smc_state::Record;

use crate::board::Board;
use snapshot::Snapshot;

/// The media type of what [`Metrics::text`] makes.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds of the durations: a plain ADD takes milliseconds, and 2 s is the limit of all.
const BUCKETS: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];

/// The metrics; clones are the same ones.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: std::sync::Arc<Registry>,
    add_durations: Durations,
    del_durations: Durations,
    repairs: Family<ResultLabel, Counter>,
    reinsertions: Counter,
    exposed: Counter<f64, std::sync::atomic::AtomicU64>,
}

/// By phase.
type Durations = Family<PhaseLabel, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: Repair,
}

/// How a repair in place ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Repair {
    /// The pod is set up.
    Repaired,
    /// It stays on TCP; its record says why.
    Refused,
    /// It could not be tried to the end, and is tried again.
    Failed,
}

impl EncodeLabelValue for Repair {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        EncodeLabelValue::encode(
            &match self {
                Self::Repaired => "repaired",
                Self::Refused => "refused",
                Self::Failed => "failed",
            },
            encoder,
        )
    }
}

impl Metrics {
    /// All families, over what is on `board`.
    pub fn new(board: Board) -> Self {
        let mut registry = Registry::with_prefix("kube_smc");
        let durations = || -> Durations { Family::new_with_constructor(|| Histogram::new(BUCKETS)) };
        let (add_durations, del_durations) = (durations(), durations());
        let (repairs, reinsertions) = (Family::<ResultLabel, Counter>::default(), Counter::default());
        let exposed = Counter::<f64, std::sync::atomic::AtomicU64>::default();
        registry.register(
            "build",
            "The agent's version",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register_with_unit(
            "add_duration",
            "Time of the plugin's ADD calls for annotated pods, by phase; phase total is the whole of it",
            Unit::Seconds,
            add_durations.clone(),
        );
        registry.register_with_unit(
            "del_duration",
            "Time until what an annotated pod had in the host's kernel was released, by phase; total is the whole of it",
            Unit::Seconds,
            del_durations.clone(),
        );
        registry.register("repairs", "Pods that were to be set up in place, by result", repairs.clone());
        registry.register(
            "chain_reinsertions",
            "How often the plugin's entry was put back into the CNI list after another program's rewrite",
            reinsertions.clone(),
        );
        registry.register_with_unit(
            "chain_exposed",
            "Time during which the CNI list was without the plugin's entry, so that new pods were missed",
            Unit::Seconds,
            exposed.clone(),
        );
        for result in [Repair::Repaired, Repair::Refused, Repair::Failed] {
            drop(repairs.get_or_create(&ResultLabel { result }));
        }
        for durations in [&add_durations, &del_durations] {
            drop(durations.get_or_create(&PhaseLabel { phase: TOTAL.to_owned() }));
        }
        registry.register_collector(Box::new(Snapshot(board)));
        Self {
            registry: std::sync::Arc::new(registry),
            add_durations,
            del_durations,
            repairs,
            reinsertions,
            exposed,
        }
    }

    /// Counts the phases of an ADD that has ended.
    pub fn add_ended(&self, record: &Record) {
        observe(&self.add_durations, record);
    }

    /// Counts the phases of a DEL; the record is its tombstone.
    pub fn del_ended(&self, tombstone: &Record) {
        observe(&self.del_durations, tombstone);
    }

    /// Counts a repair in place.
    pub fn repair_ended(&self, result: Repair) {
        self.repairs.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts that the entry was put back into the list.
    pub fn entry_reinserted(&self) {
        self.reinsertions.inc();
    }

    /// Adds a time during which the list was without the entry.
    pub fn was_exposed(&self, time: Duration) {
        self.exposed.inc_by(time.as_secs_f64());
    }

    /// All of it as text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

const TOTAL: &str = "total";

/// Counts the phases on record, and all of them together.
fn observe(durations: &Durations, record: &Record) {
    if record.timings.is_empty() {
        return;
    }
    let observe = |phase: &str, us: u64| {
        let seconds = Duration::from_micros(us).as_secs_f64();
        durations.get_or_create(&PhaseLabel { phase: phase.to_owned() }).observe(seconds);
    };
    let mut total = 0;
    for timing in &record.timings {
        observe(&timing.phase, timing.us);
        total += timing.us;
    }
    observe(TOTAL, total);
}

#[cfg(test)]
mod tests;
