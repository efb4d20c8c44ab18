//! Waits until a fault is named, from its injection on.

use std::thread;
use std::time::{Duration, Instant};

use super::judge::{Expectation, Judgement, judge};
use super::poll::Poller;
use super::sighting::{Seen, news};
use super::stage::Stage;
use super::table::Fault;

/// A minute is the promise, also for nodes that are emulated.
const LIMIT: Duration = Duration::from_secs(60);
/// How long nothing must be said where nothing is wrong.
const SILENCE: Duration = Duration::from_secs(30);

/// The observer of one fault. A script calls [`Watch::begin`], does the harm, and calls [`Watch::until_named`].
#[derive(Debug)]
pub(super) struct Watch<'w> {
    poller: &'w Poller,
    wanted: Expectation<'w>,
    nodes: usize,
    settle: Duration,
    before: Seen,
    begun: Option<Instant>,
    outcome: Outcome,
}

fn seen_now(poller: &Poller, nodes: usize) -> Seen {
    poller.fresh(nodes).iter().flat_map(|look| (*look.seen).clone()).collect()
}

/// What came of a fault.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What was reported.
    pub judgement: Judgement,
    /// How long after the injection the last place that was waited for had it.
    pub named_after: Option<Duration>,
}

impl<'w> Watch<'w> {
    /// What is reported in `before` is not the fault's; what is of `others`, which there are at the same time, is not either.
    pub(super) fn new(
        poller: &'w Poller,
        fault: &'w Fault,
        others: impl Iterator<Item = &'w Fault>,
        stage: &Stage<'_>,
        before: Seen,
    ) -> Self {
        let nodes = stage.conversion;
        Self {
            poller,
            wanted: Expectation::of(fault, nodes, &stage.places()).beside(others, nodes),
            nodes: stage.nodes.len(),
            settle: stage.settle,
            before,
            begun: None,
            outcome: Outcome::default(),
        }
    }

    /// What is reported now.
    pub(super) fn baseline(poller: &Poller, stage: &Stage<'_>) -> Seen {
        seen_now(poller, stage.nodes.len())
    }

    /// What is reported now, such as that the agent was stopped, is not the fault's.
    pub(super) fn set_apart(&mut self) {
        self.before = seen_now(self.poller, self.nodes);
    }

    /// From now on everything that is new counts.
    pub(super) fn begin(&mut self) {
        self.begun = Some(Instant::now());
    }

    /// The node was as it is before anybody looked: everything that is and was reported counts.
    pub(super) fn begin_with_nothing_known(&mut self) {
        self.before = Seen::new();
        self.begin();
    }

    /// Waits until the fault is named in every place, and some seconds more for what should not be said; or until the
    /// limit is over.
    pub(super) fn until_named(&mut self) {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let limit = if self.wanted.expected.is_empty() { SILENCE } else { LIMIT };
        loop {
            self.judge(begun);
            let waited = begun.elapsed();
            let settled = self.outcome.named_after.is_some_and(|after| waited >= after + self.settle);
            if waited > limit || settled {
                return;
            }
            thread::sleep(Duration::from_millis(250));
        }
    }

    /// Goes through the looks since the injection: what was said once stays said.
    fn judge(&mut self, begun: Instant) {
        let mut seen = Seen::new();
        self.outcome.named_after = None;
        for look in self.poller.since(begun) {
            seen.extend(news(&look.seen, &self.before));
            self.outcome.judgement = judge(&self.wanted, &seen);
            let everywhere = self.outcome.judgement.places.is_superset(&self.wanted.places);
            if self.outcome.named_after.is_none() && everywhere && !self.wanted.expected.is_empty() {
                self.outcome.named_after = Some(look.ended - begun);
            }
        }
    }

    /// What came of it.
    pub(super) fn outcome(self) -> Outcome {
        self.outcome
    }
}
