//! Whether what was reported is what was to be: a function.

use std::collections::BTreeSet;

use rig::host::Conversion;

use super::sighting::{Place, Seen};
use super::table::Fault;

/// What is to be reported.
#[derive(Debug, Clone)]
pub(super) struct Expectation<'t> {
    /// The node with the fault.
    pub node: u8,
    /// Exactly these reasons.
    pub expected: &'t BTreeSet<String>,
    /// In these places.
    pub places: BTreeSet<Place>,
    /// What the other node may say besides.
    pub may_say: BTreeSet<String>,
    /// What is reported of other faults at the same time.
    pub of_others: BTreeSet<String>,
}

impl<'t> Expectation<'t> {
    /// A fault's, where these places can be looked at.
    pub(super) fn of(fault: &'t Fault, nodes: Conversion, looked_at: &BTreeSet<Place>) -> Self {
        let (expected, places) = fault.expects(nodes);
        Self {
            node: fault.node,
            expected,
            places: places.intersection(looked_at).copied().collect(),
            may_say: fault.peer(nodes).map(|peer| peer.may_say.clone()).unwrap_or_default(),
            of_others: BTreeSet::new(),
        }
    }

    /// With what these faults, which there are at the same time, may have reported.
    pub(super) fn beside(mut self, others: impl Iterator<Item = &'t Fault>, nodes: Conversion) -> Self {
        for other in others {
            let at_peer = other.peer(nodes).into_iter().flat_map(|peer| &peer.may_say);
            let names = other.expects(nodes).0.iter().chain(at_peer).cloned();
            self.of_others.extend(names);
        }
        self
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// The reasons that were reported, without what the peer may say.
    pub reported: BTreeSet<String>,
    /// What the peer said.
    pub at_the_peer: BTreeSet<String>,
    /// Where expected reasons were seen.
    pub places: BTreeSet<Place>,
    /// Whether the reported reasons are the expected ones, and each was seen where it must be.
    pub named: bool,
}

/// Judges everything that was seen since the fault was injected.
pub(super) fn judge(wanted: &Expectation<'_>, seen: &Seen) -> Judgement {
    let mut judgement = Judgement::default();
    for sighting in seen.keys() {
        let expected = wanted.expected.contains(&sighting.name);
        if expected {
            judgement.places.insert(sighting.place);
        }
        let of_another = wanted.of_others.contains(&sighting.name);
        if !expected && (of_another || !sighting.kind.is_alarm()) {
            continue;
        }
        if !expected && sighting.node != wanted.node && wanted.may_say.contains(&sighting.name) {
            judgement.at_the_peer.insert(sighting.name.clone());
        } else {
            judgement.reported.insert(sighting.name.clone());
        }
    }
    judgement.named = judgement.reported == *wanted.expected && judgement.places.is_superset(&wanted.places);
    judgement
}

#[cfg(test)]
mod tests;
