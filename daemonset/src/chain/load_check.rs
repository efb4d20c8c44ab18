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
mod tests {
    use super::*;

    fn no() -> Loaded {
        Loaded::No { why: "it is without".to_owned() }
    }

    /// Asks as often as the check wants; gives the moments, in tenths of a second, at which it nudged.
    fn run(
        check: &mut LoadCheck,
        start: Instant,
        until: Duration,
        answer: impl Fn(Duration) -> Loaded,
    ) -> Vec<u128> {
        let mut nudges = Vec::new();
        while let Some(now) = check.next_ask().filter(|next| *next < start + until) {
            check.asked();
            if check.answered(answer(now - start), now) {
                nudges.push((now - start).as_millis() / 100);
            }
        }
        nudges
    }

    #[test]
    fn a_runtime_that_loads_by_itself_is_not_nudged() {
        let (mut check, start) = (LoadCheck::default(), Instant::now());
        check.expect(start);
        let nudges = run(&mut check, start, Duration::from_secs(300), |after| {
            if after > Duration::from_secs(1) { Loaded::Yes } else { no() }
        });
        assert_eq!((nudges, check.loaded()), (vec![], &Loaded::Yes));
        assert_eq!(check.hopeless(start + Duration::from_secs(300)), None);
    }

    #[test]
    fn a_runtime_that_does_not_load_is_nudged_once_and_then_reported() {
        let (mut check, start) = (LoadCheck::default(), Instant::now());
        check.expect(start);
        let nudges = run(&mut check, start, Duration::from_secs(4), |_| no());
        assert_eq!(nudges, [21]);
        assert_eq!(check.hopeless(start + Duration::from_secs(4)), None, "it may still be reading");
        assert_eq!(run(&mut check, start, Duration::from_secs(600), |_| no()), [0; 0]);
        assert_eq!(check.hopeless(start + Duration::from_secs(5)), Some("it is without"));
        run(&mut check, start, Duration::from_secs(700), |_| Loaded::Yes);
        assert_eq!(check.hopeless(start + Duration::from_secs(700)), None);
    }

    #[test]
    fn a_runtime_that_loses_the_entry_later_is_nudged_again() {
        let (mut check, start) = (LoadCheck::default(), Instant::now());
        check.expect(start);
        let lost = Duration::from_secs(100);
        let nudges =
            run(
                &mut check,
                start,
                Duration::from_secs(300),
                |after| {
                    if after < lost { Loaded::Yes } else { no() }
                },
            );
        assert_eq!(nudges.len(), 1);
        assert!(nudges[0] >= 1020, "{nudges:?}");
    }

    #[test]
    fn what_is_not_known_is_asked_again_later_and_nobody_is_nudged() {
        let (mut check, start) = (LoadCheck::default(), Instant::now());
        check.expect(start);
        let unknown = |_| Loaded::Unknown { why: "no socket".to_owned() };
        assert_eq!(run(&mut check, start, Duration::from_secs(100), unknown), [0; 0]);
        assert_eq!(check.hopeless(start + Duration::from_secs(100)), None);
        check.expect_nothing();
        assert_eq!(check.next_ask(), None);
        assert!(!check.answered(no(), start), "an answer to an old question");
    }
}
