//! What the agent tells about the chain.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{Loaded, Owner, Placement};

/// The state of the chain, for metrics, readiness and people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// How the entry gets into the chain; `None` until there is a list.
    pub placement: Option<Placement>,
    /// Why so.
    pub why: String,
    /// The list that the runtime uses.
    pub list: Option<PathBuf>,
    /// Where the entry stands; `None`: nowhere.
    pub present: Option<PathBuf>,
    /// Who placed it.
    pub owner: Option<Owner>,
    /// Whether the runtime uses it.
    pub runtime: Loaded,
    /// How often it was put in since the agent started.
    pub insertions: u64,
    /// How long there was a list without the entry since the agent started, without the present such time.
    pub exposed: Duration,
    /// Since when there is a list without the entry; `None`: there is none.
    pub exposed_since: Option<SystemTime>,
    /// What is wrong, when something is.
    pub problem: Option<StatusProblem>,
}

/// A problem in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusProblem {
    /// The name of the kind, for metrics.
    pub name: &'static str,
    /// What was attempted, on what, what came back, what to do.
    pub message: String,
}
