//! Whether the runtime looks where the agent writes: asked before anything is written.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{LoadedChain, Problem, RuntimeError};

/// How long the first answer is waited for. A runtime that restarts answers again within seconds; one whose socket is not there
/// will never tell, and then what was given is believed.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// Between two questions of a runtime that does not answer.
const SOON: Duration = Duration::from_millis(500);
/// Between two questions of one that looks elsewhere: it may be restarted with other settings.
const LATER: Duration = Duration::from_secs(30);

/// The directories that the agent was given, and what is known of the runtime's.
#[derive(Debug)]
pub(super) struct Place {
    conf_dir: PathBuf,
    bin_dir: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The first answer is waited for.
    Asking { until: Instant, next: Instant },
    /// They are the runtime's, or nobody can tell.
    Believed,
    /// They are not.
    Elsewhere { theirs: LoadedChain, next: Instant },
}

impl Place {
    pub(super) fn new(conf_dir: &Path, bin_dir: &Path, now: Instant) -> Self {
        let state = State::Asking { until: now + FIRST_ANSWER, next: now };
        Self { conf_dir: conf_dir.to_owned(), bin_dir: bin_dir.to_owned(), state }
    }

    /// When to ask the runtime.
    pub(super) fn next_ask(&self) -> Option<Instant> {
        match self.state {
            State::Asking { next, .. } | State::Elsewhere { next, .. } => Some(next),
            State::Believed => None,
        }
    }

    /// Until when nothing may be written; `None`: now it may be.
    pub(super) fn closed_until(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Asking { until, .. } => (now < until).then_some(until),
            State::Believed => None,
            State::Elsewhere { next, .. } => Some(next),
        }
    }

    /// Why nothing may be written.
    pub(super) fn problem(&self) -> Option<Problem> {
        match &self.state {
            State::Elsewhere { theirs, .. } => theirs.looks_elsewhere(&self.conf_dir, &self.bin_dir),
            State::Asking { .. } | State::Believed => None,
        }
    }

    /// What the runtime said.
    pub(super) fn answered(&mut self, answer: &Result<LoadedChain, RuntimeError>, now: Instant) {
        self.state = match (answer, &self.state) {
            (Ok(chain), _) if chain.looks_elsewhere(&self.conf_dir, &self.bin_dir).is_some() => {
                State::Elsewhere { theirs: chain.clone(), next: now + LATER }
            }
            (Err(_), State::Elsewhere { theirs, .. }) => {
                State::Elsewhere { theirs: theirs.clone(), next: now + LATER }
            }
            (Err(RuntimeError::Call(_)), State::Asking { until, .. }) if now < *until => {
                State::Asking { until: *until, next: now + SOON }
            }
            (Ok(_) | Err(_), _) => State::Believed,
        };
    }
}

#[cfg(test)]
mod tests;
