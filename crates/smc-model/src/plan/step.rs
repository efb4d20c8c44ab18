//! One change of the kernel's state, and its words.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Not;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{PeerRanges, PnetId};

/// One change of the kernel's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// Host: keep `address` routed to the pod by a unicast /32 in table local, as long as it is anchored.
    HoldRoute {
        /// The pod's address.
        address: Ipv4Addr,
        /// Index of the host's interface towards the pod.
        towards_pod: u32,
        /// What the host's own packets to the pod have as their source, where its route says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Ipv4Addr>,
    },
    /// Host: put `address` on the anchor link.
    AnchorAddress {
        /// The pod's address.
        address: Ipv4Addr,
        /// Index of the anchor link.
        anchor: u32,
    },
    /// Host: remove the local route that came with the anchor.
    DropLocalRoute {
        /// The pod's address.
        address: Ipv4Addr,
        /// Index of the anchor link.
        anchor: u32,
    },
    /// Host: remove the unicast /32 again. Never planned: records of versions that held it only for a moment say it.
    ReleaseRoute {
        /// The pod's address.
        address: Ipv4Addr,
        /// Index of the host's interface towards the pod.
        towards_pod: u32,
    },
    /// Host and pod: have the offer taken out of SYNs that come from `address` to guarded interfaces of this node's pods, and
    /// guard `interface`.
    Guard {
        /// The pod's address.
        address: Ipv4Addr,
        /// The pod's interface, where it has not the program yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
        /// IPv6 addresses of the pod, for which the same is done.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        also: BTreeSet<Ipv6Addr>,
        /// Directory of the pinned program and maps. None in records of versions whose guard was nftables'.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pins: Option<PathBuf>,
        /// Who may speak SMC with the pod, where its owner says that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peers: Option<PeerRanges>,
    },
    /// Pod: remove a PNETID that no usable RDMA port bears from the namespace's table, with every interface that has it.
    DropPnetid {
        /// The stale id.
        pnetid: PnetId,
    },
    /// Pod: enter `interface` under `pnetid` in the namespace's PNET table.
    SetPnetid {
        /// The pod's interface.
        interface: String,
        /// The id.
        pnetid: PnetId,
    },
    /// Pod: `net.smc.tcp2smc=1`.
    ConvertBySysctl {
        /// Whether `net.mptcp.enabled=0` comes before it: sockets that are asked for as MPTCP are then made as TCP, by all programs that
        /// were made for kernels without MPTCP, too.
        #[serde(default, skip_serializing_if = "Not::not")]
        mptcp_off: bool,
    },
    /// Host: put the pod's namespace cookie into the BPF program's map.
    ConvertByBpf {
        /// Path of the pinned map.
        map: PathBuf,
        /// Whether sockets that are asked for as MPTCP stay as they are.
        #[serde(default, skip_serializing_if = "Not::not")]
        keep_mptcp: bool,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HoldRoute { address, towards_pod, .. } => {
                write!(f, "keep {address} routed to interface {towards_pod} while it is anchored")
            }
            Self::AnchorAddress { address, anchor } => write!(f, "put {address} on anchor link {anchor}"),
            Self::DropLocalRoute { address, .. } => write!(f, "remove the local route of {address}"),
            Self::ReleaseRoute { address, .. } => write!(f, "remove the temporary route of {address}"),
            Self::Guard { address, interface, also, peers, .. } => {
                if let Some(interface) = interface {
                    write!(f, "attach the same-node guard to {interface} and ")?;
                }
                write!(f, "add {address}")?;
                also.iter().try_for_each(|address| write!(f, ", {address}"))?;
                f.write_str(" to the same-node guard")?;
                peers.iter().try_for_each(|peers| write!(f, ", and let only {peers} speak SMC with it"))
            }
            Self::DropPnetid { pnetid } => write!(f, "remove the stale PNETID {pnetid} in the pod"),
            Self::SetPnetid { interface, pnetid } => write!(f, "give {interface} the PNETID {pnetid}"),
            Self::ConvertBySysctl { mptcp_off } => {
                let mptcp = if *mptcp_off { "net.mptcp.enabled=0 and " } else { "" };
                write!(f, "set {mptcp}net.smc.tcp2smc=1 in the pod")
            }
            Self::ConvertByBpf { map, keep_mptcp } => {
                let mptcp = if *keep_mptcp { ", for sockets that are not MPTCP" } else { "" };
                write!(f, "add the pod's namespace to {}{mptcp}", map.display())
            }
        }
    }
}
