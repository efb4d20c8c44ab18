//! Not to fight: when somebody undoes our change right after each time, the next one waits longer and longer.

use std::time::{Duration, Instant};

/// What counts as a fight.
#[derive(Debug, Clone, Copy)]
pub struct FightLimits {
    /// An entry that is gone this soon after it was put in was taken out because it was put in.
    pub reaction: Duration,
    /// How often in a row before there is a wait.
    pub tolerated: u32,
    /// The first wait; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
}

impl Default for FightLimits {
    fn default() -> Self {
        Self {
            reaction: Duration::from_secs(1),
            tolerated: 5,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(300),
        }
    }
}

/// The course of a fight.
#[derive(Debug)]
pub(super) struct Fight {
    limits: FightLimits,
    put_in: Option<Instant>,
    lost: u32,
    not_before: Option<Instant>,
}

impl Fight {
    pub(super) fn new(limits: FightLimits) -> Self {
        Self { limits, put_in: None, lost: 0, not_before: None }
    }

    /// Our entry was put in.
    pub(super) fn put_in(&mut self, now: Instant) {
        self.put_in = Some(now);
        self.not_before = None;
    }

    /// It was seen to be gone.
    pub(super) fn gone(&mut self, now: Instant) {
        let Some(put_in) = self.put_in.take() else { return };
        if now >= put_in + self.limits.reaction {
            self.lost = 0;
            return;
        }
        self.lost += 1;
        if let Some(doublings) = self.lost.checked_sub(self.limits.tolerated) {
            let wait = self.limits.first_wait.saturating_mul(1 << doublings.min(16));
            self.not_before = Some(now + wait.min(self.limits.longest_wait));
        }
    }

    /// It stood long enough for the next loss to be another matter.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.put_in.is_some_and(|put_in| now >= put_in + self.limits.reaction)
    }

    /// How often it was lost in a row, when that is too often.
    pub(super) fn too_often(&self) -> Option<u32> {
        (self.lost >= self.limits.tolerated).then_some(self.lost)
    }

    /// How long the next attempt has to wait, if at all.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.not_before?.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests;
