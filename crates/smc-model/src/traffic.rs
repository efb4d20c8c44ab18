//! What a pod's connections are, by the kernel's own word.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The kernel's code for "peer has no SMC" (`SMC_CLC_DECL_PEERNOSMC`).
pub const PEER_WITHOUT_SMC: u32 = 0x0301_0000;

/// What one look into a pod's network namespace showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodTraffic {
    /// What the kernel counted there.
    pub counters: Counters,
    /// The connections that there are now.
    pub connections: Connections,
}

/// What the kernel counted in one network namespace since it, or the smc module, came to be. Whom the connections were
/// with is not counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Connections that the pod opened.
    pub client: SideCounters,
    /// Connections that it accepted.
    pub server: SideCounters,
}

/// What the kernel counted on one side.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SideCounters {
    /// Connections that became SMC-R, version 1.
    pub smcr_v1: u64,
    /// Connections that became SMC-R, version 2.
    pub smcr_v2: u64,
    /// Handshakes that ended in an error, without even TCP.
    pub errors: u64,
    /// Connections that fell back to TCP, by the kernel's code. Modulo 65,536, as the kernel counts
    /// (net/smc/smc_stats.h, `struct smc_stats_fback`).
    pub fallbacks: BTreeMap<u32, u16>,
}

impl SideCounters {
    /// Connections that became SMC-R.
    pub fn smcr(&self) -> u64 {
        self.smcr_v1 + self.smcr_v2
    }
}

/// By how much [`Counters`] grew between two looks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Growth {
    /// Connections that became SMC-R.
    pub smcr: u64,
    /// Handshakes that ended in an error.
    pub errors: u64,
    /// Connections that fell back, by side and code; no zeros.
    pub fallbacks: BTreeMap<(Side, u32), u64>,
}

impl Growth {
    /// Whether nothing grew.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Whether connections fell back for another reason than a peer without SMC.
    pub fn has_failing(&self) -> bool {
        self.fallbacks.keys().any(|(_, code)| *code != PEER_WITHOUT_SMC)
    }
}

impl Counters {
    /// Both sides with their counters.
    pub fn sides(&self) -> [(Side, &SideCounters); 2] {
        [(Side::Client, &self.client), (Side::Server, &self.server)]
    }

    /// Connections that became SMC-R, of both sides.
    pub fn smcr(&self) -> u64 {
        self.client.smcr() + self.server.smcr()
    }

    /// The growth since `before`. Where a counter that cannot wrap went back, all were reset in between (the module was
    /// loaded anew), and everything counts.
    #[must_use]
    pub fn since(&self, before: &Self) -> Growth {
        let went_back = |now: &SideCounters, before: &SideCounters| {
            now.smcr_v1 < before.smcr_v1 || now.smcr_v2 < before.smcr_v2 || now.errors < before.errors
        };
        let reset = went_back(&self.client, &before.client) || went_back(&self.server, &before.server);
        let fresh = Self::default();
        let before = if reset { &fresh } else { before };
        let mut growth = Growth::default();
        for ((side, now), (_, before)) in self.sides().into_iter().zip(before.sides()) {
            growth.smcr += now.smcr() - before.smcr();
            growth.errors += now.errors - before.errors;
            for (&code, &count) in &now.fallbacks {
                let more = count.wrapping_sub(before.fallbacks.get(&code).copied().unwrap_or(0));
                if more > 0 {
                    growth.fallbacks.insert((side, code), more.into());
                }
            }
        }
        growth
    }
}

/// Which side of a connection the pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// It opened the connection.
    Client,
    /// It accepted the connection.
    Server,
}

/// A pod's connections, as far as the kernel tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "are", content = "value", rename_all = "kebab-case")]
pub enum Connections {
    /// These.
    Known(Vec<Connection>),
    /// What carries them cannot be told.
    Unknown {
        /// What is missing, such as "smc_diag is not loaded".
        why: String,
    },
}

impl Connections {
    /// The connections that are known.
    pub fn known(&self) -> &[Connection] {
        match self {
            Self::Known(connections) => connections,
            Self::Unknown { .. } => &[],
        }
    }
}

/// One connection of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The pod's end. Unspecified where the kernel gave no address and several connections have the same ports.
    pub local: SocketAddr,
    /// The other end, with the same gap.
    pub remote: SocketAddr,
    /// Which side the pod is, where it can be told.
    pub side: Option<Side>,
    /// What carries it.
    pub transport: Transport,
    /// Where the other end is.
    pub path: TrafficPath,
    /// The program's socket is known to be an IPv6 one. Addresses do not tell: mapped ones are told as IPv4.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ipv6_socket: bool,
}

/// What carries a connection's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Transport {
    /// RDMA.
    SmcR {
        /// The RDMA device.
        device: String,
        /// Its port.
        port: u8,
        /// The link's id within its link group.
        link: u8,
        /// The own GID. With the peer's it tells the link group.
        gid: String,
        /// The peer's GID.
        peer_gid: String,
    },
    /// Shared memory of one host.
    SmcD,
    /// TCP: an SMC socket that fell back.
    Fallback {
        /// The kernel's code.
        reason: u32,
        /// The code that the peer gave when it declined; else 0.
        peer_diagnosis: u32,
    },
    /// TCP: no SMC socket at all.
    PlainTcp,
    /// A TCP socket that no program of the pod has: the one within an SMC socket that its program has closed and whose peer has
    /// not, which the kernel no longer lists as SMC's; or one that a program outside of the pod has.
    NoProgram,
}

/// Where the other end of a connection is, as far as RDMA is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrafficPath {
    /// Elsewhere: RDMA could carry it.
    Remote,
    /// Another pod of this node: guarded, never RDMA.
    SameNode,
    /// In the pod itself: never RDMA.
    Loopback,
    /// The kernel gave no address.
    Unknown,
}

impl TrafficPath {
    /// The path between two addresses; `own` are the pod's own addresses, `same_node` those of this node's pods.
    pub fn between(
        local: IpAddr,
        remote: IpAddr,
        own: &BTreeSet<IpAddr>,
        same_node: &BTreeSet<IpAddr>,
    ) -> Self {
        let (local, remote) = (local.to_canonical(), remote.to_canonical());
        if remote.is_unspecified() {
            Self::Unknown
        } else if remote.is_loopback() || remote == local || own.contains(&remote) {
            Self::Loopback
        } else if same_node.contains(&remote) {
            Self::SameNode
        } else {
            Self::Remote
        }
    }

    /// Whether a fallback on this path can be a failure.
    pub fn can_be_rdma(self) -> bool {
        matches!(self, Self::Remote | Self::Unknown)
    }
}

#[cfg(test)]
mod tests;
