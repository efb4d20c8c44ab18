//! A simulated kernel: what the steps of a plan do, by the rules of the real one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::{
    Anchor, AnchorState, Conversion, InterfaceKind, NodeFacts, PeerRanges, PodConversion, PodFacts,
    PodInterface, Step,
};

/// What the host's namespace has for one address of the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostAddress {
    /// Index of the host's interface towards the pod; `None` when the host's route does not lead to it.
    pub(super) towards_pod: Option<u32>,
    /// A unicast /32 in front of table local leads to the pod.
    pub(super) held: bool,
    /// The address is on the anchor link.
    pub(super) anchored: bool,
    /// The local route that came with it is there.
    pub(super) local: bool,
}

impl HostAddress {
    /// Whether the host would take packets to the pod for its own.
    pub(super) fn owned_by_host(self) -> bool {
        self.local && !self.held
    }
}

/// A node and one pod on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kernel {
    pub(super) node: NodeFacts,
    pub(super) primary: String,
    /// The pod's interfaces, each with its entry in the namespace's PNET table.
    pub(super) interfaces: Vec<PodInterface>,
    pub(super) host: BTreeMap<Ipv4Addr, HostAddress>,
    /// The addresses in the same-node guard's map, with those of other pods too.
    pub(super) guard: BTreeSet<IpAddr>,
    pub(super) conversion: PodConversion,
    /// Who may speak SMC with the pod, as its owner says, and of which addresses the map says so.
    pub(super) peers: Option<PeerRanges>,
    pub(super) said: BTreeSet<IpAddr>,
    /// `net.mptcp.enabled` in the pod's namespace, and whether its owner wants it so.
    pub(super) mptcp: bool,
    pub(super) keep_mptcp: bool,
}

impl Kernel {
    /// The pod's facts as observing them would give.
    pub(super) fn observe(&self) -> PodFacts {
        let mut facts = PodFacts {
            primary: self.primary.clone(),
            interfaces: self.interfaces.clone(),
            conversion: self.conversion,
            anchors: BTreeMap::new(),
            guarded: BTreeSet::new(),
            peers: self.peers.clone(),
            mptcp: match self.node.conversion {
                Conversion::Tcp2smc => self.mptcp,
                Conversion::Bpf { .. } => self.mptcp && self.conversion == PodConversion::Ours,
                Conversion::None { .. } => false,
            },
            keep_mptcp: self.keep_mptcp,
        };
        for address in facts.addresses() {
            if matches!(self.node.anchor, Anchor::Ready { .. }) {
                let state = match self.host[&address] {
                    HostAddress { towards_pod: None, .. } => AnchorState::Unreachable,
                    host if host.owned_by_host() => AnchorState::Unreachable,
                    HostAddress { held: true, anchored: true, .. } => AnchorState::Anchored,
                    HostAddress { towards_pod: Some(towards_pod), held, anchored, .. } => {
                        AnchorState::Needed { towards_pod, source: None, held, on_link: anchored }
                    }
                };
                facts.anchors.insert(address, state);
            }
        }
        if self.node.guard_for_pods().is_some() {
            let is_said = |address: &IpAddr| self.peers.is_none() || self.said.contains(address);
            let guarded = facts.addresses_to_guard();
            facts.guarded = guarded.intersection(&self.guard).copied().filter(is_said).collect();
        }
        facts
    }

    /// Takes one step.
    ///
    /// # Errors
    /// What the kernel would refuse: a link, set, map or sysctl that is not there.
    pub(super) fn apply(&mut self, step: &Step) -> Result<(), String> {
        let refused = |why: &str| Err(format!("{step}: {why}"));
        let anchor_link = match self.node.anchor {
            Anchor::Ready { index } => Some(index),
            Anchor::NotNeeded | Anchor::Missing { .. } => None,
        };
        match step {
            Step::HoldRoute { address, towards_pod, .. } | Step::ReleaseRoute { address, towards_pod } => {
                let Some(host) = self.host.get_mut(address) else { return refused("unknown address") };
                if host.towards_pod != Some(*towards_pod) {
                    return refused("not the interface towards the pod");
                }
                host.held = matches!(step, Step::HoldRoute { .. });
            }
            Step::AnchorAddress { address, anchor } | Step::DropLocalRoute { address, anchor } => {
                let Some(host) = self.host.get_mut(address) else { return refused("unknown address") };
                if anchor_link != Some(*anchor) {
                    return refused("ENODEV");
                }
                if matches!(step, Step::DropLocalRoute { .. }) {
                    host.local = false;
                } else if !host.anchored {
                    // An address that is there already (EEXIST) brings no route along.
                    (host.anchored, host.local) = (true, true);
                }
            }
            Step::Guard { address, interface, also, pins, peers } => {
                if self.node.guard_for_pods().is_none() || *pins != self.node.guard_pins {
                    return refused("ENOENT");
                }
                if *peers != self.peers {
                    return refused("of others' peers");
                }
                let all = || also.iter().copied().map(IpAddr::V6).chain([IpAddr::V4(*address)]);
                self.guard.extend(all());
                self.said.extend(all().filter(|_| peers.is_some()));
                if let Some(name) = interface {
                    let Some(interface) = self.interfaces.iter_mut().find(|i| i.name == *name) else {
                        return refused("ENODEV");
                    };
                    interface.guarded = true;
                }
            }
            Step::DropPnetid { pnetid } => {
                for interface in &mut self.interfaces {
                    interface.pnetid.take_if(|id| id == pnetid);
                }
            }
            Step::SetPnetid { interface, pnetid } => {
                let Some(interface) = self.interfaces.iter_mut().find(|i| i.name == *interface) else {
                    return refused("ENODEV");
                };
                // EEXIST with this and with any other id: nothing happens.
                interface.pnetid.get_or_insert_with(|| pnetid.clone());
            }
            Step::ConvertBySysctl { mptcp_off } if self.node.conversion == Conversion::Tcp2smc => {
                self.mptcp &= !mptcp_off;
                self.conversion = PodConversion::Ours;
            }
            Step::ConvertByBpf { map, keep_mptcp } => match &self.node.conversion {
                Conversion::Bpf { map: pinned, .. } if pinned == map => {
                    self.mptcp = *keep_mptcp;
                    self.conversion = PodConversion::Ours;
                }
                _ => return refused("ENOENT"),
            },
            Step::ConvertBySysctl { .. } => return refused("no such sysctl"),
        }
        Ok(())
    }

    /// Every state from before the first of `steps` to after the last.
    pub(super) fn states(&self, steps: &[Step]) -> Result<Vec<Self>, String> {
        let mut states = vec![self.clone()];
        let mut kernel = self.clone();
        for step in steps {
            kernel.apply(step)?;
            states.push(kernel.clone());
        }
        Ok(states)
    }

    /// The state after all of `steps`.
    pub(super) fn after(&self, steps: &[Step]) -> Result<Self, String> {
        let mut kernel = self.clone();
        steps.iter().try_for_each(|step| kernel.apply(step)).map(|()| kernel)
    }

    /// Every address of the pod.
    pub(super) fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        self.interfaces.iter().flat_map(|i| &i.addresses).map(|net| net.address()).collect()
    }

    /// The addresses that would have to be anchored: those of the routed pairs, as far as the host routes them there.
    pub(super) fn addresses_to_anchor(&self) -> BTreeSet<Ipv4Addr> {
        self.addresses_of_pairs().into_iter().filter(|address| self.leads_to_pod(*address)).collect()
    }

    /// The addresses of the routed pairs.
    pub(super) fn addresses_of_pairs(&self) -> BTreeSet<Ipv4Addr> {
        let pairs = self.interfaces.iter().filter(|i| i.routed && i.kind == InterfaceKind::Pair);
        pairs.flat_map(|i| &i.addresses).map(|net| net.address()).collect()
    }

    /// Whether a packet of the host to this address reaches the pod.
    pub(super) fn leads_to_pod(&self, address: Ipv4Addr) -> bool {
        let host = self.host[&address];
        host.towards_pod.is_some() && !host.owned_by_host()
    }
}
