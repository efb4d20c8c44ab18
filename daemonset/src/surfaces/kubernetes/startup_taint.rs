//! Takes a taint off this node when the agent is ready, for nodes that join with it: their pods start when the plugin is
//! there, so none of them is missed. The taint is never put on: the node pool registers its nodes with it.
//!
//! The one thing that is read in Kubernetes, and written in a node's spec; the rights for it are in the manifests'
//! component `startup-taint` only.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use kube::api::GetParams;
use kube::core::request::Request;
use kube::runtime::utils::Backoff;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use smc_surfaces::Subject;

use super::api::{ApiClient, Fault, Pace, Source, explain_connect, fault, node_call_failed, patch};
use crate::board::Board;

const SUBJECT: Subject = Subject::StartupTaint;
const NODES: &str = "/api/v1/nodes";
/// How often it is looked whether the agent is ready.
const LOOK_WHETHER_READY: Duration = Duration::from_millis(500);
/// How often the node is read again: it may have been made anew, with the taint, while the agent lives.
pub const AGAIN: Duration = Duration::from_secs(60);

/// A taint's key: a name, or a domain and a name with `/` between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaintKey(String);

/// Why a text is not a taint's key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TaintKeyError {
    /// A taint as kubectl takes it.
    #[error("give the taint's key only, without its value and effect: what stands before '=' and ':'")]
    WholeTaint,
    /// Not of the form of a key.
    #[error(
        "a taint's key is a name of up to 63 letters, digits, '-', '_' and '.', with a domain and '/' before it, such as \
         smc.asm.alibabacloud.com/agent-not-ready"
    )]
    Form,
}

impl FromStr for TaintKey {
    type Err = TaintKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(['=', ':']) {
            return Err(TaintKeyError::WholeTaint);
        }
        let (domain, name) = text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
        let is_word = |word: &str, also: &[char]| {
            word.chars().all(|letter| letter.is_ascii_alphanumeric() || also.contains(&letter))
                && word.starts_with(|first: char| first.is_ascii_alphanumeric())
                && word.ends_with(|last: char| last.is_ascii_alphanumeric())
        };
        let fits = name.len() <= 63
            && is_word(name, &['-', '_', '.'])
            && domain.is_none_or(|domain| domain.len() <= 253 && is_word(domain, &['-', '.']));
        if fits { Ok(Self(text.to_owned())) } else { Err(TaintKeyError::Form) }
    }
}

impl fmt::Display for TaintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What of a node is read.
#[derive(Debug, Deserialize)]
struct Node {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
}

#[derive(Debug, Default, Deserialize)]
struct Spec {
    /// Whole, because they are written back.
    #[serde(default)]
    taints: Vec<Value>,
}

/// The merge patch that leaves all taints but those of this key, and is refused if the node was changed since it was read;
/// `None`: there is none of this key.
fn removal(node: &Node, key: &TaintKey) -> Option<Value> {
    let is_ours = |taint: &&Value| taint["key"].as_str() == Some(&key.0);
    let (ours, others): (Vec<&Value>, Vec<&Value>) = node.spec.taints.iter().partition(is_ours);
    (!ours.is_empty()).then(|| {
        json!({
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "spec": {"taints": others},
        })
    })
}

/// Takes the taint off whenever the agent is ready and the node has it. Never returns; trouble is told on the board.
pub async fn keep_off(
    source: &Source,
    node_name: &str,
    key: &TaintKey,
    board: &Board,
    mut backoff: impl Backoff,
) {
    let mut api = None;
    loop {
        while board.read(|view| view.readiness.ready(Instant::now()).is_err()) {
            tokio::time::sleep(LOOK_WHETHER_READY).await;
        }
        let wait = match take_off(source, &mut api, node_name, key).await {
            Ok(taken) => {
                if taken {
                    tracing::info!(
                        "took the taint {key} off {node_name}: the agent is ready, pods may start here"
                    );
                }
                board.problem(SUBJECT, None);
                backoff.reset();
                AGAIN
            }
            Err((why, asked)) => {
                let told =
                    format!("cannot take the taint {key} off {node_name}, so pods may not start here: {why}");
                board.problem(SUBJECT, Some(told));
                asked.max(backoff.next().unwrap_or(AGAIN))
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Whether there was such a taint, which is gone now.
async fn take_off(
    source: &Source,
    api: &mut Option<ApiClient>,
    node_name: &str,
    key: &TaintKey,
) -> Result<bool, (String, Duration)> {
    let client = if let Some(client) = api {
        client
    } else {
        let client = ApiClient::connect(source, Pace::SELDOM).await;
        api.insert(client.map_err(|error| (explain_connect(&error), Duration::ZERO))?)
    };
    let error = match attempt(client, node_name, key).await {
        Ok(taken) => return Ok(taken),
        Err(error) => error,
    };
    Err(node_call_failed(api, &error))
}

async fn attempt(client: &ApiClient, node_name: &str, key: &TaintKey) -> kube::Result<bool> {
    loop {
        let read = Request::new(NODES).get(node_name, &GetParams::default());
        let node: Node = client.client.request(read.map_err(kube::Error::BuildRequest)?).await?;
        let Some(removal) = removal(&node, key) else { return Ok(false) };
        match client.write(patch(NODES, node_name, &removal)).await {
            Ok(()) => return Ok(true),
            // Changed in between, by the kubelet most likely; the client paces itself.
            Err(error) if fault(&error) == Fault::Conflict => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
