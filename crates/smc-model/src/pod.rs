//! Facts about one pod attachment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::{Ipv4Net, PeerRanges, PnetId};

/// The most addresses of one family that a pod may have: each takes work of all others' locks, and a pod with NET_ADMIN adds what it likes.
pub const MAX_ADDRESSES: usize = 16;

/// What was observed of a pod's network namespace, and of the host's side of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// The attachment's interface (`CNI_IFNAME`).
    pub primary: String,
    /// Every interface of the pod's namespace but the loopback.
    pub interfaces: Vec<PodInterface>,
    /// Whether new TCP sockets become SMC sockets already.
    pub conversion: PodConversion,
    /// The source anchors of the pod's addresses.
    pub anchors: BTreeMap<Ipv4Addr, AnchorState>,
    /// Addresses of the pod that are in the guard as they should be: where a guard is needed its own SYNs lose their offer on the
    /// way to pods of this node, and nobody but its peers may speak SMC with it.
    pub guarded: BTreeSet<IpAddr>,
    /// Who may speak SMC with it, where its owner says that.
    pub peers: Option<PeerRanges>,
    /// Whether sockets that are asked for as MPTCP stay so when it is converted: `net.mptcp.enabled` is on in its namespace, or the BPF
    /// program's map says it of a converted one.
    pub mptcp: bool,
    /// Whether its owner wants MPTCP left alone.
    pub keep_mptcp: bool,
}

/// One interface of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodInterface {
    /// Name in the pod's namespace.
    pub name: String,
    /// What kind of device it is.
    pub kind: InterfaceKind,
    /// IPv4 addresses, without link-local ones.
    pub addresses: Vec<Ipv4Net>,
    /// IPv6 addresses, without link-local ones.
    pub addresses6: Vec<Ipv6Addr>,
    /// Whether a route leaves by it.
    pub routed: bool,
    /// Its PNETID, if it has one.
    pub pnetid: Option<PnetId>,
    /// Whether the guard's program is attached to it.
    pub guarded: bool,
}

/// What kind of device a pod's interface is, as far as SMC's search for an RDMA device cares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceKind {
    /// A veth or netkit pair whose other end is in the host: SMC's walk to the base device ends at it.
    Pair,
    /// Anything else: a NIC moved into the pod, or a device on top of one of the host's.
    Direct,
}

/// Whether new TCP sockets of a pod become SMC sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PodConversion {
    /// They stay TCP.
    Off,
    /// They do, by our doing.
    Ours,
    /// They do, and somebody else did it: adopted, never undone.
    Foreign,
}

/// How far the source anchor of one address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum AnchorState {
    /// In place: on the anchor link, and a route in table local holds the pod's packets.
    Anchored,
    /// Absent, or half done by somebody who was interrupted.
    Needed {
        /// Index of the host's interface by which the pod is reached.
        towards_pod: u32,
        /// The source address that the host's route to the pod gives to the host's own packets.
        source: Option<Ipv4Addr>,
        /// Whether its packets are held already.
        held: bool,
        /// Whether it is on the anchor link already.
        on_link: bool,
    },
    /// Cannot be made: the host's route to the address does not lead straight to this pod.
    Unreachable,
}

impl PodFacts {
    /// The interfaces that can carry traffic. One without an address of its own carries that of another: Terway's
    /// `veth1` beside an exclusive network card.
    pub fn routed(&self) -> impl Iterator<Item = &PodInterface> {
        self.interfaces.iter().filter(|interface| interface.routed)
    }

    /// Whether it has more than [`MAX_ADDRESSES`].
    pub fn has_too_many_addresses(&self) -> bool {
        self.count_of_addresses() > MAX_ADDRESSES
    }

    /// Whether the host is known to route an address straight to this pod.
    pub fn is_led_to(&self, address: Ipv4Addr) -> bool {
        matches!(self.anchors.get(&address), Some(AnchorState::Anchored | AnchorState::Needed { .. }))
    }

    /// The addresses whose SYNs to pods of this node must not offer SMC: all but those on a pair that the host is known to
    /// route elsewhere, which may be another pod's.
    pub fn addresses_to_guard(&self) -> BTreeSet<IpAddr> {
        self.interfaces.iter().flat_map(|interface| self.to_guard_on(interface)).collect()
    }

    /// Those of one interface.
    pub(crate) fn to_guard_on<'a>(
        &'a self,
        interface: &'a PodInterface,
    ) -> impl Iterator<Item = IpAddr> + use<'a> {
        let strays = |address: &Ipv4Addr| {
            interface.kind == InterfaceKind::Pair
                && self.anchors.get(address) == Some(&AnchorState::Unreachable)
        };
        let first =
            interface.addresses.iter().map(|net| net.address()).filter(move |address| !strays(address));
        first.map(IpAddr::V4).chain(interface.addresses6.iter().copied().map(IpAddr::V6))
    }

    /// How many addresses it has, of the family of which it has more, or interfaces where those are more.
    pub fn count_of_addresses(&self) -> usize {
        self.addresses().len().max(self.addresses6().len()).max(self.interfaces.len())
    }

    /// Every IPv6 address of the pod.
    pub fn addresses6(&self) -> BTreeSet<Ipv6Addr> {
        self.interfaces.iter().flat_map(|interface| interface.addresses6.iter().copied()).collect()
    }

    /// Every IPv4 address of the pod.
    pub fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        self.interfaces.iter().flat_map(|interface| &interface.addresses).map(|net| net.address()).collect()
    }
}
