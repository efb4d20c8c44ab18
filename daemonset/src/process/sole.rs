//! One process of kube-smc changes a node at a time: an agent, or what undoes its work.
//!
//! Two agents (a second DaemonSet in another namespace) would take the chain entry from each other for ever, and beside a
//! living agent all that was uninstalled would be back within seconds. The lock is the kernel's, so it ends with its holder,
//! however that ends.

use std::env;
use std::fs;
use std::time::{Duration, Instant};

use smc_state::{Lock, StateError, Store};
use thiserror::Error;

/// How long an agent waits: in an upgrade the one before it may still be ending.
pub const AGENT_WAITS: Duration = Duration::from_secs(15);
/// How long uninstalling waits: the agent's pod has 10 s to end after its DaemonSet was deleted.
pub const UNINSTALL_WAITS: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(200);
/// Longest description of a holder that is believed.
const LONGEST: usize = 400;

/// What a process does with the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// `smc-agent run`.
    Run,
    /// `smc-agent uninstall`.
    Uninstall,
}

impl Work {
    fn patience(self) -> Duration {
        match self {
            Self::Run => AGENT_WAITS,
            Self::Uninstall => UNINSTALL_WAITS,
        }
    }

    /// This process in words, for whoever finds the node taken.
    fn holder(self) -> String {
        let what = match self {
            Self::Run => "smc-agent run",
            Self::Uninstall => "smc-agent uninstall",
        };
        match (env::var("POD_NAMESPACE"), env::var("POD_NAME")) {
            (Ok(namespace), Ok(name)) => format!("{what} in pod {namespace}/{name}"),
            _ => format!("{what}, process {}", std::process::id()),
        }
    }
}

/// This process has the node, until this is dropped.
#[derive(Debug)]
pub struct Sole {
    _lock: Lock,
}

/// Why it has not.
#[derive(Debug, Error)]
pub enum SoleError {
    /// Somebody else goes on having it, and this was to be an agent.
    #[error(
        "another kube-smc is at work on this node ({holder}), still after {} s, and two would undo each other's work: delete \
         one of the DaemonSets that `kubectl get daemonset -A -l app.kubernetes.io/name=kube-smc` shows",
        waited.as_secs()
    )]
    Taken {
        /// Who.
        holder: String,
        /// How long it was waited.
        waited: Duration,
    },
    /// Somebody else goes on having it, and this was to uninstall.
    #[error(
        "nothing was undone: the agent still runs on this node ({holder}), even after {} s, and would make everything again: \
         delete its DaemonSet first (`kubectl get daemonset -A -l app.kubernetes.io/name=kube-smc`)",
        waited.as_secs()
    )]
    AgentRuns {
        /// Who.
        holder: String,
        /// How long it was waited.
        waited: Duration,
    },
    /// The lock cannot be used.
    #[error("cannot see whether another kube-smc is at work on this node")]
    Lock(#[source] StateError),
}

/// Takes the node for `work`, waiting for whoever has it to end.
///
/// # Errors
/// When it goes on having it, or the lock cannot be used.
pub async fn take(store: &Store, work: Work) -> Result<Sole, SoleError> {
    take_within(store, work, work.patience()).await
}

async fn take_within(store: &Store, work: Work, patience: Duration) -> Result<Sole, SoleError> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        match store.lock_node() {
            Ok(lock) => {
                // Only words for others: without them the lock is held all the same.
                let _ = fs::write(store.node_lock_path(), work.holder());
                return Ok(Sole { _lock: lock });
            }
            Err(StateError::Locked { .. }) => {}
            Err(error) => return Err(SoleError::Lock(error)),
        }
        let (holder, waited) = (holder(store), begun.elapsed());
        if waited >= patience {
            return Err(match work {
                Work::Run => SoleError::Taken { holder, waited },
                Work::Uninstall => SoleError::AgentRuns { holder, waited },
            });
        }
        if !std::mem::replace(&mut told, true) {
            let seconds = patience.as_secs();
            tracing::info!("{holder} is at work on this node; waiting up to {seconds} s for its end");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Who has the lock, as that process says.
fn holder(store: &Store) -> String {
    let text = fs::read_to_string(store.node_lock_path()).unwrap_or_default();
    let text: String =
        text.trim().chars().filter(|character| !character.is_control()).take(LONGEST).collect();
    if text.is_empty() { "it does not say who it is".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
