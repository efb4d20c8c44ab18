//! The PNETID: which RDMA port serves which of the pod's interfaces, and the name that ties them.

use std::collections::BTreeSet;

use crate::{Binding, NodeFacts, Note, Plan, PnetId, PodFacts, PodInterface, RdmaPort, Reason, Step};

/// The interface whose addresses most of the pod's sockets have: the attachment's, where that is routed and has any.
pub(super) fn main_interface(pod: &PodFacts) -> Option<&PodInterface> {
    let mut candidates = pod.routed().filter(|interface| !interface.addresses.is_empty()).peekable();
    let first = candidates.peek().copied();
    candidates.find(|interface| interface.name == pod.primary).or(first)
}

/// Chooses an RDMA port for each interface that can carry accelerated traffic. The attachment's own interface must
/// get one; another that has no port of its own shares it, since its sockets usually have the pod's main address.
pub(crate) fn bind(node: &NodeFacts, pod: &PodFacts) -> Result<Vec<Binding>, Reason> {
    let primary = main_interface(pod).ok_or(Reason::NoIpv4Route)?;
    let of_primary = choose(node, primary)?;
    let bindings = pod.routed().map(|interface| {
        let (port, pnetid) = if interface.name == primary.name {
            of_primary
        } else {
            choose(node, interface).unwrap_or(of_primary)
        };
        Binding {
            interface: interface.name.clone(),
            device: port.device.clone(),
            port: port.port,
            pnetid: pnetid.clone(),
        }
    });
    Ok(bindings.collect())
}

/// Chooses the RDMA port for one interface, with its PNETID: the one whose PNETID the interface bears already, if it
/// would work; where the kernel wants that, one whose network device is in the interface's subnet; among several, the one with the
/// fewest pods.
fn choose<'a>(node: &'a NodeFacts, interface: &PodInterface) -> Result<(&'a RdmaPort, &'a PnetId), Reason> {
    let any_subnet = !node.kernel.smc().needs_same_subnet;
    let reachable: Vec<&RdmaPort> = node
        .ports
        .iter()
        .filter(|port| any_subnet || interface.addresses.iter().any(|net| port.reaches(net.address())))
        .collect();
    let Some(any) = reachable.first() else {
        let address = interface.addresses.first().ok_or(Reason::NoIpv4Route)?.address();
        return Err(Reason::NoDeviceInSubnet { address, ports: describe(&node.ports) });
    };
    let active = || reachable.iter().copied().filter(|port| port.active);
    let Some(unnamed) = active().next() else {
        return Err(Reason::RdmaPortDown { port: any.to_string() });
    };
    // Of the ports with one PNETID the kernel takes the first that works (net/smc/smc_pnet.c,
    // smc_pnet_find_roce_by_pnetid), so the others are no choice.
    let mut ids = BTreeSet::new();
    let named: Vec<(&RdmaPort, &PnetId)> = active()
        .filter_map(|port| port.pnetid.as_ref().map(|pnetid| (port, pnetid)))
        .filter(|(_, pnetid)| ids.insert(*pnetid))
        .collect();
    let bears = |(_, pnetid): &(&RdmaPort, &PnetId)| interface.pnetid.as_ref() == Some(*pnetid);
    let chosen = named.iter().copied().find(bears);
    chosen
        .or_else(|| named.iter().copied().min_by_key(|(port, _)| port.pods))
        .ok_or_else(|| Reason::PnetidMissing { port: unnamed.to_string() })
}

/// Ports with their subnets, in words.
pub(crate) fn describe(ports: &[RdmaPort]) -> String {
    let words = ports.iter().map(|port| match &port.netdev {
        None => format!("{port} without a network device in the host"),
        Some(netdev) if netdev.addresses.is_empty() => {
            format!("{port} over {} without an address", netdev.name)
        }
        Some(netdev) => {
            let nets: Vec<String> = netdev.addresses.iter().map(ToString::to_string).collect();
            format!("{port} over {} with {}", netdev.name, nets.join(" "))
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The kernel's DEL takes an id from every interface that has it, so interfaces that shared a stale id and are
/// still wanted are set anew: each of them is bound to a port, and the port's id is never the stale one.
pub(crate) fn plan(pod: &PodFacts, plan: &mut Plan) {
    for binding in &plan.bindings {
        let present =
            pod.interfaces.iter().find(|i| i.name == binding.interface).and_then(|i| i.pnetid.as_ref());
        if present == Some(&binding.pnetid) {
            continue;
        }
        if let Some(stale) = present {
            let drop = Step::DropPnetid { pnetid: stale.clone() };
            if !plan.steps.contains(&drop) {
                plan.steps.push(drop);
            }
            plan.notes.push(Note::StalePnetidReplaced {
                interface: binding.interface.clone(),
                stale: stale.clone(),
            });
        }
    }
    let dropped: Vec<PnetId> = plan
        .steps
        .iter()
        .filter_map(|step| if let Step::DropPnetid { pnetid } = step { Some(pnetid.clone()) } else { None })
        .collect();
    for binding in &plan.bindings {
        let present =
            pod.interfaces.iter().find(|i| i.name == binding.interface).and_then(|i| i.pnetid.as_ref());
        if present != Some(&binding.pnetid) || dropped.contains(&binding.pnetid) {
            plan.steps.push(Step::SetPnetid {
                interface: binding.interface.clone(),
                pnetid: binding.pnetid.clone(),
            });
        }
    }
}
