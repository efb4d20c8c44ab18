//! What somebody took away from what had been set up, or changed. Most of it is put back within seconds; it is told all
//! the same.

use std::collections::BTreeMap;
use std::time::Duration;

use smc_model::Reason;

/// All that can be lost, by the names in the table of reasons.
pub const LOSSES: [&str; 10] = [
    "ConversionLost",
    "ForeignPnetid",
    "NoConversion",
    "NoUeid",
    "PeerFilterMissing",
    "PnetidLost",
    "PnetidMismatch",
    "PnetidMissing",
    "SameNodeGuardMissing",
    "SourceAnchorMissing",
];

/// By the name in the table of reasons.
#[derive(Debug, Clone, Default)]
pub struct Losses(BTreeMap<&'static str, Loss>);

/// How often one thing was found missing or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// How often, since the agent started.
    pub count: u64,
    /// When last, in seconds since the epoch.
    pub last: u64,
    /// What was seen then.
    pub seen: String,
    /// What the whole node lacked; `None` for what one pod did.
    of_node: Option<Reason>,
}

impl Losses {
    /// Counts something that one pod lacked.
    pub fn count(&mut self, name: &'static str, seen: String, now: u64) {
        let loss = Loss { count: 0, last: now, seen: String::new(), of_node: None };
        let loss = self.0.entry(name).or_insert(loss);
        (loss.count, loss.last, loss.seen) = (loss.count + 1, now, seen);
    }

    /// Counts something that the node lacked until now, or that was changed.
    pub fn count_of_node(&mut self, reason: Reason, now: u64) {
        self.count(reason.name(), reason.to_string(), now);
        if let Some(loss) = self.0.get_mut(reason.name()) {
            loss.of_node = Some(reason);
        }
    }

    /// What the node lacked no longer than `within` ago.
    pub fn restored(&self, now: u64, within: Duration) -> Vec<Reason> {
        let recent = self.0.values().filter(|loss| now.saturating_sub(loss.last) <= within.as_secs());
        recent.filter_map(|loss| loss.of_node.clone()).collect()
    }

    /// How often one thing was lost.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |loss| loss.count)
    }

    /// Each that happened, by its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Loss)> {
        self.0.iter().map(|(name, loss)| (*name, loss))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_has_an_entry_in_the_table() {
        assert!(LOSSES.iter().all(|name| smc_model::reasons::by_name(name).is_some()));
    }

    #[test]
    fn what_the_node_lacked_explains_what_failed_for_a_while_and_what_a_pod_lacked_only_its_own() {
        let mut losses = Losses::default();
        losses.count_of_node(Reason::NoUeid, 100);
        losses.count("PnetidLost", "eth0".to_owned(), 100);
        assert_eq!(losses.restored(115, Duration::from_secs(15)), [Reason::NoUeid]);
        assert_eq!(losses.restored(116, Duration::from_secs(15)), []);
        losses.count_of_node(Reason::NoUeid, 200);
        let told: Vec<_> = losses.iter().map(|(name, loss)| (name, loss.count, loss.last)).collect();
        assert_eq!(told, [("NoUeid", 2, 200), ("PnetidLost", 1, 100)]);
    }
}
