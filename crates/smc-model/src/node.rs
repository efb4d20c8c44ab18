//! Facts about a node.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    Ipv4Net, Kernel, Particulars, PeerRanges, PeerRules, PnetId, Reason, SmcTraits, SynOption, Ueid, nobody,
};

pub(crate) const NO_PROGRAM: &str = "this node's agent could not load the BPF program";

/// All a node's facts that decide whether and how its pods can speak SMC-R.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// The running kernel.
    pub kernel: Kernel,
    /// Whether the smc module is there.
    pub smc_loaded: bool,
    /// Why it is not, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smc_missing: Option<String>,
    /// What holds while the smc module stays loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smc_module: Option<SmcModule>,
    /// How TCP sockets are converted here.
    pub conversion: Conversion,
    /// What a SYN of this kernel's SMC sockets offers SMC by; `None` when that could not be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syn_option: Option<SynOption>,
    /// Whether pods may use the host's RDMA devices.
    pub rdma_netns_mode: RdmaNetnsMode,
    /// Every port of every RDMA device that SMC knows, in the kernel's order.
    pub ports: Vec<RdmaPort>,
    /// The node's user-defined enterprise ids.
    pub ueids: Vec<Ueid>,
    /// The same-node guard.
    pub guard: Guard,
    /// Directory of the guard's pinned program and maps, where they are; also where no guard is needed, to say who may speak SMC
    /// with the node's pods. Agents whose guard was nftables' tell none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard_pins: Option<PathBuf>,
    /// Who may speak SMC with the node's pods.
    #[serde(default, skip_serializing_if = "Inbound::is_any")]
    pub inbound: Inbound,
    /// Defects of this kernel's SMC with which the operator wants no pod accelerated, by their names in public records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_defects: Vec<String>,
    /// The link that carries source anchors.
    pub anchor: Anchor,
    /// Only written: plugins up to version 0.1.0 take no facts without it.
    #[serde(skip_deserializing)]
    pub datapath: Datapath,
    /// Whether the operator wants pods to be accelerated at all.
    #[serde(default)]
    pub switch: Switch,
    /// Nothing was made on this node, nor looked for where looking loads a module: it has no RDMA device that SMC could use, or
    /// the switch is off; and nothing of ours is there to be kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_looked_at: bool,
}

/// The numbers that SMC's generic netlink families got when the smc module was loaded. They hold while sysfs shows the
/// module by the same inode: one that is loaded again has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmcModule {
    /// Inode of `/sys/module/smc`.
    pub inode: u64,
    /// The number of `SMC_PNETID`.
    pub pnetid: u16,
    /// The number of `SMC_GEN_NETLINK`.
    pub smc: u16,
}

/// Who may speak SMC with the pods of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inbound {
    /// Whoever reaches them.
    #[default]
    Any,
    /// Whose address is in one of these ranges.
    Only(PeerRanges),
    /// Nobody.
    Nobody {
        /// Why not.
        why: String,
    },
}

impl Inbound {
    /// Whether nothing was said.
    pub fn is_any(&self) -> bool {
        *self == Self::Any
    }

    /// Whether it lets an address.
    pub fn allows(&self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Only(ranges) => ranges.allow(address),
            Self::Nobody { .. } => false,
        }
    }

    /// Its rules, for both families.
    pub fn rules(&self) -> PeerRules {
        match self {
            Self::Any => PeerRules::new(),
            Self::Only(ranges) => ranges.all_rules(),
            Self::Nobody { .. } => nobody(),
        }
    }
}

/// The operator's switch for the whole feature, such as `smcEnabled` of ASM's `ASMMeshConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// Annotated pods are accelerated.
    #[default]
    On,
    /// Annotated pods run on TCP.
    Off {
        /// Who switched it off, or what is missing.
        why: String,
    },
}

/// How new TCP sockets of a pod become SMC sockets on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conversion {
    /// The per-namespace sysctl `net.smc.tcp2smc`.
    Tcp2smc,
    /// The pinned BPF program on `update_socket_protocol`, which looks namespace cookies up in a pinned map.
    Bpf {
        /// Path of the pinned map.
        map: PathBuf,
        /// The number of IPPROTO_SMC on this kernel.
        protocol: u16,
    },
    /// Not at all.
    None {
        /// What is missing, in words.
        why: String,
    },
}

/// `rdma system`: whether RDMA devices are shared by all network namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RdmaNetnsMode {
    /// Every namespace may use every device.
    Shared,
    /// A device belongs to one namespace.
    Exclusive,
}

/// One port of an RDMA device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RdmaPort {
    /// The RDMA device's name, e.g. `erdma_0`.
    pub device: String,
    /// Port number, from 1.
    pub port: u8,
    /// Whether the port is ACTIVE.
    pub active: bool,
    /// The port's PNETID, whoever set it.
    pub pnetid: Option<PnetId>,
    /// The network device the port runs over, when it is in the host's namespace.
    pub netdev: Option<RdmaNetdev>,
    /// How many pods of this node were bound to the port.
    pub pods: usize,
}

/// The network device below an RDMA port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RdmaNetdev {
    /// Interface index in the host's namespace.
    pub index: u32,
    /// Interface name.
    pub name: String,
    /// IPv4 addresses with their prefixes.
    pub addresses: Vec<Ipv4Net>,
}

impl RdmaPort {
    /// Whether the port's network device has an address whose subnet holds `address`.
    pub fn reaches(&self, address: Ipv4Addr) -> bool {
        self.netdev.as_ref().is_some_and(|netdev| netdev.addresses.iter().any(|net| net.contains(address)))
    }
}

impl fmt::Display for RdmaPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.device, self.port)
    }
}

/// The same-node guard: SYNs that come to an accelerated pod from another of this node lose their offer of SMC, because SMC-R
/// over one RDMA device to itself stalls and can corrupt streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// Program and maps are loaded and pinned, to be attached to pods.
    Ready,
    /// Not needed on this node: kernel or device has its own way for pods of one node.
    NotNeeded,
    /// Not in place.
    Missing {
        /// Why not.
        why: String,
    },
}

impl Guard {
    /// Whether a node needs it. Not where the kernel has SMC-D loopback, by which pods of one node then talk, and not where
    /// Alibaba's kernel has eRDMA devices only (`all_iwarp`): we take it that their adapter carries what a node sends to
    /// itself, which was not seen. With any other device same-node SMC-R stalls, whatever the kernel (seen with soft-RoCE on 6.12 and on a replica of 5.10).
    pub fn is_needed(smc: SmcTraits, all_iwarp: bool, has_loopback: bool) -> bool {
        !(has_loopback || (smc.takes_iwarp && all_iwarp))
    }
}

/// The dummy link in the host's namespace that carries the pods' addresses without routing them (source anchor).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anchor {
    /// The link is there.
    Ready {
        /// Its interface index.
        index: u32,
    },
    /// Not needed on this kernel.
    NotNeeded,
    /// Not there.
    Missing {
        /// Why not.
        why: String,
    },
}

/// What earlier versions asked of pod traffic, whose guard was a rule of the host's netfilter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Datapath {
    /// That it passes there. Now the guard is at the pods' own interfaces, and it does not matter.
    #[default]
    Netfilter,
}

impl NodeFacts {
    /// The reason for pods while the smc module is not there.
    pub fn without_smc(&self) -> Reason {
        if self.only_looked_at {
            return Reason::NoRdmaDevice;
        }
        Reason::SmcNotAvailable { kernel: self.kernel.release.clone(), why: self.smc_missing.clone() }
    }

    /// Why no pod of this node can be accelerated as long as nothing changes: an obstacle, or no port with a PNETID. Ports
    /// that are down are not counted: they come back, and meanwhile pods are told by themselves.
    pub fn unfit(&self) -> Option<Reason> {
        let nameless = self.ports.iter().all(|port| port.pnetid.is_none());
        let port = self.ports.first().filter(|_| nameless);
        self.obstacle().or_else(|| port.map(|port| Reason::PnetidMissing { port: port.to_string() }))
    }

    /// What keeps every pod of this node from being accelerated, whatever its addresses.
    pub fn obstacle(&self) -> Option<Reason> {
        let kernel = || self.kernel.release.clone();
        if let Switch::Off { why } = &self.switch {
            return Some(Reason::SwitchedOff { why: why.clone() });
        }
        if self.only_looked_at {
            return Some(Reason::NoRdmaDevice);
        }
        if !self.smc_loaded {
            return Some(self.without_smc());
        }
        if !self.refused_defects.is_empty() {
            return Some(Reason::KernelDefects { names: self.refused_defects.clone() });
        }
        if let Conversion::None { why } = &self.conversion {
            return Some(Reason::NoConversion { kernel: kernel(), why: why.clone() });
        }
        if self.rdma_netns_mode == RdmaNetnsMode::Exclusive {
            return Some(Reason::RdmaNetnsExclusive);
        }
        if self.ports.is_empty() {
            return Some(Reason::NoRdmaDevice);
        }
        if self.ueids.is_empty() {
            return Some(Reason::NoUeid);
        }
        match &self.guard {
            Guard::Missing { why } => Some(Reason::SameNodeGuardMissing { why: why.clone() }),
            Guard::Ready if self.guard_pins.is_none() => {
                let why = "the agent of this node, of an earlier version, has not made it".to_owned();
                Some(Reason::SameNodeGuardMissing { why })
            }
            Guard::NotNeeded if self.guard_pins.is_none() && !self.inbound.is_any() => {
                Some(Reason::PeerFilterMissing { why: NO_PROGRAM.to_owned() })
            }
            Guard::Ready | Guard::NotNeeded => None,
        }
    }

    /// Why a pod with these particulars must stay on plain TCP here, whatever else is the case.
    pub fn refuses(&self, pod: &Particulars) -> Option<Reason> {
        let mesh = pod.sidecar.filter(|_| self.kernel.smc().hides_owner)?;
        Some(Reason::MeshSidecar { mesh: mesh.to_owned() })
    }

    /// Where the guard's program and maps are pinned, on a node whose pods get it.
    pub fn guard_for_pods(&self) -> Option<&Path> {
        self.guard_pins.as_deref().filter(|_| !matches!(self.guard, Guard::Missing { .. }))
    }
}
