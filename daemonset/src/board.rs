//! What the agent knows at this moment, for those who ask: metrics, health, status and the node's condition.
//!
//! Those who know something put it on the board as a value; those who answer read it. Nobody waits for anybody.

mod chain;
mod losses;
mod problems;
mod readiness;
mod view;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use smc_model::Reason;
use smc_surfaces::Subject;

pub use chain::Chain;
pub use losses::{LOSSES, Loss, Losses};
pub use problems::{Problems, Told};
pub use readiness::{LOSS_TOLERATED, NotReady, Readiness, START_WITHIN, STUCK_AFTER};
pub use view::{DeviceUse, EventCounts, NodeCheck, PodVerdict, View};

/// The board; clones are the same one.
#[derive(Debug, Clone)]
pub struct Board(Arc<Mutex<View>>);

impl Board {
    /// A board that says that nothing is known yet.
    pub fn new(view: View) -> Self {
        Self(Arc::new(Mutex::new(view)))
    }

    /// Puts something on the board.
    pub fn update<R>(&self, change: impl FnOnce(&mut View) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the board. Whoever reads keeps others from writing, so takes what is needed and leaves.
    pub fn read<R>(&self, look: impl FnOnce(&View) -> R) -> R {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in that something that had been set up for one pod was found missing. Whoever found it logs it.
    pub fn lost(&self, name: &'static str, seen: String) {
        self.update(|view| view.losses.count(name, seen, wall()));
    }

    /// Takes in what the whole node lacked, or what was changed there, until now. Whoever put it right logs it.
    pub fn node_lost(&self, reason: Reason) {
        self.update(|view| view.losses.count_of_node(reason, wall()));
    }

    /// Says what is wrong with one subject, or that nothing is any more; logged when that changes.
    pub fn problem(&self, subject: Subject, problem: Option<String>) {
        let of = subject.clone();
        match self.update(|view| view.problems.tell(subject, problem, Instant::now())) {
            Told::Nothing => {}
            Told::New(problem) => tracing::warn!("{of}: {problem}"),
            Told::Gone(problem) => tracing::info!("no longer: {of}: {problem}"),
        }
    }
}

/// Seconds since the epoch.
pub(crate) fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
