//! Which fallbacks are failures.
//!
//! In-pod and same-node traffic can never be RDMA. A peer without SMC is none either: kubelet's probes, Prometheus and
//! load balancers all are such peers. It is counted by its address, and is a failure only when it spoke SMC before.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Connection, Failure, Growth, PEER_WITHOUT_SMC, Side, TrafficPath, Transport};

/// Set before there is a peer, so it proves nothing about one (`SMC_CLC_DECL_OPTUNSUPP`).
const OPTION_UNSUPPORTED: u32 = 0x0306_0000;
/// How many peers without SMC are counted by their addresses in each pod.
const PEERS_COUNTED: usize = 64;
/// How long a peer is known to speak SMC after it was last seen to. Pod addresses are used again.
const PEER_KNOWN: Duration = Duration::from_secs(600);
/// How many peers are known on a node.
const PEERS_KNOWN: usize = 4096;

/// One connection that fell back, as the kernel told when it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// Which side the pod is.
    pub side: Side,
    /// The kernel's code.
    pub code: u32,
    /// The code that the peer gave when it declined; else 0.
    pub peer_diagnosis: u32,
    /// The program's socket is an IPv6 one.
    pub ipv6_socket: bool,
    /// The peer; `None` when it fell back before there was one.
    pub peer: Option<IpAddr>,
    /// Where the peer is.
    pub path: TrafficPath,
    /// Whoever may not speak SMC with the server was kept from it, by the settings or by its owner.
    pub not_allowed: bool,
}

/// What a fallback means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// In-pod or same-node traffic.
    Local,
    /// The peer does not speak SMC, and need not.
    PeerWithoutSmc,
    /// The offer was taken out, as was wanted.
    NotAllowed,
    /// It should have been SMC-R.
    Failed(Failure),
}

impl Fallback {
    /// What it means; `speaks_smc` says whether its peer was seen to speak SMC.
    pub fn judge(&self, speaks_smc: bool) -> Judgement {
        let Self { side, code, peer_diagnosis, ipv6_socket, peer, path, not_allowed } = *self;
        match (path.can_be_rdma(), code, peer) {
            (false, ..) => Judgement::Local,
            (true, PEER_WITHOUT_SMC, _) if not_allowed => Judgement::NotAllowed,
            (true, PEER_WITHOUT_SMC, Some(peer)) if speaks_smc => {
                Judgement::Failed(Failure::PeerLostSmc { peer })
            }
            (true, PEER_WITHOUT_SMC, _) => Judgement::PeerWithoutSmc,
            (true, ..) => {
                let side = Some(side);
                Judgement::Failed(Failure::Fallback { code, peer_diagnosis, ipv6_socket, side })
            }
        }
    }

    /// Whether the fallback proves that its peer speaks SMC: it offered it, and only then something went wrong
    /// (net/smc/af_smc.c, `__smc_connect`, `smc_listen_work`).
    pub fn proves_peer(&self) -> Option<IpAddr> {
        self.peer.filter(|_| {
            self.path.can_be_rdma() && !matches!(self.code, PEER_WITHOUT_SMC | OPTION_UNSUPPORTED)
        })
    }
}

/// What fell back of other pods of the node at about the same time, by the side that it was counted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Elsewhere {
    /// On the client's side.
    pub client: u64,
    /// On the server's side.
    pub server: u64,
}

impl Elsewhere {
    /// With what fell back of one more pod.
    #[must_use]
    pub fn and(self, growth: &Growth) -> Self {
        let of =
            |side| failing(growth).filter(|((of, _), _)| *of == side).map(|(_, count)| count).sum::<u64>();
        Self { client: self.client + of(Side::Client), server: self.server + of(Side::Server) }
    }
}

/// What counters alone tell of fallbacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// Those that left the node for certain, so that they should have been SMC-R.
    pub failed: BTreeMap<Failure, u64>,
    /// How many may have left it, or have gone to another pod of it: nobody can tell.
    pub unplaced: u64,
}

/// Fallbacks that are not just a peer without SMC.
fn failing(growth: &Growth) -> impl Iterator<Item = (&(Side, u32), &u64)> {
    growth.fallbacks.iter().filter(|((_, code), _)| *code != PEER_WITHOUT_SMC)
}

/// What failed, judged by counters alone: they know no peers, so where a connection went must be inferred.
///
/// An in-pod connection that falls back is counted on both sides of the same pod, one between two pods of the node on the
/// client's side of the one and the server's of the other, one that leaves the node on one side of one pod. So what the larger
/// side has more than the other, and more than other pods have on the opposite one, left the node for certain. Where there are
/// living connections with a code, they tell where its fallbacks belong. What cannot be told is no failure.
pub fn failed_by_counters(growth: &Growth, connections: &[Connection], elsewhere: Elsewhere) -> Counted {
    let own = Elsewhere::default().and(growth);
    let larger = if own.client >= own.server { Side::Client } else { Side::Server };
    let opposite = if larger == Side::Client { elsewhere.server } else { elsewhere.client };
    let surplus = own.client.abs_diff(own.server);
    let mut certain = surplus.saturating_sub(opposite);
    let mut unplaced = surplus - certain;
    let mut counted = Counted::default();
    for (&(side, code), &count) in failing(growth) {
        let mut with_code = connections.iter().filter_map(|connection| match connection.transport {
            Transport::Fallback { reason, peer_diagnosis } if reason == code => {
                Some((connection.path, peer_diagnosis, connection.ipv6_socket))
            }
            _ => None,
        });
        let living = with_code.clone().count();
        let remote = with_code.find(|(path, ..)| *path == TrafficPath::Remote);
        let failed = match remote {
            Some(_) => count,
            None if living > 0 || side != larger => 0,
            None => count.min(certain),
        };
        if side == larger {
            certain -= failed.min(certain);
            // Those that living connections place are known, too.
            let placed = if living > 0 { count } else { failed };
            let open = (count - placed).min(unplaced);
            unplaced -= open;
            counted.unplaced += open;
        }
        if failed > 0 {
            let (peer_diagnosis, ipv6_socket) =
                remote.map_or((0, false), |(_, diagnosis, ipv6)| (diagnosis, ipv6));
            let failure = Failure::Fallback { code, peer_diagnosis, ipv6_socket, side: Some(side) };
            *counted.failed.entry(failure).or_default() += failed;
        }
    }
    counted
}

/// The peers that were seen to speak SMC, by any pod of this node. Times as in [`crate::Live`].
#[derive(Debug, Clone, Default)]
pub struct SmcPeers(BTreeMap<IpAddr, Duration>);

impl SmcPeers {
    /// A peer spoke SMC.
    pub fn saw(&mut self, peer: IpAddr, now: Duration) {
        if self.0.len() >= PEERS_KNOWN && !self.0.contains_key(&peer) {
            self.forget(now);
        }
        if self.0.len() < PEERS_KNOWN || self.0.contains_key(&peer) {
            self.0.insert(peer, now);
        }
    }

    /// A peer was taken for one that speaks SMC, and it is not known whether it does.
    pub fn mistook(&mut self, peer: IpAddr) {
        self.0.remove(&peer);
    }

    /// Whether a peer spoke SMC lately.
    pub fn speaks(&self, peer: IpAddr, now: Duration) -> bool {
        self.0.get(&peer).is_some_and(|&last| now.saturating_sub(last) < PEER_KNOWN)
    }

    /// Drops those that are known no longer.
    pub fn forget(&mut self, now: Duration) {
        self.0.retain(|_, last| now.saturating_sub(*last) < PEER_KNOWN);
    }
}

/// How often each peer was found without SMC, of one pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeersWithoutSmc {
    /// Connections by the peer's address, for the first 64 peers.
    pub counts: BTreeMap<IpAddr, u64>,
    /// Connections with all other peers, and with those whose address is not known.
    #[serde(default)]
    pub others: u64,
}

impl PeersWithoutSmc {
    /// Counts connections.
    pub fn count(&mut self, peer: Option<IpAddr>, connections: u64) {
        match peer {
            Some(peer) if self.counts.len() < PEERS_COUNTED || self.counts.contains_key(&peer) => {
                *self.counts.entry(peer).or_default() += connections;
            }
            _ => self.others += connections,
        }
    }

    /// All connections.
    pub fn total(&self) -> u64 {
        self.counts.values().sum::<u64>() + self.others
    }
}

#[cfg(test)]
mod tests;
