//! The order in which the parts of a set-up come and go: from facts to a plan, or to a reason why not; from what is owned to what
//! is to be undone.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::part::{anchor, conversion, guard, pnetid};
use crate::{NodeFacts, Owned, Plan, PodFacts, Reason, Release};

/// Decides what to do so that new TCP connections of a pod use SMC-R.
///
/// The steps bring everything else in place before the conversion, which is last: a plan that stops half way
/// leaves a pod on plain TCP. Deciding again on the facts after all steps gives a plan without steps.
///
/// # Errors
/// The [`Reason`] why the pod must stay on plain TCP; nothing may be changed then.
pub fn decide(node: &NodeFacts, pod: &PodFacts) -> Result<Plan, Reason> {
    if let Some(obstacle) = node.obstacle() {
        return Err(obstacle);
    }
    if pod.has_too_many_addresses() {
        return Err(Reason::TooManyAddresses { count: pod.count_of_addresses() });
    }
    let mut plan = Plan { bindings: pnetid::bind(node, pod)?, ..Plan::default() };
    anchor::plan(node, pod, &mut plan)?;
    guard::plan(node, pod, &mut plan)?;
    pnetid::plan(pod, &mut plan);
    conversion::plan(node, pod, &mut plan)?;
    Ok(plan)
}

/// What to undo when an attachment ends, in this order. Addresses that a living attachment owns too (`others`) stay, since pod
/// addresses are used again.
pub fn release(owned: &Owned, others: &BTreeSet<IpAddr>) -> Vec<Release> {
    let steps = conversion::release(owned).chain(guard::release(owned, others));
    steps.chain(anchor::release(owned, others)).chain(anchor::release_held(owned, others)).collect()
}
