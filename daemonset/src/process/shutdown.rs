//! The wish that the agent ends.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for SIGTERM or SIGINT.
///
/// In its container the agent is process 1, for which a signal has no default: the kernel drops one that comes before
/// somebody listens for it (kernel/signal.c, `sig_task_ignored`), and an upgrade waits for the whole grace period.
#[derive(Debug)]
pub struct Shutdown {
    terminate: Signal,
    interrupt: Signal,
}

impl Shutdown {
    /// Listens from now on: the first thing to do. To be called in the context of the runtime that waits.
    ///
    /// # Errors
    /// The kernel's, when no handler can be set.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Returns when the agent was told to end, also when that was before this call. May be dropped and called again.
    pub async fn wanted(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
