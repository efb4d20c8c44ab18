//! The conversion: that new TCP sockets of the pod are SMC sockets.

use crate::{Conversion, NodeFacts, Note, Owned, Plan, PodConversion, PodFacts, Reason, Release, Step};

pub(crate) fn plan(node: &NodeFacts, pod: &PodFacts, plan: &mut Plan) -> Result<(), Reason> {
    let mptcp_off = pod.mptcp && !pod.keep_mptcp;
    match (pod.conversion, &node.conversion) {
        (PodConversion::Off, Conversion::Tcp2smc) => plan.steps.push(Step::ConvertBySysctl { mptcp_off }),
        // Set up by a version that left MPTCP alone.
        (PodConversion::Ours, Conversion::Tcp2smc) if mptcp_off => {
            plan.steps.push(Step::ConvertBySysctl { mptcp_off });
        }
        (PodConversion::Ours, Conversion::Bpf { map, .. }) if pod.mptcp != pod.keep_mptcp => {
            plan.steps.push(Step::ConvertByBpf { map: map.clone(), keep_mptcp: pod.keep_mptcp });
        }
        (PodConversion::Off, Conversion::Bpf { map, .. }) => {
            plan.steps.push(Step::ConvertByBpf { map: map.clone(), keep_mptcp: pod.keep_mptcp });
        }
        (PodConversion::Off, Conversion::None { why }) => {
            return Err(Reason::NoConversion { kernel: node.kernel.release.clone(), why: why.clone() });
        }
        (PodConversion::Ours, _) => {}
        (PodConversion::Foreign, _) => plan.notes.push(Note::ConversionAdopted),
    }
    Ok(())
}

/// Ended first, so that no socket is converted without the rest.
pub(crate) fn release(owned: &Owned) -> impl Iterator<Item = Release> + '_ {
    owned.converted.iter().map(|(map, cookie)| Release::Unconvert { map: map.clone(), cookie: *cookie })
}
