//! Decide: from facts to an ordered list of steps, or to a reason why not.

use serde::{Deserialize, Serialize};

use crate::part::{anchor, conversion, guard, pnetid};
use crate::{NodeFacts, PnetId, PodFacts, Reason};

mod note;
mod step;

pub use note::Note;
pub use step::Step;

/// What to do for one pod attachment, in this order. Empty steps mean that everything is in place already.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Which RDMA port serves which interface.
    pub bindings: Vec<Binding>,
    /// The steps that change something.
    pub steps: Vec<Step>,
    /// What a person should know about the choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// An interface of the pod and the RDMA port that serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The pod's interface.
    pub interface: String,
    /// The RDMA device.
    pub device: String,
    /// The device's port, from 1.
    pub port: u8,
    /// The PNETID that ties them.
    pub pnetid: PnetId,
}

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

#[cfg(test)]
pub(crate) mod tests;
