//! Peers that are pods of this node by another address.
//!
//! Something that masquerades (a Service's port, a tunnel, an address of a node that Kubernetes does not tell) can bring two pods of
//! one node together without either seeing the other's address. Their handshake then times out on both sides, and may leak into their
//! streams. A handshake with another node times out on one side here; two such, in both directions, are told from one by their ports: what
//! masquerades keeps the client's where it can.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use smc_model::{Fallback, Side};

/// `SMC_CLC_DECL_TIMEOUT_CL` (net/smc/smc_clc.h).
const TIMED_OUT: u32 = 0x0201_0000;
/// `SMC_CLC_DECL_PEERDECL`: the client's word for what the server told it.
const DECLINED: u32 = 0x0500_0000;
/// How far apart the two sides of one handshake end: the server declines as soon as it has waited long enough.
const APART: Duration = Duration::from_secs(2);
/// How long such a peer is kept from SMC: addresses are used again.
const KEPT: Duration = Duration::from_secs(600);
/// How many are kept.
const MOST: usize = 256;

/// A handshake that timed out between two pods of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handshake {
    /// The server's container.
    pub(super) server: String,
    /// The client's container.
    pub(super) client: String,
    /// Whom the server took for its peer.
    pub(super) peer: IpAddr,
    /// Whom the client did.
    pub(super) dialled: Option<IpAddr>,
    /// Whether the client's side of it was taken for a failure.
    pub(super) blamed: bool,
}

/// One side of a handshake.
#[derive(Debug)]
struct Half {
    container: String,
    peer: Option<IpAddr>,
    /// The client's port, as this side knows it.
    port: u16,
    /// Whether it was taken for a failure.
    failed: bool,
    at: Duration,
}

/// Whether a fallback is a handshake's that timed out.
pub(super) fn is_timeout(code: u32, peer_diagnosis: u32) -> bool {
    code == TIMED_OUT || (code == DECLINED && peer_diagnosis == TIMED_OUT)
}

/// Who was found, and what may lead to others. Times as in [`smc_model::Live`].
#[derive(Debug, Default)]
pub(super) struct SameNodePeers {
    /// Until when.
    found: BTreeMap<IpAddr, Duration>,
    /// The last handshake that timed out on a server, and the last on a client, of any pod.
    server: Option<Half>,
    client: Option<Half>,
}

impl SameNodePeers {
    /// Takes in a fallback, with the client's port, of a server only one that `failed`: to what seemed another node. Returns the handshake of which now both sides are known.
    pub(super) fn fell_back(
        &mut self,
        container: &str,
        fallback: &Fallback,
        port: u16,
        failed: bool,
        now: Duration,
    ) -> Option<Handshake> {
        let Fallback { side, code, peer_diagnosis, peer, .. } = *fallback;
        if !is_timeout(code, peer_diagnosis) {
            return None;
        }
        let half = Half { container: container.to_owned(), peer, port, failed, at: now };
        match side {
            Side::Server => self.server = Some(half),
            Side::Client => self.client = Some(half),
        }
        let (server, client) = (self.server.as_ref()?, self.client.as_ref()?);
        let peer = server.peer?;
        let apart = client.at.abs_diff(server.at) > APART || client.port != server.port;
        if server.container == client.container || apart {
            return None;
        }
        // Nobody is kept from SMC for ever, so nobody beyond those that are remembered.
        if self.found.len() >= MOST && !self.found.contains_key(&peer) {
            return None;
        }
        let (server, client) = (self.server.take()?, self.client.take()?);
        self.found.insert(peer, now + KEPT);
        let (dialled, blamed) = (client.peer, client.failed);
        Some(Handshake { server: server.container, client: client.container, peer, dialled, blamed })
    }

    /// Those that are known.
    pub(super) fn found(&self) -> impl Iterator<Item = IpAddr> + use<'_> {
        self.found.keys().copied()
    }

    /// When the next is to be forgotten.
    pub(super) fn next(&self) -> Option<Duration> {
        self.found.values().min().copied()
    }

    /// Forgets those that are known long enough, and returns them: whoever has the address now is tried anew.
    pub(super) fn forget(&mut self, now: Duration) -> Vec<IpAddr> {
        let over: Vec<IpAddr> =
            self.found.iter().filter(|(_, until)| **until <= now).map(|(peer, _)| *peer).collect();
        self.found.retain(|_, until| *until > now);
        over
    }
}

#[cfg(test)]
mod tests;
