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
mod tests {
    use super::*;

    fn lost() -> Chain {
        Chain::NotLoaded { why: "the entry is gone".to_owned() }
    }

    fn ready_one(now: Instant) -> Readiness {
        let mut readiness = Readiness::new(Chain::Unknown, now);
        readiness.chain_is(Chain::Loaded, now);
        readiness.node_was_checked();
        readiness
    }

    #[test]
    fn ready_needs_the_node_checked_and_the_entry_loaded() {
        let now = Instant::now();
        let mut readiness = Readiness::new(Chain::Unknown, now);
        assert_eq!(readiness.ready(now), Err(NotReady::NodeNotChecked));
        readiness.node_was_checked();
        assert_eq!(readiness.ready(now), Err(NotReady::ChainUnknown));
        readiness.chain_is(lost(), now);
        assert!(
            matches!(readiness.ready(now), Err(NotReady::ChainNotLoaded { .. })),
            "never loaded: no grace"
        );
        readiness.chain_is(Chain::Loaded, now);
        assert_eq!(readiness.ready(now), Ok(()));
    }

    #[test]
    fn the_start_is_over_when_the_agent_is_ready_or_took_too_long() {
        let start = Instant::now();
        assert!(ready_one(start).start_is_over(start));
        let slow = Readiness::new(Chain::Unknown, start);
        let almost = START_WITHIN.checked_sub(Duration::from_millis(1)).unwrap();
        assert!(!slow.start_is_over(start + almost));
        assert!(slow.start_is_over(start + START_WITHIN));
    }

    #[test]
    fn a_chain_that_is_not_looked_after_or_that_the_runtime_does_not_tell_of_is_not_waited_for() {
        let now = Instant::now();
        for chain in [Chain::Unmanaged, Chain::Untold] {
            let mut readiness = Readiness::new(chain, now);
            readiness.node_was_checked();
            assert_eq!(readiness.ready(now), Ok(()));
        }
    }

    #[test]
    fn a_thousand_rewrites_of_the_list_flip_nothing() {
        let mut now = Instant::now();
        let mut readiness = ready_one(now);
        for _ in 0..1000 {
            readiness.chain_is(lost(), now);
            assert_eq!(readiness.ready(now), Ok(()));
            now += Duration::from_millis(300);
            assert_eq!(readiness.ready(now), Ok(()));
            readiness.chain_is(Chain::Loaded, now);
            now += Duration::from_millis(300);
        }
    }

    #[test]
    fn once_the_start_is_over_the_chain_makes_no_agent_unready() {
        let start = Instant::now();
        let mut readiness = Readiness::new(Chain::Unknown, start);
        let later = start + START_WITHIN;
        assert_eq!(readiness.ready(later), Err(NotReady::NodeNotChecked));
        readiness.node_was_checked();
        assert!(readiness.ready(start).is_err() && readiness.ready(later).is_ok());
        readiness.chain_is(lost(), later);
        assert_eq!(readiness.ready(later + LOSS_TOLERATED * 2), Ok(()));
    }

    #[test]
    fn a_real_loss_within_the_start_flips_it_and_its_end_flips_it_back() {
        let start = Instant::now();
        let mut readiness = ready_one(start);
        // Said again and again, it still counts from the first time.
        for seconds in 0..10 {
            readiness.chain_is(lost(), start + Duration::from_secs(seconds));
            assert_eq!(readiness.ready(start + Duration::from_secs(seconds)), Ok(()));
        }
        let late = start + LOSS_TOLERATED;
        assert_eq!(
            readiness.ready(late).unwrap_err().to_string(),
            "the container runtime has not loaded smc-cni: the entry is gone"
        );
        readiness.chain_is(Chain::Loaded, late);
        assert_eq!(readiness.ready(late), Ok(()));
    }

    #[test]
    fn a_runtime_that_cannot_be_asked_for_a_while_has_lost_nothing() {
        let now = Instant::now();
        let mut readiness = ready_one(now);
        readiness.chain_is(Chain::Unknown, now);
        assert_eq!(readiness.ready(now + LOSS_TOLERATED * 100), Ok(()));
    }

    #[test]
    fn a_stuck_main_loop_is_not_alive_and_a_busy_one_is() {
        let start = Instant::now();
        let mut readiness = ready_one(start);
        assert_eq!(readiness.alive(start + STUCK_AFTER / 2), Ok(()));
        assert_eq!(readiness.alive(start + STUCK_AFTER), Err(STUCK_AFTER));
        readiness.sign_of_life(start + STUCK_AFTER);
        assert_eq!(readiness.alive(start + STUCK_AFTER), Ok(()));
    }
}
