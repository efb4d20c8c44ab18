//! `smcctl conns`: each connection, and what carries it.

use std::fmt::Write as _;
use std::net::{Ipv6Addr, SocketAddr};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use smc_abi::fallback::PEERDECL;
use smc_model::reasons;
use smc_model::{Connection, Connections, Failure, Known, Reason, Side, TrafficPath, Transport, diagnose};

use crate::output::{Outcome, Paint, Status, Table};
use crate::pods::ObservedPod;

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    namespace: String,
    pod: String,
    local: SocketAddr,
    remote: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<Side>,
    /// `SMC-R`, `SMC-D` or `TCP`.
    transport: &'static str,
    path: TrafficPath,
    /// Device and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// The link within its link group, and the two ends that tell which group it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<Link>,
    /// Why it is TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Why>,
    /// Why the peer declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_reason: Option<Why>,
    /// The fault behind it, by what is known of the node and the pod now.
    #[serde(skip_serializing_if = "Option::is_none")]
    likely: Option<Reason>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Link {
    id: u8,
    gid: String,
    peer_gid: String,
}

/// A reason why a connection is TCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Why {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    seen: &'static str,
}

impl Why {
    fn of(code: u32) -> Self {
        Self { name: reasons::fallback_label(code), code: Some(code), seen: reasons::fallback_seen(code) }
    }

    fn words(&self) -> String {
        match self.code {
            Some(code) => format!("{} ({code:#010x}) [{}]", self.seen, self.name),
            None => self.seen.to_owned(),
        }
    }
}

/// The rows of these pods.
pub(crate) fn rows(all: &[ObservedPod]) -> Vec<Row> {
    let mut rows = Vec::new();
    for seen in all {
        let Some(Ok(traffic)) = &seen.traffic else { continue };
        rows.extend(traffic.connections.known().iter().map(|connection| row(seen, connection)));
    }
    rows
}

/// Why connections of these pods could not be listed.
fn unknown(all: &[ObservedPod]) -> Vec<String> {
    let why = |seen: &ObservedPod| match &seen.traffic {
        Some(Err(why)) => Some(why.clone()),
        Some(Ok(traffic)) => match &traffic.connections {
            Connections::Unknown { why } => Some(why.clone()),
            Connections::Known(_) => None,
        },
        None => None,
    };
    all.iter()
        .filter_map(|seen| {
            Some(format!("{}/{}: {}", seen.record.pod.namespace, seen.record.pod.name, why(seen)?))
        })
        .collect()
}

fn row(seen: &ObservedPod, connection: &Connection) -> Row {
    let pod = &seen.record.pod;
    let plain = Row {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        local: connection.local,
        remote: connection.remote,
        side: connection.side,
        transport: "TCP",
        path: connection.path,
        device: None,
        link: None,
        reason: None,
        peer_reason: None,
        likely: None,
    };
    match &connection.transport {
        Transport::SmcR { device, port, link, gid, peer_gid } => Row {
            transport: "SMC-R",
            device: Some(format!("{device}/{port}")),
            link: Some(Link { id: *link, gid: gid.clone(), peer_gid: peer_gid.clone() }),
            ..plain
        },
        Transport::SmcD => Row { transport: "SMC-D", ..plain },
        Transport::Fallback { reason, peer_diagnosis } => {
            let peer = (*reason == PEERDECL && *peer_diagnosis != 0).then(|| Why::of(*peer_diagnosis));
            let likely = likely(seen, connection, *reason, *peer_diagnosis);
            Row { reason: Some(Why::of(*reason)), peer_reason: peer, likely, ..plain }
        }
        Transport::PlainTcp => {
            let seen = "not an SMC socket: older than the pod's set-up, or made before it";
            Row { reason: Some(Why { name: "PlainTcp", code: None, seen }), ..plain }
        }
        Transport::NoProgram => {
            let seen = "no program of the pod has this socket: most likely it closed an SMC connection that the peer has not closed yet";
            Row { transport: "–", reason: Some(Why { name: "NoProgram", code: None, seen }), ..plain }
        }
    }
}

/// The fault behind a fallback, where the node as it is now tells it.
fn likely(seen: &ObservedPod, connection: &Connection, code: u32, peer_diagnosis: u32) -> Option<Reason> {
    if !connection.path.can_be_rdma() {
        return None;
    }
    let lost: Vec<Reason> = seen.cause.iter().cloned().collect();
    let known = Known {
        node: seen.node.as_ref()?,
        plan: &seen.record.plan,
        addresses: &seen.record.owned.addresses(),
        lost: &lost,
        restored: &[],
        queue_pairs: &[],
    };
    let (ipv6_socket, side) = (connection.ipv6_socket, connection.side);
    diagnose(&Failure::Fallback { code, peer_diagnosis, ipv6_socket, side }, &known)
}

/// The table.
pub(crate) fn conns(all: &[ObservedPod], paint: Paint) -> Result<Outcome> {
    let rows = rows(all);
    let unknown = unknown(all);
    let mut text = if rows.is_empty() { "No connections.\n".to_owned() } else { render(&rows, paint) };
    for why in &unknown {
        let _ = writeln!(text, "{} {why}", paint.doubt("?"));
    }
    let status = if unknown.is_empty() { Status::Fine } else { Status::CouldNotLook };
    Outcome::new(status, &json!({ "connections": rows, "unknown": unknown }), text)
}

pub(crate) fn render(rows: &[Row], paint: Paint) -> String {
    let mut table = Table::new(&["POD", "LOCAL", "PEER", "SIDE", "TRANSPORT", "OVER, OR WHY NOT"]);
    for row in rows {
        let over = match (&row.device, &row.link, &row.reason) {
            (Some(device), Some(link), _) => {
                format!("{device}, link {} of the group to {}", link.id, short(&link.peer_gid))
            }
            (_, _, Some(reason)) => {
                let path = match row.path {
                    TrafficPath::Loopback => "within the pod: ",
                    TrafficPath::SameNode => "same node: ",
                    TrafficPath::Remote | TrafficPath::Unknown => "",
                };
                let peer = row.peer_reason.as_ref().map(|why| format!("; the peer: {}", why.words()));
                let likely = row.likely.as_ref().map(|fault| format!("; likely {}: {fault}", fault.name()));
                format!("{path}{}{}{}", reason.words(), peer.unwrap_or_default(), likely.unwrap_or_default())
            }
            _ => String::new(),
        };
        let side = match row.side {
            Some(Side::Client) => "client",
            Some(Side::Server) => "server",
            None => "-",
        };
        table.row([
            format!("{}/{}", row.namespace, row.pod),
            row.local.to_string(),
            row.remote.to_string(),
            side.to_owned(),
            row.transport.to_owned(),
            over,
        ]);
    }
    table.render(paint)
}

/// RoCE v2's GIDs hold an IPv4 address.
fn short(gid: &str) -> String {
    let mapped = gid.parse::<Ipv6Addr>().ok().and_then(|gid| gid.to_ipv4_mapped());
    mapped.map_or_else(|| gid.to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests;
