//! What `smcctl`'s commands decide from: plain values, gathered once, that can be recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use smc_model::{
    Ipv4Net, KernelFamily, Listener, NodeFacts, PnetId, PodTraffic, RdmaNetdev, RdmaNetnsMode, RdmaPort,
    Reason, StripCause, Ueid,
};
use smc_state::{LivePod, Made, Record};

use crate::Subject;
use crate::status::{self, Brief, ChainState, Loss};

/// A node, as it was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The version of the program that looked; `None` where it was one that told less of pods.
    #[serde(default)]
    pub seen_by: Option<String>,
    /// `uname -r`.
    pub kernel: String,
    /// `uname -v`.
    #[serde(default)]
    pub kernel_version: String,
    /// Whose SMC code it has.
    pub family: KernelFamily,
    /// Whether the module smc is there.
    pub smc: bool,
    /// Whether the module `smc_diag` is there.
    pub smc_diag: bool,
    /// The RDMA devices.
    pub devices: Result<Vec<Device>, String>,
    /// Whether pods may use them.
    pub netns_mode: Result<RdmaNetnsMode, String>,
    /// The parameter compat_mode of the eRDMA driver, when that is loaded.
    pub erdma_compat: Option<String>,
    /// The RDMA ports that SMC knows; empty while SMC is not there.
    pub ports: Result<Vec<SmcPort>, String>,
    /// The node's enterprise ids; empty while SMC is not there.
    pub ueids: Result<Vec<Ueid>, String>,
    /// What the agent made; `None` when it has made nothing since the node booted.
    pub made: Result<Option<Made>, String>,
    /// TCP ports 65500 to 65515 that somebody has, in any namespace; not looked for while smc is loaded and has them.
    pub reserved_taken: Vec<Listener>,
    /// `net.ipv4.ip_local_reserved_ports`.
    pub reserved_sysctl: String,
    /// How sockets are converted.
    pub conversion: ConversionFacts,
    /// The anchor link; `None` when there is no such link.
    pub anchor: Result<Option<AnchorFacts>, String>,
    /// IPv4 addresses at which IPVS has virtual servers.
    pub virtual_servers: Result<BTreeSet<Ipv4Addr>, String>,
    /// The same-node guard, where its program and maps are pinned.
    pub guard: Result<Option<GuardFacts>, String>,
    /// Whether the kernel has SMC-D loopback, by which pods of one node talk.
    pub loopback: Result<bool, String>,
    /// What the agent published.
    pub published: Result<NodeFacts, Reason>,
    /// What the agent answered.
    pub agent: Result<AgentFacts, String>,
    /// The CNI chain.
    pub chain: ChainFacts,
    /// Who else may set SMC up here, in words.
    pub managers: Vec<String>,
    /// Link groups, and connections in them.
    pub link_groups: Result<LinkGroups, String>,
    /// Memory, from `/proc/meminfo`.
    pub memory: Result<Memory, String>,
    /// Annotated pods.
    pub pods: Vec<PodState>,
    /// Records that cannot be read.
    pub unreadable: Vec<String>,
}

/// The link that carries pods' source anchors, and the routes that hold their packets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AnchorFacts {
    /// The addresses on the link.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// The addresses whose packets a route in table local holds.
    pub held: BTreeSet<Ipv4Addr>,
    /// Whether somebody brought the link up.
    pub up: bool,
}

/// An RDMA device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// `roce`, `iw`, `ib`, …
    pub protocol: String,
    /// The kernel module that drives it, when it could be found.
    pub driver: Option<String>,
    /// Its ports.
    pub ports: Vec<DevicePort>,
}

/// A port of an RDMA device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePort {
    /// Its number, from 1.
    pub port: u32,
    /// Whether it is ACTIVE.
    pub active: bool,
    /// The network device below, when it is in the host's namespace.
    pub netdev: Option<String>,
    /// Whether that is up.
    pub netdev_up: Option<bool>,
    /// That device's MTU.
    pub netdev_mtu: Option<u32>,
    /// Kinds of the GIDs, such as `RoCE v2`, each once.
    pub gid_kinds: Vec<String>,
    /// The IPv4 addresses that have a RoCE v2 GID; `None` when nobody looked.
    #[serde(default)]
    pub ipv4_gids: Option<Vec<Ipv4Addr>>,
}

/// An RDMA port as SMC knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmcPort {
    /// The device.
    pub device: String,
    /// Its port, from 1.
    pub port: u8,
    /// Whether it is ACTIVE.
    pub active: bool,
    /// Its PNETID.
    pub pnetid: Option<PnetId>,
    /// Whether the PNETID is from the table, not from the hardware.
    pub user_defined: bool,
    /// The network device below.
    pub netdev: Option<String>,
    /// That device's IPv4 addresses.
    pub addresses: Vec<Ipv4Net>,
    /// SMC-R links over the port.
    pub links: u32,
}

/// How TCP sockets become SMC sockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversionFacts {
    /// Whether the kernel has `net.smc.tcp2smc`.
    pub sysctl: bool,
    /// Whether the BPF program's link is pinned.
    pub link_pinned: bool,
    /// Whether its map is pinned.
    pub map_pinned: bool,
    /// Whether a TCP socket of a throw-away namespace became SMC once that was to be converted.
    pub tried: Result<bool, String>,
}

/// What the same-node guard does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardFacts {
    /// How many sources' offers are taken out: addresses of this node's accelerated pods, and of nodes.
    pub sources: usize,
    /// How many offers were taken out of SYNs to pods that are there.
    pub stripped: u64,
    /// Those by why they were.
    #[serde(default)]
    pub by_cause: BTreeMap<String, u64>,
}

impl GuardFacts {
    /// How many offers were taken out for where they came from, or while nobody may.
    pub fn not_allowed(&self) -> u64 {
        [StripCause::NotAllowed, StripCause::SwitchedOff]
            .iter()
            .filter_map(|why| self.by_cause.get(why.label()))
            .sum()
    }
}

/// What the agent says of itself at `/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFacts {
    /// Its version.
    pub version: String,
    /// Why it is not ready, if it is not.
    pub not_ready: Option<String>,
    /// Whether the container runtime runs the plugin.
    pub chain: ChainState,
    /// Why the entry is not loaded.
    pub chain_why: Option<String>,
    /// What is wrong, by subject.
    pub problems: Vec<(Subject, String)>,
    /// Queue pairs that each device has at all, where the agent may ask it.
    pub queue_pairs_max: Vec<(String, u64)>,
    /// What others took away or changed.
    #[serde(default)]
    pub losses: Vec<LossFacts>,
}

impl From<Brief> for AgentFacts {
    fn from(told: Brief) -> Self {
        let now = told.agent.now;
        let loss = |loss: Loss| LossFacts {
            reason: loss.reason,
            count: loss.count,
            seconds_ago: now.saturating_sub(loss.last),
            seen: loss.seen,
        };
        let device = |device: status::Device| Some((device.device, device.queue_pairs_max?));
        Self {
            version: told.agent.version,
            not_ready: told.not_ready_because,
            chain: told.chain.state,
            chain_why: told.chain.why,
            problems: told.problems.into_iter().map(|told| (told.subject, told.problem)).collect(),
            queue_pairs_max: told.devices.into_iter().filter_map(device).collect(),
            losses: told.losses.into_iter().map(loss).collect(),
        }
    }
}

/// What others took away or changed, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossFacts {
    /// The name in the table of reasons.
    pub reason: String,
    /// How often, since the agent started.
    pub count: u64,
    /// How many seconds ago the last time was.
    pub seconds_ago: u64,
    /// What was seen then.
    pub seen: String,
}

/// The CNI configuration on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainFacts {
    /// The list that the runtime takes: the first by name.
    pub list: Option<String>,
    /// Where our entry stands: in the list, or in a file beside it.
    pub entry: Option<String>,
    /// Whether the program is there and may be run.
    pub program: bool,
    /// Why the configuration could not be looked at.
    pub problem: Option<String>,
}

/// All link groups of the node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkGroups {
    /// How many.
    pub groups: u64,
    /// Connections in them.
    pub connections: u64,
    /// Connections in the fullest.
    pub fullest: u32,
}

/// The node's memory, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// All.
    pub total: u64,
    /// What can be had without swapping.
    pub available: u64,
}

/// An annotated pod: its record, what its namespace shows now, and what the agent judges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodState {
    /// The record.
    pub record: Record,
    /// What the namespace shows; `None` for pods that are not set up, and when the pod is gone.
    pub now: Option<Result<PodNow, String>>,
    /// Its counters and connections; `None` when the pod is gone.
    #[serde(default)]
    pub traffic: Option<Result<PodTraffic, String>>,
    /// What the agent judges its traffic to be; `None` without a running agent.
    #[serde(default)]
    pub judged: Option<LivePod>,
}

/// What a pod's namespace shows now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodNow {
    /// Whether new TCP sockets become SMC sockets.
    pub converts: bool,
    /// PNETIDs by interface.
    pub pnetids: Vec<(String, PnetId)>,
    /// IPv4 addresses.
    pub addresses: Vec<Ipv4Net>,
    /// Interfaces that carry traffic and have no program of the same-node guard's.
    #[serde(default)]
    pub unguarded: Vec<String>,
}

/// What of a node may have changed since the agent published it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNow {
    /// Whether the module smc is there.
    pub smc_loaded: bool,
    /// Whether pods may use the RDMA devices.
    pub rdma_netns_mode: RdmaNetnsMode,
    /// The RDMA ports that SMC knows.
    pub ports: Vec<RdmaPort>,
    /// The node's enterprise ids.
    pub ueids: Vec<Ueid>,
}

impl NodeNow {
    /// The node as it decides about pods: what the agent published, with what is seen now.
    pub fn over(self, published: NodeFacts) -> NodeFacts {
        let Self { smc_loaded, rdma_netns_mode, ports, ueids } = self;
        NodeFacts { smc_loaded, rdma_netns_mode, ports, ueids, ..published }
    }
}

impl Facts {
    /// The node in the words of [`smc_model`]: what the agent published, with what is seen now.
    pub fn node(&self) -> Option<NodeFacts> {
        let port = |port: &SmcPort| RdmaPort {
            device: port.device.clone(),
            port: port.port,
            active: port.active,
            pnetid: port.pnetid.clone(),
            netdev: port.netdev.as_ref().map(|name| RdmaNetdev {
                index: 0,
                name: name.clone(),
                addresses: port.addresses.clone(),
            }),
            pods: 0,
        };
        let published = self.published.clone().ok()?;
        if !self.smc {
            return Some(NodeFacts { smc_loaded: false, ..published });
        }
        let ports = self.ports.as_ref().ok()?.iter().map(port).collect();
        let now = NodeNow {
            smc_loaded: self.smc,
            rdma_netns_mode: self.netns_mode.clone().ok()?,
            ports,
            ueids: self.ueids.clone().ok()?,
        };
        Some(now.over(published))
    }

    /// The most queue pairs that the agent knows of a device.
    pub fn queue_pairs_max(&self, device: &str) -> Option<u64> {
        let agent = self.agent.as_ref().ok()?;
        agent.queue_pairs_max.iter().find(|(name, _)| name == device).map(|(_, max)| *max)
    }
}
