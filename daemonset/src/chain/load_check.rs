//! The closed loop: ask the runtime, nudge it once, and say so if that did not help.

use std::time::{Duration, Instant};

use super::Loaded;

/// A runtime reads changed files within moments; so long it is asked in quick succession.
const SOON: Duration = Duration::from_millis(500);
/// How long it may take before it is nudged, and after that before there is a problem.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is asked when all is well, or hopeless.
const LATER: Duration = Duration::from_secs(30);

/// Where the loop stands.
#[derive(Debug, Default)]
pub(super) struct LoadCheck {
    /// Since when the runtime should have the entry.
    since: Option<Instant>,
    nudged: Option<Instant>,
    next: Option<Instant>,
    loaded: Loaded,
    settled: bool,
}

impl LoadCheck {
    /// The files changed: the runtime must read them.
    pub(super) fn expect(&mut self, now: Instant) {
        *self = Self { since: Some(now), next: Some(now + SOON / 5), ..Self::default() };
    }

    /// There is no entry that the runtime could have.
    pub(super) fn expect_nothing(&mut self) {
        *self = Self::default();
    }

    /// When to ask.
    pub(super) fn next_ask(&self) -> Option<Instant> {
        self.next
    }

    /// The question is under way.
    pub(super) fn asked(&mut self) {
        self.next = None;
    }

    /// What the runtime said. Returns whether to nudge it.
    pub(super) fn answered(&mut self, loaded: Loaded, now: Instant) -> bool {
        let Some(since) = self.since else { return false };
        let (mut wait, mut nudge) = (SOON, false);
        match &loaded {
            Loaded::Yes => {
                wait = LATER;
                self.settled = true;
                self.nudged = None;
            }
            Loaded::Untold | Loaded::Unknown { .. } => wait = LATER,
            Loaded::No { .. } if self.settled => {
                // It had the entry: the patience begins now.
                self.since = Some(now);
                self.settled = false;
            }
            Loaded::No { .. } => match self.nudged {
                None => {
                    nudge = now >= since + PATIENCE;
                    self.nudged = nudge.then_some(now);
                }
                Some(nudged) if now >= nudged + PATIENCE => wait = LATER,
                Some(_) => {}
            },
        }
        self.loaded = loaded;
        self.next = Some(now + wait);
        nudge
    }

    /// What the runtime said last.
    pub(super) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Why it does not have the entry, when even a nudge did not help.
    pub(super) fn hopeless(&self, now: Instant) -> Option<&str> {
        match &self.loaded {
            Loaded::No { why } if self.nudged.is_some_and(|nudged| now >= nudged + PATIENCE) => Some(why),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
