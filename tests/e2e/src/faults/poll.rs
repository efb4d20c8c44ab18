//! Looks at the nodes all the time, beside what is done to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rig::host::{Node, repository};

use super::sighting::{Answers, Seen};

/// How long a node is left alone between two looks.
const REST: Duration = Duration::from_secs(1);
/// An emulated node may take long; one that does not answer at all is no node.
const LIMIT: Duration = Duration::from_secs(60);

/// Of how many looks the words are kept.
const WORDS_KEPT: usize = 20;

/// What an operator can look at, in one command: starting one costs more than what it does.
const LOOK: &str = r#"exec 2>/dev/null
    printf '\n@@pods\n'; "$1" --json pods
    printf '\n@@doctor\n'; "$1" --json doctor
    printf '\n@@metrics\n'; curl -sS -m 10 http://127.0.0.1:9810/metrics
    printf '\n@@events\n'; [ -z "$2" ] || curl -sS -m 10 "http://127.0.0.1:$2/events""#;

/// One look at one node.
#[derive(Debug, Clone)]
pub struct Look {
    /// The node.
    pub node: u8,
    /// When it began.
    pub begun: Instant,
    /// When it ended.
    pub ended: Instant,
    /// What was reported.
    pub seen: Arc<Seen>,
    /// What the node's programs said.
    pub answers: Arc<Answers>,
}

/// All looks so far.
#[derive(Debug, Default)]
pub struct Poller {
    looks: Mutex<Vec<Look>>,
    stop: AtomicBool,
}

/// Ends the looking also when the work panics.
struct Stop<'p>(&'p Poller);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Release);
    }
}

impl Poller {
    /// Looks at `nodes` while `work` goes on. `events` is the port of the stand-in for the API server, where there is one.
    pub fn over<T>(nodes: &[Node<'_>], events: Option<&str>, work: impl FnOnce(&Self) -> T) -> T {
        let poller = Self::default();
        thread::scope(|scope| {
            for node in nodes {
                let poller = &poller;
                scope.spawn(move || {
                    while !poller.stop.load(Ordering::Acquire) {
                        poller.look(node, events.unwrap_or_default());
                        thread::sleep(REST);
                    }
                });
            }
            let _stop = Stop(&poller);
            work(&poller)
        })
    }

    fn look(&self, node: &Node<'_>, events: &str) {
        let program = repository().join("target/dist/smcctl").display().to_string();
        let begun = Instant::now();
        let command = node.command(&["sh", "-c", LOOK, "sh", &program, events]).timeout(LIMIT);
        // A node that could not be asked has said nothing.
        let Ok(output) = command.output() else { return };
        let answers = Answers::parse(&String::from_utf8_lossy(&output.stdout));
        let (node, seen) = (node.number(), Arc::new(answers.sightings(node.number())));
        let look = Look { node, begun, ended: Instant::now(), seen, answers: Arc::new(answers) };
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.push(look);
        // Runs are long: what was said, word for word, is kept of the last looks only.
        if let Some(old) = looks.len().checked_sub(WORDS_KEPT) {
            looks[old].answers = Arc::default();
        }
    }

    /// The looks that began after `moment`, in the order of their ends.
    pub fn since(&self, moment: Instant) -> Vec<Look> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.iter().filter(|look| look.begun >= moment).cloned().collect()
    }

    /// The looks from this one on, counted from the first.
    pub fn from(&self, first: usize) -> Vec<Look> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.iter().skip(first).cloned().collect()
    }

    /// The next look at each of `nodes` nodes that begins from now on.
    pub fn fresh(&self, nodes: usize) -> Vec<Look> {
        let now = Instant::now();
        loop {
            let mut last = BTreeMap::new();
            last.extend(self.since(now).into_iter().map(|look| (look.node, look)));
            if last.len() >= nodes {
                return last.into_values().collect();
            }
            assert!(now.elapsed() < 4 * LIMIT, "the nodes do not answer");
            thread::sleep(Duration::from_millis(100));
        }
    }
}
