//! What comes of the pods that are set up, by what the kernel shows: live verdicts, counters, Events.
//!
//! A thread of its own looks into the namespaces of set-up pods: at their counters every 10 s, at lists of connections only
//! when the counters call for it. Where the kernel has the tracepoint `smc_switch_to_fallback` and BTF, it also tells of
//! each fallback when it happens, with the peer (see [`crate::node::bpf::FallbackEvents`]); then idle pods are looked at less
//! often. What was seen goes onto the [`Board`], so that a scrape reads values and asks no kernel, and into
//! `traffic.json`.
//!
//! Which fallbacks are failures is a function (`smc_model::judge`): in-pod and same-node traffic never is, a peer without SMC only when it spoke
//! SMC in the last 10 minutes. Degraded means failures and not one success for 15 s, active again a success and no failure for 60 s; properties
//! say that a lasting fault is named within 30 s and that nothing flaps. What is wrong with the node or the pod's RDMA port degrades at once.
//!
//! The kernel's code says what was not found, not why: `smc_model::diagnose` names the fault from the code, the side, the peer's code, the
//! node's facts, what the pod's namespace and the host lack of its set-up, and what the agent had to put back in the last 15 s.
//!
//! Without the tracepoint (Alibaba's kernel, no BTF of smc) counters are judged. They know no peers: peers without SMC are one number, and a
//! peer that lost SMC is not noticed. In-pod fallbacks are counted on both sides of one pod, those between two pods of the node on one side of
//! each; so all pods are looked at together, each look is judged at the next one, and only what a pod has more than itself and all others can
//! explain left the node for certain. The rest is *unplaced*, which is said, and no failure. Connections that live while they are listed place
//! theirs. `/status` and `traffic.json` say which of both it is.

mod devices;
mod offers;
mod pod;
mod report;
mod set_up;
mod timed_out;
mod watch;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use smc_model::NodeFacts;
use smc_state::Store;

use crate::board::{Board, wall};
use crate::node::bpf::FallbackEvent;
use crate::pods::records::Change;
use crate::pods::repair::LostPods;
use crate::surfaces::Announcer;
use watch::Watch;

/// How many of the kernel's events may wait; beyond that, counters are judged.
const EVENTS: usize = 16 * 1024;

/// How long what comes is gathered: pods and fallbacks come in bursts, and each turn lists all pods.
const GATHER: Duration = Duration::from_millis(200);

/// What the thread works with.
#[derive(Debug)]
pub struct Tools {
    /// Where it publishes.
    pub store: Store,
    /// Where others read.
    pub board: Board,
    /// Who writes Events.
    pub announcer: Announcer,
    /// Who sets pods up again.
    pub lost: LostPods,
}

/// The thread's ear; clones are the same one. The thread ends with the process.
#[derive(Debug, Clone)]
pub struct Traffic(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    /// What was last told of the node.
    facts: Mutex<Option<NodeFacts>>,
    bell: Condvar,
}

/// What came since the thread looked last.
#[derive(Debug, Default)]
struct Inbox {
    changes: Vec<Change>,
    facts: Option<NodeFacts>,
    events: Vec<FallbackEvent>,
    /// Events that found no room here.
    overflowed: bool,
    rung: bool,
}

impl Traffic {
    /// Starts the thread.
    pub fn start(tools: Tools) -> io::Result<Self> {
        let traffic = Self(Arc::default());
        let ear = traffic.clone();
        thread::Builder::new().name("traffic".to_owned()).spawn(move || {
            let mut watch = Watch::new(tools);
            loop {
                let inbox = ear.take(watch.rest());
                watch.turn(inbox, &ear);
            }
        })?;
        Ok(traffic)
    }

    /// Takes in what became of records.
    pub fn records_changed(&self, changes: &[Change]) {
        if !changes.is_empty() {
            self.ring(|inbox| inbox.changes.extend_from_slice(changes));
        }
    }

    /// Takes in what a look at the node said.
    pub fn node_is(&self, facts: &NodeFacts) {
        let mut told = self.0.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != Some(facts) {
            *told = Some(facts.clone());
            self.ring(|inbox| inbox.facts = Some(facts.clone()));
        }
    }

    fn fell_back(&self, event: FallbackEvent) {
        self.ring(|inbox| {
            if inbox.events.len() < EVENTS {
                inbox.events.push(event);
            } else {
                inbox.overflowed = true;
            }
        });
    }

    fn ring(&self, put: impl FnOnce(&mut Inbox)) {
        let mut inbox = self.lock();
        put(&mut inbox);
        inbox.rung = true;
        self.0.bell.notify_one();
    }

    /// What came, at the latest after `rest`.
    fn take(&self, rest: Duration) -> Inbox {
        let inbox = self.lock();
        let (inbox, _) = self
            .0
            .bell
            .wait_timeout_while(inbox, rest, |inbox| !inbox.rung)
            .unwrap_or_else(PoisonError::into_inner);
        let rung = inbox.rung;
        drop(inbox);
        if rung {
            thread::sleep(GATHER);
        }
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.0.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
