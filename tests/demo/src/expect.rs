//! What a pair's connections must have become, judged by the kernel's counters in both pods.

use serde::Serialize;
use smc_abi::fallback;

use crate::Traffic;
use rig::counters::Counters;

/// What a pair's connections must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// SMC-R, every one.
    SmcR,
    /// TCP, because the server's end does not offer SMC; the server has no SMC socket at all.
    PeerWithoutSmc,
    /// TCP, with no SMC socket on either side.
    Tcp,
    /// TCP between two accelerated pods of one node: the guard keeps SMC out of their handshake.
    SameNode,
    /// SMC-R between the pods, TCP between a program and its proxy within a pod.
    SmcRBetweenProxies,
}

/// What was seen of a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// In the client's pod.
    pub client: Counters,
    /// In the server's pod.
    pub server: Counters,
    /// What the programs themselves say.
    pub traffic: Traffic,
}

/// Judges one pair; an error says what is not as it must be.
pub fn judge(expected: Expected, seen: &Seen) -> Result<(), String> {
    let Seen { client, server, traffic } = seen;
    if traffic.failed > 0 || traffic.requests == 0 {
        return Err(format!("{} requests served, {} failed", traffic.requests, traffic.failed));
    }
    if traffic.files_right != traffic.files {
        return Err(format!("{} of {} files arrived as they were sent", traffic.files_right, traffic.files));
    }
    let no_errors = client.client.errors + server.server.errors == 0;
    let connections = u64::from(traffic.files);
    let (holds, must) = match expected {
        Expected::SmcR => (
            client.client.smcr >= connections
                && server.server.smcr == client.client.smcr
                && client.client.fallbacks() + server.server.fallbacks() == 0,
            "every connection SMC-R, counted alike in both pods",
        ),
        Expected::PeerWithoutSmc => (
            client.client.smcr == 0
                && client.client.fallbacks() >= connections
                && only(client, fallback::PEERNOSMC)
                && server.server.is_zero(),
            "every connection TCP because the peer has no SMC",
        ),
        Expected::Tcp => {
            (client.client.is_zero() && server.server.is_zero(), "every connection TCP, with no SMC socket")
        }
        Expected::SameNode => (
            client.client.smcr + server.server.smcr == 0
                && client.client.fallbacks() >= connections
                && only(client, fallback::PEERNOSMC),
            "every connection TCP, the SMC option taken out of the handshake",
        ),
        // Within a pod both ends of a hop are counted, once in each role; a hop between the pods that had fallen
        // back would be counted in one role only.
        Expected::SmcRBetweenProxies => (
            client.client.smcr >= connections
                && server.server.smcr == client.client.smcr
                && client.client.fallbacks() == client.server.fallbacks()
                && server.client.fallbacks() == server.server.fallbacks(),
            "SMC-R between the pods, TCP within them",
        ),
    };
    match (holds, no_errors) {
        (true, true) => Ok(()),
        (_, false) => Err("some handshakes ended in an error".to_owned()),
        (false, true) => Err(format!("must be: {must}")),
    }
}

fn only(client: &Counters, reason: u32) -> bool {
    client.client.fallback.keys().all(|&code| code == reason)
}

#[cfg(test)]
mod tests;
