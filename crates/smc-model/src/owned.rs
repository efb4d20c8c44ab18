//! What kube-smc put into the kernel for one attachment, and how it is taken out again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    AnchorState, Conversion, NetnsCookie, NodeFacts, PeerRanges, PnetId, PodConversion, PodFacts, Step,
};

/// What kube-smc put into the kernel for one attachment. The sysctl and the PNETIDs are inside the pod's own namespace and
/// go with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Owned {
    /// Addresses put on the anchor link.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub anchored: BTreeSet<Ipv4Addr>,
    /// Those of them whose packets a route in table local holds. None in records of versions that held them only while they
    /// were anchored.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub held: BTreeSet<Ipv4Addr>,
    /// IPv4 addresses put into the same-node guard.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub guarded: BTreeSet<Ipv4Addr>,
    /// IPv6 addresses put into it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub guarded6: BTreeSet<Ipv6Addr>,
    /// Directory of the guard's pinned program and maps. None in records of versions whose guard was nftables'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard_pins: Option<PathBuf>,
    /// Who may speak SMC with it, as its owner says: for each address in the guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<PeerRanges>,
    /// The map and the key by which the pod's namespace is converted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converted: Option<(PathBuf, NetnsCookie)>,
    /// Whether `net.smc.tcp2smc` was set by us.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sysctl: bool,
    /// Whether `net.mptcp.enabled` was switched off by us.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mptcp_off: bool,
    /// Whether sockets that are asked for as MPTCP stay as they are, as the pod's owner says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_mptcp: bool,
    /// The pod's interfaces that have their PNETID from us: another interface may have the same one from somebody else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<String, PnetId>,
}

impl Owned {
    /// What is ours once `steps` are taken for the namespace with `cookie` (kernels without cookies have no BPF
    /// conversion either): what the steps make, and what `pod` was
    /// found to have already. Anchor link, guard and map hold nothing but kube-smc's own work, so whatever of this
    /// pod is in them is ours, whoever of us put it there; the sysctl alone can be somebody else's.
    #[must_use]
    pub fn after(
        self,
        steps: &[Step],
        pod: &PodFacts,
        node: &NodeFacts,
        cookie: Option<NetnsCookie>,
    ) -> Self {
        let mut owned = self;
        for (&address, state) in &pod.anchors {
            let (held, on_link) = match *state {
                AnchorState::Anchored => (true, true),
                AnchorState::Needed { held, on_link, .. } => (held, on_link),
                AnchorState::Unreachable => (false, false),
            };
            owned.held.extend(held.then_some(address));
            owned.anchored.extend(on_link.then_some(address));
        }
        for &address in &pod.guarded {
            owned.own_guarded(address);
        }
        if !pod.guarded.is_empty() {
            owned.guard_pins.clone_from(&node.guard_pins);
        }
        if let (PodConversion::Ours, Conversion::Bpf { map, .. }) = (pod.conversion, &node.conversion) {
            owned.converted = cookie.map(|cookie| (map.clone(), cookie));
        }
        for step in steps {
            match step {
                Step::AnchorAddress { address, .. } => {
                    owned.anchored.insert(*address);
                }
                Step::Guard { address, also, pins, .. } => {
                    owned.guarded.insert(*address);
                    owned.guarded6.extend(also);
                    owned.guard_pins.clone_from(pins);
                }
                Step::ConvertByBpf { map, .. } => {
                    owned.converted = cookie.map(|cookie| (map.clone(), cookie));
                }
                Step::ConvertBySysctl { mptcp_off } => {
                    owned.sysctl = true;
                    owned.mptcp_off |= mptcp_off;
                }
                Step::SetPnetid { interface, pnetid } => {
                    owned.named.insert(interface.clone(), pnetid.clone());
                }
                Step::DropPnetid { pnetid } => owned.named.retain(|_, named| named != pnetid),
                Step::HoldRoute { address, .. } => {
                    owned.held.insert(*address);
                }
                Step::DropLocalRoute { .. } | Step::ReleaseRoute { .. } => {}
            }
        }
        owned
    }

    /// Whether a version of kube-smc made it that held no address' packets for the pod's life, or whose guard was nftables'.
    pub fn is_of_earlier_version(&self) -> bool {
        (self.held.is_empty() && !self.anchored.is_empty())
            || (self.guard_pins.is_none() && !self.guarded.is_empty())
    }

    /// The part that outlasts the pod's namespace.
    #[must_use]
    pub fn in_host(self) -> Self {
        Self { sysctl: false, mptcp_off: false, named: BTreeMap::new(), ..self }
    }

    /// Takes an address for one that was put into the guard.
    pub fn own_guarded(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => drop(self.guarded.insert(address)),
            IpAddr::V6(address) => drop(self.guarded6.insert(address)),
        }
    }

    /// Every address that was put into the guard.
    pub fn in_guard(&self) -> impl Iterator<Item = IpAddr> + use<'_> {
        let fourth = self.guarded.iter().copied().map(IpAddr::V4);
        fourth.chain(self.guarded6.iter().copied().map(IpAddr::V6))
    }

    /// Every address of both families that this attachment holds in the host's kernel.
    pub fn all_addresses(&self) -> BTreeSet<IpAddr> {
        self.addresses().into_iter().map(IpAddr::V4).chain(self.in_guard()).collect()
    }

    /// Every IPv4 address that this attachment holds in the host's kernel.
    pub fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        [&self.anchored, &self.held, &self.guarded].into_iter().flatten().copied().collect()
    }
}

/// One step of taking an attachment's traces out of the host's kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// Take the namespace out of the BPF program's map.
    Unconvert {
        /// Path of the pinned map.
        map: PathBuf,
        /// The namespace.
        cookie: NetnsCookie,
    },
    /// Take an address off the anchor link.
    Unanchor {
        /// The address.
        address: Ipv4Addr,
    },
    /// Remove the route in table local that holds an address' packets.
    Unhold {
        /// The address.
        address: Ipv4Addr,
    },
    /// Forget who may speak SMC with the pod of an address: all whom the node lets.
    AllowAll {
        /// Directory of the guard's pins.
        pins: PathBuf,
        /// The address.
        address: IpAddr,
    },
    /// Take an address out of the same-node guard, with who may speak SMC with it. The program goes with the pod's interfaces.
    Unguard {
        /// Directory of the guard's pins.
        pins: PathBuf,
        /// The address.
        address: IpAddr,
    },
}

#[cfg(test)]
mod tests;
