//! What a self-test showed, and whether that was to be expected.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use smc_abi::diag::{self, Mode, SmcSocket};
use smc_abi::fallback::{PEERDECL, PEERNOSMC};
use smc_host::kernel;
use smc_host::netlink::{Connection, Protocol};
use smc_model::reasons;
use smc_model::{Binding, Guard, NodeFacts};

use super::echo::Sent;
use super::place::Place;
use crate::output::{Outcome, Paint, Status, field};

/// Which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    /// The one that connected.
    Client,
    /// The one that accepted.
    Server,
}

/// What the kernel says of one end's socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Socket {
    /// `SMC-R`, `SMC-D` or `TCP`.
    pub(super) transport: &'static str,
    /// The RDMA device and port that carry it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<String>,
    /// Why it is TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Why>,
    /// Why the peer declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peer_reason: Option<Why>,
}

/// A fallback code with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Why {
    /// The code.
    pub(super) code: u32,
    /// Its name in the table of reasons.
    pub(super) name: &'static str,
    /// Its words.
    pub(super) seen: &'static str,
}

impl Why {
    fn of(code: u32) -> Self {
        Self { code, name: reasons::fallback_label(code), seen: reasons::fallback_seen(code) }
    }
}

impl Socket {
    /// Looks at the socket with these ports in the place's namespace.
    pub(super) fn of(place: &Place, local: u16, remote: u16) -> Result<Self> {
        if !place.converts {
            return Ok(Self::plain());
        }
        if !kernel::module_is_loaded("smc_diag") {
            anyhow::bail!("the module smc_diag is not loaded: what became of the connection cannot be seen");
        }
        let mut connection = place.netns.run(|| Connection::open(Protocol::SockDiag))??;
        let answers = connection.request(&"list the SMC sockets", &diag::smc_sockets())?;
        let sockets = answers.iter().filter_map(|answer| diag::parse_smc_socket(&answer.body).ok());
        let ours = |socket: &SmcSocket| {
            socket.mode.is_some() && (socket.local.port(), socket.remote.port()) == (local, remote)
        };
        let found = sockets.into_iter().find(ours).context("the kernel does not list the connection")?;
        Ok(Self::from(&found))
    }

    fn plain() -> Self {
        Self { transport: "TCP", device: None, reason: None, peer_reason: None }
    }
}

impl From<&SmcSocket> for Socket {
    fn from(socket: &SmcSocket) -> Self {
        let transport = match socket.mode {
            Some(Mode::SmcR) => "SMC-R",
            Some(Mode::SmcD) => "SMC-D",
            Some(Mode::Tcp) | None => "TCP",
        };
        let fallback = socket.fallback.filter(|fallback| fallback.reason != 0);
        let peer = fallback.filter(|fallback| fallback.reason == PEERDECL && fallback.peer_diagnosis != 0);
        Self {
            transport,
            device: socket.link.as_ref().map(|link| format!("{}/{}", link.device, link.port)),
            reason: fallback.map(|fallback| Why::of(fallback.reason)),
            peer_reason: peer.map(|fallback| Why::of(fallback.peer_diagnosis)),
        }
    }
}

/// One end's part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    role: Role,
    address: Ipv4Addr,
    peer: SocketAddr,
    /// Whether the namespace's TCP sockets become SMC sockets.
    converted: bool,
    #[serde(flatten)]
    socket: Socket,
    /// What the namespace was bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    binding: Option<Binding>,
    /// How long connecting took, or waiting for the connection, in milliseconds.
    connect_milliseconds: u64,
    #[serde(flatten)]
    sent: Sent,
    intact: bool,
}

impl Report {
    pub(super) fn new(
        role: Role,
        place: &Place,
        peer: SocketAddr,
        socket: Socket,
        waited: Duration,
        sent: Sent,
    ) -> Self {
        Self {
            role,
            address: place.address,
            peer,
            converted: place.converts,
            socket,
            binding: place.binding.clone(),
            connect_milliseconds: super::millis(waited),
            sent,
            intact: sent.intact(),
        }
    }
}

/// All ends that were here, and what they prove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Proof {
    /// Whether it is what it should be.
    pub(super) as_expected: bool,
    /// In words.
    proves: String,
    ends: Vec<Report>,
    /// What could not be taken back.
    left_behind: Vec<String>,
}

impl Proof {
    /// Judges. `alone`: both ends are on this node.
    pub(super) fn of(ends: Vec<Report>, alone: bool, node: &NodeFacts, left_behind: Vec<String>) -> Self {
        let intact = ends.iter().all(|end| end.intact);
        let converted = ends.iter().all(|end| end.converted);
        let all = |transport: &str| ends.iter().all(|end| end.socket.transport == transport);
        let without_offer =
            ends.iter().all(|end| end.socket.reason.as_ref().is_some_and(|why| why.code == PEERNOSMC));
        let guarded = node.guard == Guard::Ready && without_offer;
        let (transport_fine, words) = if all("SMC-R") {
            (true, "SMC-R works here")
        } else if alone && all("SMC-D") {
            (true, "pods of this node talk by the kernel's own loopback (SMC-D)")
        } else if alone && guarded {
            (
                true,
                "sockets are converted, and the same-node guard keeps two pods of one node on TCP, as it should: \
                 SMC-R between nodes is proved by `smcctl selftest serve` and `connect`",
            )
        } else if without_offer && !node.inbound.is_any() {
            (
                false,
                "not everybody may speak SMC with this node's pods (`smcctl doctor`, line inbound peers), and the throw-away addresses \
                 may be in none of the ranges",
            )
        } else if alone && node.guard == Guard::NotNeeded {
            (false, "the connection fell back; on this kernel the reason tells whether it should have")
        } else if alone {
            (
                false,
                "two pods of one node should have been kept on TCP by the same-node guard, for that reason",
            )
        } else {
            (false, "the connection should have been SMC-R; see the reason")
        };
        let proves = if !intact {
            "THE DATA IS NOT WHAT WAS SENT: take the annotation off pods until the cause is known".to_owned()
        } else if !converted {
            "a TCP socket of a namespace that was set up is not converted".to_owned()
        } else {
            format!("{words}; the data came through unchanged")
        };
        let as_expected = intact && converted && transport_fine && left_behind.is_empty();
        Self { as_expected, proves, ends, left_behind }
    }

    /// As the command tells it.
    pub(super) fn outcome(&self, paint: Paint) -> Result<Outcome> {
        let status = if self.as_expected { Status::Fine } else { Status::Problem };
        Outcome::new(status, self, self.render(paint))
    }

    /// For people.
    fn render(&self, paint: Paint) -> String {
        let mut text = String::new();
        for end in &self.ends {
            let role = match end.role {
                Role::Client => "client",
                Role::Server => "server",
            };
            let _ = writeln!(text, "{}", paint.strong(&format!("{role} {} with {}", end.address, end.peer)));
            let over = end.socket.device.as_ref().map(|device| format!(" over {device}")).unwrap_or_default();
            field(&mut text, "  transport", format!("{}{over}", end.socket.transport));
            for (name, why) in [("  because", &end.socket.reason), ("  peer said", &end.socket.peer_reason)] {
                if let Some(why) = why {
                    field(&mut text, name, format!("{} ({:#010x}) [{}]", why.seen, why.code, why.name));
                }
            }
            let converted = if end.converted { "an SMC socket" } else { "still TCP: not converted" };
            field(&mut text, "  socket", converted);
            let data = match end.sent.wrong_at {
                Some(place) => paint.bad(&format!("wrong from byte {place} on")),
                None if !end.sent.complete => paint.bad(&format!("only {} bytes came back", end.sent.bytes)),
                None => {
                    format!("{} bytes each way, all equal, in {} ms", end.sent.bytes, end.sent.milliseconds)
                }
            };
            field(&mut text, "  data", data);
        }
        let sign = if self.as_expected { paint.good("✓") } else { paint.bad("✗") };
        let _ = writeln!(text, "{sign} {}", self.proves);
        for left in &self.left_behind {
            let _ = writeln!(text, "{} left behind: {left}", paint.bad("✗"));
        }
        text
    }
}

#[cfg(test)]
mod tests;
