//! A node as it was found: plain values, from which everything else follows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use smc_abi::rdma::{NodeType, RdmaDevice};
use smc_model::{
    KernelFamily, Listener, PeerRules, PnetId, RdmaNetnsMode, RdmaPort, SmcModule, SmcTraits, StripCause,
    Switch, SynOption, Ueid,
};
use smc_state::BoundPort;

/// A node as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observed {
    /// `uname -r`.
    pub(super) release: String,
    /// Defects that this kernel's SMC is known to have, by their names.
    pub(super) open_defects: Vec<String>,
    /// The RDMA devices, whether or not SMC knows them.
    pub(super) devices: Vec<RdmaDevice>,
    /// Whether pods may use them.
    pub(super) rdma_netns_mode: RdmaNetnsMode,
    /// Whether the kernel has `net.smc.tcp2smc`.
    pub(super) has_tcp2smc: bool,
    /// Whether the smc module is loaded.
    pub(super) smc_loaded: bool,
    /// Everything else, on a node that is not only looked at.
    pub(super) rest: Option<Rest>,
    /// What could not be looked at, in words for a person.
    pub(super) problems: Vec<String>,
}

/// What is looked at on a node that pods are to be accelerated on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rest {
    /// Whether `smc_diag` is loaded, or was tried to be.
    pub(super) smc_diag_tried: bool,
    /// Programs that have a port which SMC wants for itself; not looked for where none is wanted.
    pub(super) reserved_taken: Vec<Listener>,
    /// What converts TCP sockets.
    pub(super) program: Program,
    /// What SYNs of converted sockets offer SMC by; `None` where nothing converts them.
    pub(super) offer: Result<Option<SynOption>, String>,
    /// The anchor link, when it is there.
    pub(super) anchor: Result<Option<AnchorLink>, String>,
    /// The guard.
    pub(super) guard: GuardPins,
    /// The host's own addresses that masquerading may give a pod's connection.
    pub(super) own_addresses: Result<BTreeSet<IpAddr>, String>,
    /// Whether Terway manages this node's eRDMA devices.
    pub(super) of_terway: bool,
    /// What only a loaded SMC tells.
    pub(super) smc: Option<Smc>,
}

/// The BPF program that converts TCP sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    /// The kernel converts by itself, or there is no SMC to convert to: nobody looked.
    NotLookedAt,
    /// This kernel makes no SMC sockets in the inet families.
    NoProtocol,
    /// It is not pinned, or another build's is.
    NotInPlace {
        /// The number of IPPROTO_SMC on this kernel.
        protocol: u16,
        /// Whether another build's is pinned, which converts as well.
        other: bool,
    },
    /// This build's is pinned.
    InPlace {
        /// The pinned map.
        map: PathBuf,
        /// The number of IPPROTO_SMC on this kernel.
        protocol: u16,
    },
}

/// The link that carries source anchors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AnchorLink {
    /// Its index.
    pub(super) index: u32,
    /// Whether somebody brought it up.
    pub(super) up: bool,
    /// The addresses that the host takes for its own because of it.
    pub(super) local: BTreeSet<Ipv4Addr>,
}

/// The pinned program of the guard, with its maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GuardPins {
    /// Not all of it is there.
    Missing,
    /// All of it is there.
    There {
        /// Whether it is known to be this build's.
        current: bool,
        /// What the maps say, as far as it is the node's.
        maps: GuardMaps,
    },
}

/// What the guard's maps say of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GuardMaps {
    /// Causes that count for nothing; `None` where one is among them that this version does not know.
    pub(super) spared: Result<Option<BTreeSet<StripCause>>, String>,
    /// Who may speak SMC with the node's pods.
    pub(super) rules: Result<PeerRules, String>,
    /// Sources whose offers are taken out.
    pub(super) sources: Result<BTreeMap<IpAddr, StripCause>, String>,
}

/// What only a loaded SMC tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Smc {
    /// Its module; `None` when it was loaded anew at the moment.
    pub(super) module: Option<SmcModule>,
    /// Whether it has SMC-D loopback.
    pub(super) has_loopback: bool,
    /// The RDMA ports that it knows.
    pub(super) ports: Result<Vec<Port>, String>,
    /// The node's enterprise ids.
    pub(super) ueids: Result<Vec<Ueid>, String>,
}

/// An RDMA port that SMC knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    /// The port.
    pub(super) facts: RdmaPort,
    /// Its network device's address; looked for where the port has no PNETID.
    pub(super) mac: Option<[u8; 6]>,
    /// Whether others have the port's PNETID as well; looked for where Terway manages the devices.
    pub(super) shares_pnetid: bool,
}

impl Port {
    /// The port with an id, as it is remembered.
    pub(super) fn bound(&self, pnetid: PnetId) -> BoundPort {
        BoundPort { device: self.facts.device.clone(), port: self.facts.port, pnetid }
    }
}

impl Observed {
    /// What the kernel's SMC asks of a set-up.
    pub(super) fn traits(&self) -> SmcTraits {
        self.family().smc()
    }

    pub(super) fn family(&self) -> KernelFamily {
        KernelFamily::of(&self.release, self.smc_loaded, self.has_tcp2smc)
    }

    /// Whether there is a device that this kernel's SMC can use.
    pub(super) fn has_usable_device(&self) -> bool {
        let traits = self.traits();
        self.devices.iter().any(|device| match device.node_type {
            NodeType::ChannelAdapter => true,
            NodeType::Rnic => traits.takes_iwarp,
            NodeType::Switch | NodeType::Router | NodeType::Other(_) => false,
        })
    }

    /// Whether pods are to be accelerated on a node that has something to do it with.
    pub(super) fn is_wanted(&self, switch: &Switch) -> bool {
        *switch == Switch::On && self.has_usable_device()
    }

    pub(super) fn has_iwarp(&self) -> bool {
        self.devices.iter().any(is_iwarp)
    }

    /// Whether same-node connections must be kept from SMC-R.
    pub(super) fn needs_guard(&self, smc: &Smc) -> bool {
        let all_iwarp = self.has_iwarp() && self.devices.iter().all(is_iwarp);
        smc_model::Guard::is_needed(self.traits(), all_iwarp, smc.has_loopback)
    }
}

fn is_iwarp(device: &RdmaDevice) -> bool {
    device.node_type == NodeType::Rnic
}
