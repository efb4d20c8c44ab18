//! The source anchor: a pod's address on a link of the host, and the route that holds its packets.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use super::pnetid::main_interface;
use crate::{Anchor, AnchorState, InterfaceKind, NodeFacts, Owned, Plan, PodFacts, Reason, Release, Step};

/// An address that the host does not route straight to the pod is left out, and its connections are the kernel's to fall back:
/// a second network without the host's part in it, or an address that the pod gave itself. Without the main interface's
/// there is nothing to accelerate.
pub(crate) fn plan(node: &NodeFacts, pod: &PodFacts, plan: &mut Plan) -> Result<(), Reason> {
    let pairs = pod.routed().filter(|interface| interface.kind == InterfaceKind::Pair);
    let addresses: BTreeSet<Ipv4Addr> =
        pairs.flat_map(|interface| &interface.addresses).map(|net| net.address()).collect();
    let anchor = match &node.anchor {
        Anchor::NotNeeded => return Ok(()),
        Anchor::Missing { .. } if addresses.is_empty() => return Ok(()),
        Anchor::Missing { why } => return Err(Reason::SourceAnchorMissing { why: why.clone() }),
        Anchor::Ready { index } => *index,
    };
    if let Some(main) = main_interface(pod).filter(|main| main.kind == InterfaceKind::Pair)
        && !main.addresses.iter().any(|net| pod.is_led_to(net.address()))
    {
        let nets: Vec<String> = main.addresses.iter().map(|net| net.address().to_string()).collect();
        let why = format!(
            "the host's route to {} does not lead straight to the pod's own interface",
            nets.join(" ")
        );
        return Err(Reason::SourceAnchorMissing { why });
    }
    for address in addresses {
        if let Some(&AnchorState::Needed { towards_pod, source, held, on_link }) = pod.anchors.get(&address) {
            if !held {
                plan.steps.push(Step::HoldRoute { address, towards_pod, source });
            }
            if !on_link {
                plan.steps.extend([
                    Step::AnchorAddress { address, anchor },
                    Step::DropLocalRoute { address, anchor },
                ]);
            }
        }
    }
    Ok(())
}

/// Taken off the anchor link; what holds an address' packets goes after it, see [`release_held`].
pub(crate) fn release<'a>(
    owned: &'a Owned,
    others: &'a BTreeSet<IpAddr>,
) -> impl Iterator<Item = Release> + 'a {
    of_it_alone(&owned.anchored, others).map(|address| Release::Unanchor { address })
}

/// Held no longer: last, so that the host never takes the pod's packets for its own.
pub(crate) fn release_held<'a>(
    owned: &'a Owned,
    others: &'a BTreeSet<IpAddr>,
) -> impl Iterator<Item = Release> + 'a {
    of_it_alone(&owned.held, others).map(|address| Release::Unhold { address })
}

fn of_it_alone<'a>(
    addresses: &'a BTreeSet<Ipv4Addr>,
    others: &'a BTreeSet<IpAddr>,
) -> impl Iterator<Item = Ipv4Addr> + 'a {
    addresses.iter().copied().filter(|address| !others.contains(&IpAddr::V4(*address)))
}
