//! Whether the agent is alive, and whether it is ready, as functions of what is on the board.

use std::fmt;
use std::time::{Duration, Instant};

use super::Chain;

/// How long the runtime may be without our entry before the agent is no longer ready: Terway's rewrites of the list take
/// it away for a moment each.
pub const LOSS_TOLERATED: Duration = Duration::from_secs(10);
/// How long the agent may be at one piece of work. The longest, loading a kernel module, takes seconds.
pub const STUCK_AFTER: Duration = Duration::from_secs(120);
/// After so long the start is over, whatever came of it: who waited for it is told so, and asks why the agent is not
/// ready.
pub const START_WITHIN: Duration = Duration::from_secs(50);

/// What readiness hangs on. Nothing else on the board can change it.
#[derive(Debug, Clone)]
pub struct Readiness {
    chain: Chain,
    was_loaded: bool,
    lost_since: Option<Instant>,
    node_checked: bool,
    began: Instant,
    last_sign: Instant,
}

/// Why the agent is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotReady {
    /// The node has not been looked at.
    NodeNotChecked,
    /// It is not known whether the runtime has loaded the plugin's entry.
    ChainUnknown,
    /// It has not.
    ChainNotLoaded {
        /// Why not.
        why: String,
    },
}

impl Readiness {
    /// At the agent's start.
    pub fn new(chain: Chain, now: Instant) -> Self {
        Self { chain, was_loaded: false, lost_since: None, node_checked: false, began: now, last_sign: now }
    }

    /// The chain's state.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The chain's state, without losses that are too short to be told.
    pub fn standing_chain(&self, now: Instant) -> Chain {
        let lately =
            self.lost_since.is_some_and(|since| now.saturating_duration_since(since) < LOSS_TOLERATED);
        if self.was_loaded && lately { Chain::Loaded } else { self.chain.clone() }
    }

    /// Takes in the chain's state.
    pub fn chain_is(&mut self, chain: Chain, now: Instant) {
        match chain {
            // A runtime that cannot be asked for a while has lost nothing: what was known holds.
            Chain::Unknown => return,
            Chain::Loaded | Chain::Untold => (self.was_loaded, self.lost_since) = (true, None),
            Chain::Unmanaged => self.lost_since = None,
            Chain::NotLoaded { .. } => {
                self.lost_since.get_or_insert(now);
            }
        }
        self.chain = chain;
    }

    /// The node was looked at, and what stands in the way was reported.
    pub fn node_was_checked(&mut self) {
        self.node_checked = true;
    }

    /// The agent's main loop is at work.
    pub fn sign_of_life(&mut self, now: Instant) {
        self.last_sign = now;
    }

    /// Ready: the node was checked, and the runtime runs the plugin or was given long enough to. What keeps pods of this node
    /// from SMC does not matter here, and neither does a chain that stays without our entry: both are told by the node's
    /// condition, metrics and events. A node that cannot be mended must not keep the version that would mend it, or any other,
    /// from all nodes that come after it.
    pub fn ready(&self, now: Instant) -> Result<(), NotReady> {
        if !self.node_checked {
            return Err(NotReady::NodeNotChecked);
        }
        if self.start_took_long(now) {
            return Ok(());
        }
        match self.standing_chain(now) {
            Chain::Unmanaged | Chain::Untold | Chain::Loaded => Ok(()),
            Chain::Unknown => Err(NotReady::ChainUnknown),
            Chain::NotLoaded { why } => Err(NotReady::ChainNotLoaded { why }),
        }
    }

    /// The agent has become ready, or its start has lasted for long enough.
    pub fn start_is_over(&self, now: Instant) -> bool {
        self.ready(now).is_ok() || self.start_took_long(now)
    }

    fn start_took_long(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= START_WITHIN
    }

    /// Alive: the main loop is not stuck.
    ///
    /// # Errors
    /// For how long it has been.
    pub fn alive(&self, now: Instant) -> Result<(), Duration> {
        let silent = now.saturating_duration_since(self.last_sign);
        if silent < STUCK_AFTER { Ok(()) } else { Err(silent) }
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeNotChecked => f.write_str("the node has not been checked yet"),
            Self::ChainUnknown => {
                f.write_str("it is not known yet whether the container runtime has loaded smc-cni")
            }
            Self::ChainNotLoaded { why } => write!(f, "the container runtime has not loaded smc-cni: {why}"),
        }
    }
}

#[cfg(test)]
mod tests;
