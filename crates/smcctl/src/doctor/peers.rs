//! Who may speak SMC with the node's pods.

use smc_model::reasons::{finding, refusal};
use smc_model::{Inbound, NodeFacts, Reason};

use crate::output::counted;
use smc_surfaces::facts::{Facts, GuardFacts};
use smc_surfaces::smcctl::Check;

pub(super) fn inbound(facts: &Facts) -> Option<Check> {
    let name = "inbound peers";
    let published = facts.published.as_ref().ok()?;
    if let Some(Reason::PeerFilterMissing { why }) = NodeFacts::obstacle(published) {
        return Some(Check::problem(name, &refusal::PEER_FILTER_MISSING, why));
    }
    let taken = || {
        let guard = facts.guard.as_ref().ok().and_then(Option::as_ref);
        counted(guard.map_or(0, GuardFacts::not_allowed), "offer")
    };
    Some(match &published.inbound {
        Inbound::Any => {
            let seen = "whoever reaches an accelerated pod may speak SMC with it; the ConfigMap smc-settings can say who may";
            Check::note(name, finding::ANY_PEER_ALLOWED.name, seen)
        }
        Inbound::Only(ranges) => Check::fine(
            name,
            format!("only {ranges}; {} of others taken out of SYNs to running pods", taken()),
        ),
        Inbound::Nobody { why } => Check::fine(name, format!("nobody: {why}; {} taken out", taken())),
    })
}
