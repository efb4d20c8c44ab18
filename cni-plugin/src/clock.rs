//! When a call began, and when it must have ended.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use smc_attach::Budget;

/// The whole of an ADD: longer waits in plugins hold up the runtime's other pods.
const BUDGET: Duration = Duration::from_secs(2);
/// What is left after it for taking back what was begun, before the call answers without its worker: more than that waits for a
/// lock of our own (`smc_attach`).
const PATIENCE: Duration = Duration::from_millis(700);

/// When a call began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Instant,
    wall: SystemTime,
    /// The process that was called; workers are others.
    process: u32,
}

impl Clock {
    /// Begins now.
    pub(crate) fn start() -> Self {
        Self { began: Instant::now(), wall: SystemTime::now(), process: std::process::id() }
    }

    /// When the work must have ended.
    pub(crate) fn deadline(&self) -> Instant {
        self.began + BUDGET
    }

    /// When the call answers, whatever became of the work: after 2.7 s.
    pub(crate) fn answers_by(&self) -> Instant {
        self.deadline() + PATIENCE
    }

    /// The budget of the work on one attachment.
    pub(crate) fn budget(&self) -> Budget {
        let since_epoch = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Budget { deadline: self.deadline(), started_ms }
    }

    /// Microseconds since the call began.
    pub(crate) fn elapsed_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// An id for this call that no other call on this node has: the time and the process.
    pub(crate) fn call_id(&self) -> String {
        let since_epoch = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{:x}-{:x}", since_epoch.as_micros(), self.process)
    }
}
