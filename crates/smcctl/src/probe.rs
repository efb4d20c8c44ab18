//! What the DaemonSet's probes run: is it this pod's own agent that answers, and what does it say?

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::agent::{self, Answer};
use crate::output::{Outcome, Status};

/// How long an agent's start is waited for: a little longer than the agent itself lets anybody wait (50 s), and less than the
/// probe's own limit.
const START_LIMIT: Duration = Duration::from_secs(55);
/// How soon an agent that does not answer yet is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// What is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Stage {
    /// Wait until the agent's start is over
    Started,
    /// Whether it works on, or is stuck and better restarted
    Alive,
}

/// What came of asking once.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    /// The pod's own agent says so.
    Own { well: bool, said: String },
    /// Nobody answers, or somebody else.
    Not(String),
}

/// Asks at the socket; `own` is the pod's UID, without which whoever answers is believed.
pub(crate) fn probe(socket: &Path, stage: Stage, own: Option<&str>) -> Outcome {
    let (path, limit) = match stage {
        Stage::Started => ("/healthz?wait=ready", START_LIMIT),
        Stage::Alive => ("/healthz", Duration::ZERO),
    };
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let seen = seen(agent::get(socket, path, left.max(agent::LIMIT)), own);
        match seen {
            Heard::Not(_) if !left.is_zero() => sleep(AGAIN),
            Heard::Not(said) => return told(false, &said),
            Heard::Own { well, said } => return told(well, &said),
        }
    }
}

fn seen(answer: Result<Answer>, own: Option<&str>) -> Heard {
    match answer {
        Err(error) => Heard::Not(format!("{error:#}")),
        Ok(answer) if own.is_some() && answer.pod.as_deref() != own => {
            let whose = answer.pod.as_deref().unwrap_or("none");
            Heard::Not(format!("another agent answers (of the pod with UID {whose}), this pod's own not yet"))
        }
        Ok(answer) => {
            let said = String::from_utf8_lossy(&answer.body).trim().to_owned();
            Heard::Own { well: answer.status == 200, said }
        }
    }
}

fn told(well: bool, said: &str) -> Outcome {
    let status = if well { Status::Fine } else { Status::Problem };
    Outcome { status, json: json!({ "well": well, "said": said }), text: format!("{said}\n") }
}

#[cfg(test)]
mod tests;
