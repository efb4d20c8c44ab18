//! The addresses of the cluster's nodes, as Kubernetes knows them. Where a connection is masqueraded (a node port, an external
//! address), its source is the address of the interface by which it leaves a node, which most often is one of them, also when both
//! ends are pods of this node: the same-node guard takes SMC's offer out of SYNs from them. Not so where nodes have a second network,
//! or a tunnel, for pods.
//!
//! Read at the start and rarely after, as the table that `kubectl get nodes -o wide` shows: a fraction of what the nodes
//! themselves would be. Without the right, or without an API server, what was known stays.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use hyper::http;
use hyper::http::HeaderValue;
use hyper::http::header::ACCEPT;
use kube::api::ListParams;
use kube::core::request::Request;
use kube::runtime::utils::Backoff;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use smc_surfaces::Subject;

use super::api::{ApiClient, Fault, Pace, Source, explain_connect, fault, node_call_failed};
use crate::board::{Board, View};

const SUBJECT: Subject = Subject::NodeAddresses;
const NODES: &str = "/api/v1/nodes";
const AS_TABLE: HeaderValue = HeaderValue::from_static("application/json;as=Table;v=v1;g=meta.k8s.io");
/// The columns that have addresses.
const COLUMNS: [&str; 2] = ["Internal-IP", "External-IP"];
/// How often the list is read again. Nodes that join meanwhile are known late, not never.
const AGAIN: Duration = Duration::from_secs(600);
/// How much later it may be.
const SPREAD: Duration = Duration::from_secs(120);
/// How often it is looked whether the node is usable.
const LOOK_WHETHER_USABLE: Duration = Duration::from_secs(1);
/// How often it is tried again without the right.
const DENIED_AGAIN: Duration = Duration::from_secs(3600);

/// What of a list of nodes is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    column_definitions: Vec<Column>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Row {
    cells: Vec<Value>,
}

impl Table {
    /// Every address in it; `None` where it has no column of addresses.
    fn addresses(&self) -> Option<BTreeSet<IpAddr>> {
        let is_wanted = |column: &Column| COLUMNS.contains(&column.name.as_str());
        let columns: Vec<usize> = self
            .column_definitions
            .iter()
            .enumerate()
            .filter(|(_, column)| is_wanted(column))
            .map(|(index, _)| index)
            .collect();
        let cells = self.rows.iter().flat_map(|row| columns.iter().filter_map(|index| row.cells.get(*index)));
        // A node without one has `<none>`.
        let addresses = cells.filter_map(|cell| cell.as_str()?.parse().ok()).collect();
        (!columns.is_empty()).then_some(addresses)
    }
}

/// Sends the addresses whenever they are read, on a node that pods are accelerated on. Never returns; trouble is told on the board.
pub async fn follow(
    source: &Source,
    board: &Board,
    mut backoff: impl Backoff,
    sender: &watch::Sender<Option<BTreeSet<IpAddr>>>,
) {
    let is_usable = |view: &View| view.node.as_ref().is_some_and(|node| node.obstacle.is_none());
    let mut api = None;
    loop {
        while !board.read(is_usable) {
            tokio::time::sleep(LOOK_WHETHER_USABLE).await;
        }
        let wait = match read(source, &mut api).await {
            Ok(addresses) => {
                sender.send_if_modified(|known| {
                    known.as_ref() != Some(&addresses) && {
                        *known = Some(addresses);
                        true
                    }
                });
                board.problem(SUBJECT, None);
                backoff.reset();
                AGAIN + spread()
            }
            Err(Trouble::Denied(why)) => {
                tracing::info!(
                    "{why}: connections that another node masquerades between two pods of this one are not kept on TCP"
                );
                board.problem(SUBJECT, None);
                DENIED_AGAIN
            }
            Err(Trouble::Other(why, asked)) => {
                board.problem(SUBJECT, Some(format!("cannot list the nodes' addresses: {why}")));
                asked.max(backoff.next().unwrap_or(AGAIN))
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Agents that started together do not list together.
fn spread() -> Duration {
    let random = RandomState::new().build_hasher().finish();
    Duration::from_secs(random % SPREAD.as_secs())
}

enum Trouble {
    Denied(String),
    Other(String, Duration),
}

async fn read(source: &Source, api: &mut Option<ApiClient>) -> Result<BTreeSet<IpAddr>, Trouble> {
    let client = if let Some(client) = api {
        client
    } else {
        let client = ApiClient::connect(source, Pace::SELDOM).await;
        api.insert(client.map_err(|error| Trouble::Other(explain_connect(&error), Duration::ZERO))?)
    };
    match list(client).await {
        Ok(table) => table.addresses().ok_or_else(|| {
            let why =
                format!("the API server's table of nodes has none of the columns {}", COLUMNS.join(", "));
            Trouble::Other(why, AGAIN)
        }),
        Err(error) if fault(&error) == Fault::Forbidden => Err(Trouble::Denied(client.explain(&error))),
        Err(error) => {
            let (why, asked) = node_call_failed(api, &error);
            Err(Trouble::Other(why, asked))
        }
    }
}

async fn list(client: &ApiClient) -> kube::Result<Table> {
    // What the API server has in its cache is good enough.
    let cached = ListParams::default().match_any();
    let mut request = Request::new(NODES).list(&cached).map_err(kube::Error::BuildRequest)?;
    request.headers_mut().insert(ACCEPT, AS_TABLE);
    // Without the nodes' own metadata, which is most of it.
    let uri = format!("{}&includeObject=None", request.uri());
    *request.uri_mut() =
        uri.parse().map_err(|error: http::uri::InvalidUri| kube::Error::HttpError(error.into()))?;
    client.client.request(request).await
}

#[cfg(test)]
mod tests;
