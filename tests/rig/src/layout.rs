//! What both sides of the rig know: addresses, paths, and the words on a node's kernel command line.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// The node's RDMA-capable NIC; the nodes' link carries it.
pub const RDMA_NIC: &str = "eri0";
/// Length of the prefix of [`RDMA_NIC`]'s subnet, 10.0.0.0, which holds nodes and pods.
pub const RDMA_PREFIX: u8 = 16;
/// The NIC that only this machine's `rig` command uses.
pub const MANAGEMENT_NIC: &str = "mgmt0";
/// Where whoever is not a node stands on the nodes' link: the control plane of a cluster, or a program of this machine.
pub const OUTSIDE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The same for those of IPv6.
pub const OUTSIDE_ADDRESS_V6: Ipv6Addr = second_family(OUTSIDE_ADDRESS);
/// Length of the prefix of [`RDMA_NIC`]'s IPv6 subnet, which holds nodes and pods.
pub const RDMA_PREFIX_V6: u8 = 48;
/// The soft-RoCE device on [`RDMA_NIC`].
pub const RDMA_DEVICE: &str = "rxe0";
/// The node's address on [`MANAGEMENT_NIC`], the same in every node: each has an emulated network of its own.
pub const MANAGEMENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 15);
/// The TCP port of `rig-guest serve` on [`MANAGEMENT_ADDRESS`].
pub const MANAGEMENT_PORT: u16 = 7000;
/// The node's own copy of `rig-guest`: the file it was started from may be rebuilt at any time.
pub const GUEST_PROGRAM: &str = "/run/rig/rig-guest";
/// While a file of a service's name is in this directory of a node, the service is not started again when it ends.
pub const HELD_SERVICES: &str = "/run/rig/held";
/// containerd's socket in a node.
pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
/// Where containerd unpacks images: on the node's disk.
pub const SNAPSHOTTER: &str = "overlayfs";
/// The image of every pod's pause container.
pub const PAUSE_IMAGE: &str = "kube-smc.rig/pause:1";
/// The image of every pod's containers: empty directories over which the node's own programs are mounted.
pub const NODE_IMAGE: &str = "kube-smc.rig/node:1";
/// Where a node finds the archives of images that it imports into containerd, below the rig's state directory.
pub const IMAGES_DIRECTORY: &str = "images";
/// Made when the last of them is there.
pub const IMAGES_COMPLETE: &str = "images/complete";
/// Where a node's kubelet finds static pods.
pub const STATIC_PODS: &str = "/var/lib/kubelet/static-pods";
/// What makes a node one of a Kubernetes cluster, below the rig's state directory: programs, certificates, settings.
pub const KUBERNETES_DIRECTORY: &str = "kubernetes";
/// The secret every session must present, below the rig's state directory.
pub const TOKEN_FILE: &str = "token";
/// A file named `<namespace>_<pod>` in this directory of a node holds the address the `terway` plugin gives that pod.
pub const REQUESTED_ADDRESSES: &str = "/run/rig/requested-addresses";
/// While a node has this file the `terway` plugin does what Terway does with `enable_erdma`: the PNETID in the file is
/// given to [`RDMA_DEVICE`] and to the pod's interface.
pub const ERDMA_PNETID: &str = "/run/rig/erdma-pnetid";
/// Where containerd writes the containers' output.
pub const POD_LOGS: &str = "/var/log/pods";
/// A node prints this on its serial console when it accepts sessions.
pub const READY_LINE: &str = "rig-guest: ready";
/// A node prints this, followed by the reason, when it cannot go on.
pub const FAILED_LINE: &str = "rig-guest: failed:";

/// One of the rig's nodes: 1, 2 or 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeNumber(u8);

/// The IPv6 address of whoever has this IPv4 address on the nodes' link, where the rig has both families.
pub const fn second_family(address: Ipv4Addr) -> Ipv6Addr {
    let [_, _, network, host] = address.octets();
    Ipv6Addr::new(0xfd00, 0x10, 0, network as u16, 0, 0, 0, host as u16)
}

impl NodeNumber {
    /// Nodes are numbered from one.
    pub const ALL: [Self; 3] = [Self(1), Self(2), Self(3)];

    /// `None` for anything else.
    pub fn new(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.0 == number)
    }

    /// 1, 2 or 3.
    pub fn get(self) -> u8 {
        self.0
    }

    /// All nodes that a rig can have beside this one.
    pub fn others(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |other| *other != self)
    }

    /// The node's own address on [`RDMA_NIC`].
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, 10 + self.0)
    }

    /// The network that holds the node's pods; it is a part of the RDMA NIC's own subnet, as with a cloud's ENIs.
    pub fn pod_network(self) -> String {
        format!("{}/24", self.first_of_pod_network())
    }

    /// The same of IPv6.
    pub fn pod_network_v6(self) -> String {
        format!("{}/64", second_family(self.first_of_pod_network()))
    }

    fn first_of_pod_network(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, self.0, 0)
    }

    /// Every address a pod of this node may get: more than the 110 pods that a kubelet takes.
    pub fn pod_addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        let network = u32::from(self.first_of_pod_network());
        (network + 1..network + 255).map(Ipv4Addr::from)
    }

    /// Hardware address of [`RDMA_NIC`].
    pub fn rdma_mac(self) -> String {
        format!("52:54:00:00:01:0{}", self.0)
    }

    /// Hardware address of [`MANAGEMENT_NIC`].
    pub fn management_mac(self) -> String {
        format!("52:54:00:00:02:0{}", self.0)
    }

    /// The host name inside the node.
    pub fn host_name(self) -> String {
        format!("node{}", self.0)
    }
}

/// What a node is told on its kernel command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootWords {
    /// Which node it is.
    pub node: NodeNumber,
    /// Whether a kubelet runs on it, by the files that are in [`KUBERNETES_DIRECTORY`].
    pub kubernetes: bool,
    /// Whether nodes and pods have IPv6 addresses, too.
    pub dual_stack: bool,
    /// A directory with the programs of containerd 2; `None` for the machine's own containerd.
    pub containerd: Option<PathBuf>,
    /// The module that is loaded right after smc; `None` for nothing.
    pub tcp2smc: Option<PathBuf>,
    /// This repository: mounted without caching, so that a node sees what was just built.
    pub repository: PathBuf,
    /// The rig's state directory on this machine, seen by the node read-only.
    pub state: PathBuf,
    /// The kernel's `lib/modules`.
    pub modules: PathBuf,
}

/// Why a kernel command line says nothing usable about the rig.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootWordsError {
    /// A word is missing or its value is not one the rig gives.
    #[error("the kernel command line has no usable {0}")]
    Missing(&'static str),
    /// The kernel splits its command line at blanks, and quotes are special to it.
    #[error("the path {0:?} has a blank or a quote, which a kernel command line cannot carry")]
    Path(PathBuf),
}

impl BootWords {
    /// The words, separated by blanks.
    pub fn to_command_line(&self) -> Result<String, BootWordsError> {
        let paths = [&self.repository, &self.state, &self.modules];
        for path in paths.into_iter().chain(&self.containerd).chain(&self.tcp2smc) {
            let usable = |text: &str| !text.contains(|c: char| c.is_whitespace() || c == '"');
            if !path.to_str().is_some_and(usable) {
                return Err(BootWordsError::Path(path.clone()));
            }
        }
        let given = |key: &str, path: &Option<PathBuf>| {
            path.as_ref().map(|path| format!(" {key}={}", path.display())).unwrap_or_default()
        };
        Ok(format!(
            "rig.node={} rig.kubernetes={} rig.dual_stack={} rig.repository={} rig.state={} rig.modules={}{}{}",
            self.node.0,
            self.kubernetes,
            self.dual_stack,
            self.repository.display(),
            self.state.display(),
            self.modules.display(),
            given("rig.containerd", &self.containerd),
            given("rig.tcp2smc", &self.tcp2smc),
        ))
    }

    /// Finds the words among others, as in `/proc/cmdline`.
    pub fn parse(command_line: &str) -> Result<Self, BootWordsError> {
        let value = |key: &'static str| {
            command_line
                .split_whitespace()
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
                .ok_or(BootWordsError::Missing(key))
        };
        let path = |key: &'static str| {
            let path = Path::new(value(key)?);
            if path.is_absolute() { Ok(path.to_owned()) } else { Err(BootWordsError::Missing(key)) }
        };
        let given = |key: &'static str| value(key).is_ok().then(|| path(key)).transpose();
        let node = value("rig.node")?.parse().ok().and_then(NodeNumber::new);
        let flag = |key| value(key)?.parse().map_err(|_| BootWordsError::Missing(key));
        Ok(Self {
            node: node.ok_or(BootWordsError::Missing("rig.node"))?,
            kubernetes: flag("rig.kubernetes")?,
            dual_stack: flag("rig.dual_stack")?,
            containerd: given("rig.containerd")?,
            tcp2smc: given("rig.tcp2smc")?,
            repository: path("rig.repository")?,
            state: path("rig.state")?,
            modules: path("rig.modules")?,
        })
    }
}

#[cfg(test)]
mod tests;
