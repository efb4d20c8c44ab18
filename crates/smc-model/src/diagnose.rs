//! Which fault is behind a fallback. The kernel's code says what it did not find, not why; the rest is inferred here from
//! what is known on this node. Only what applies is named: without a cause, the kernel's own name stays.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::part::pnetid::describe;
use crate::{Binding, Failure, NodeFacts, Plan, PnetId, Reason, Side};

// Codes of net/smc/smc_clc.h.
const OUT_OF_MEMORY: u32 = 0x0101_0000;
const TIMEOUT: u32 = 0x0201_0000;
const NO_DEVICE: u32 = 0x0303_0000;
const NO_SMCR_DEVICE: u32 = 0x0303_0002;
const OTHER_PREFIX: u32 = 0x0307_0000;
const NO_ACTIVE_LINK: u32 = 0x030a_0000;
const NO_ROUTE: u32 = 0x030e_0000;
const DECLINED: u32 = 0x0500_0000;
const INTERNAL_ERROR: u32 = 0x0999_0000;
const LINK_NOT_READY: u32 = 0x0999_0002;
const BUFFER_NOT_REGISTERED: u32 = 0x0999_0003;

/// From here on, in percent, a device's queue pairs are nearly used up.
const NEARLY: u64 = 90;

/// What is known on this node when a pod's connection falls back.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The node.
    pub node: &'a NodeFacts,
    /// How the pod was set up.
    pub plan: &'a Plan,
    /// The pod's addresses, as far as they are known.
    pub addresses: &'a BTreeSet<Ipv4Addr>,
    /// What of its set-up was found missing, see [`lost`].
    pub lost: &'a [Reason],
    /// What the node lacked until it was put back a moment ago.
    pub restored: &'a [Reason],
    /// The devices whose use is known.
    pub queue_pairs: &'a [QueuePairs],
}

/// How much of an RDMA device is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePairs {
    /// The device.
    pub device: String,
    /// Queue pairs in use, as far as is known.
    pub used: u64,
    /// How many it has.
    pub max: u64,
}

impl QueuePairs {
    /// Whether hardly any is left.
    pub fn are_low(&self) -> bool {
        self.used.saturating_mul(100) >= self.max.saturating_mul(NEARLY)
    }
}

/// The fault behind a failure, where what is known tells.
pub fn diagnose(failure: &Failure, known: &Known<'_>) -> Option<Reason> {
    let &Failure::Fallback { code, peer_diagnosis, ipv6_socket, side } = failure else { return None };
    let standing = standing_cause(known.plan, known.node, known.addresses);
    let mut here = standing.iter().chain(known.lost);
    if let Some(reason) = here.find(|reason| explains(reason, code, side)) {
        return Some(reason.clone());
    }
    if ipv6_socket
        && known.node.kernel.smc().needs_ipv4_sockets
        && (side, code) == (Some(Side::Client), NO_DEVICE)
    {
        return Some(Reason::Ipv6Socket);
    }
    if let Some(reason) = known.restored.iter().find(|reason| explains(reason, code, side)) {
        return Some(reason.clone());
    }
    match (side, code) {
        // A server that finds no device says NO_SMCR_DEVICE. It says this when it does not even look for one, because the
        // proposal has none of its enterprise ids (net/smc/af_smc.c, smc_find_rdma_v2_device_serv).
        (Some(Side::Server), NO_DEVICE) => ueids_differ(known.node),
        (Some(Side::Client), DECLINED) if peer_diagnosis == NO_DEVICE => ueids_differ(known.node),
        (_, OUT_OF_MEMORY | INTERNAL_ERROR | LINK_NOT_READY) => queue_pairs_low(known),
        _ => None,
    }
}

fn ueids_differ(node: &NodeFacts) -> Option<Reason> {
    let applies = node.kernel.smc().needs_ueid && !node.ueids.is_empty();
    applies.then(|| Reason::UeidsDiffer { ueids: node.ueids.clone() })
}

fn queue_pairs_low(known: &Known<'_>) -> Option<Reason> {
    let serves = |pairs: &&QueuePairs| known.plan.bindings.iter().any(|b| b.device == pairs.device);
    let pairs = known.queue_pairs.iter().filter(serves).find(|pairs| pairs.are_low())?;
    Some(Reason::QueuePairsLow { device: pairs.device.clone(), used: pairs.used, max: pairs.max })
}

/// Whether a fault of this node, or of the pod's set-up, makes the kernel give up with this code.
fn explains(reason: &Reason, code: u32, side: Option<Side>) -> bool {
    let no_device = matches!(code, NO_DEVICE | NO_SMCR_DEVICE | OTHER_PREFIX);
    match reason {
        // Also in the midst of a handshake.
        Reason::NoRdmaDevice
        | Reason::RdmaNetnsExclusive
        | Reason::RdmaDeviceGone { .. }
        | Reason::RdmaPortDown { .. } => {
            no_device
                || matches!(
                    code,
                    TIMEOUT
                        | NO_ACTIVE_LINK
                        | NO_ROUTE
                        | INTERNAL_ERROR
                        | LINK_NOT_READY
                        | BUFFER_NOT_REGISTERED
                )
        }
        Reason::PnetidMissing { .. }
        | Reason::ForeignPnetid { .. }
        | Reason::PnetidMismatch { .. }
        | Reason::PnetidLost { .. }
        | Reason::NoDeviceInSubnet { .. } => no_device,
        Reason::NoUeid => matches!(code, NO_DEVICE | OTHER_PREFIX),
        Reason::SourceAnchorMissing { .. } => side != Some(Side::Client) && (no_device || code == NO_ROUTE),
        _ => false,
    }
}

/// What is wrong, at this moment, with the node or with the ports that a pod's interfaces were bound to. A feature that
/// is switched off is nothing wrong. `addresses` are the pod's, as far as they are known.
pub fn standing_cause(plan: &Plan, node: &NodeFacts, addresses: &BTreeSet<Ipv4Addr>) -> Option<Reason> {
    match node.obstacle() {
        None | Some(Reason::SwitchedOff { .. } | Reason::KernelDefects { .. }) => {}
        obstacle => return obstacle,
    }
    let mut first = None;
    for binding in &plan.bindings {
        first.get_or_insert(wrong_with(binding, node, addresses)?);
    }
    first
}

/// `None` while any port with the binding's PNETID works: the kernel takes whichever does.
fn wrong_with(binding: &Binding, node: &NodeFacts, addresses: &BTreeSet<Ipv4Addr>) -> Option<Reason> {
    let everywhere = !node.kernel.smc().needs_same_subnet || addresses.is_empty();
    let named =
        || node.ports.iter().filter(|port| port.active && port.pnetid.as_ref() == Some(&binding.pnetid));
    if named().any(|port| everywhere || addresses.iter().any(|address| port.reaches(*address))) {
        return None;
    }
    let bound = node.ports.iter().find(|port| port.device == binding.device && port.port == binding.port);
    let Some(port) = bound else { return Some(Reason::RdmaDeviceGone { device: binding.device.clone() }) };
    if !port.active {
        return Some(Reason::RdmaPortDown { port: port.to_string() });
    }
    match &port.pnetid {
        None => Some(Reason::PnetidMissing { port: port.to_string() }),
        Some(pnetid) if *pnetid != binding.pnetid => Some(Reason::ForeignPnetid {
            port: port.to_string(),
            pnetid: pnetid.clone(),
            had: binding.pnetid.clone(),
        }),
        Some(_) => {
            let address = *addresses.first()?;
            Some(Reason::NoDeviceInSubnet { address, ports: describe(&node.ports) })
        }
    }
}

/// What of a pod's set-up is not in its namespace any more: whether new sockets are converted there, and the PNETIDs by
/// interface.
pub fn lost(plan: &Plan, converts: bool, pnetids: &BTreeMap<String, PnetId>) -> Vec<Reason> {
    let mut lost = Vec::new();
    for binding in &plan.bindings {
        let Binding { interface, device, port, pnetid } = binding;
        match pnetids.get(interface) {
            Some(has) if has == pnetid => {}
            Some(has) => lost.push(Reason::PnetidMismatch {
                interface: interface.clone(),
                has: has.clone(),
                port: format!("{device}/{port} bears {pnetid}"),
            }),
            None => lost.push(Reason::PnetidLost { interface: interface.clone(), pnetid: pnetid.clone() }),
        }
    }
    if !converts {
        lost.push(Reason::ConversionLost);
    }
    lost
}

#[cfg(test)]
mod tests;
