//! Takes the node's label and condition away, when there is no agent left that keeps them true.

use std::time::{Duration, Instant};

use kube::runtime::utils::Backoff;

use super::api::{ApiClient, Fault, Pace, Source, explain, explain_connect, fault, patch_status};
use super::condition::removal;

/// How long an API server is tried: rights that were applied together with the pod take a moment, a server that starts
/// takes longer. Whoever waits for a node's uninstalling should not wait for an API server that does not come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// They are gone.
    Removed,
    /// The API server has no such node, so nothing is left there.
    NoNode,
    /// They are left, with the reason in words.
    Left(String),
}

/// Removes them, trying for `patience`.
pub async fn remove(
    source: &Source,
    node_name: &str,
    patience: Duration,
    mut backoff: impl Backoff,
) -> Removal {
    let begun = Instant::now();
    let mut last = format!("no answer within {} s", patience.as_secs());
    loop {
        let left = patience.saturating_sub(begun.elapsed());
        let Ok(tried) = tokio::time::timeout(left, attempt(source, node_name)).await else {
            return Removal::Left(last);
        };
        match tried {
            Ok(removal) => return removal,
            Err(Failure { why, for_good: true, .. }) => return Removal::Left(why),
            Err(Failure { why, asked, .. }) => {
                let wait = asked.max(backoff.next().unwrap_or(patience));
                if begun.elapsed() + wait >= patience {
                    return Removal::Left(why);
                }
                if last != why {
                    tracing::info!(
                        "cannot remove {node_name}'s label and condition yet, trying for {} s in all: {why}",
                        patience.as_secs()
                    );
                }
                last = why;
                tokio::time::sleep(wait).await;
            }
        }
    }
}

struct Failure {
    why: String,
    asked: Duration,
    /// It would be refused again.
    for_good: bool,
}

/// Each attempt reads the credentials anew: a token may have been replaced.
async fn attempt(source: &Source, node_name: &str) -> Result<Removal, Failure> {
    let client = ApiClient::connect(source, Pace::SELDOM).await.map_err(|error| Failure {
        why: explain_connect(&error),
        asked: Duration::ZERO,
        for_good: false,
    })?;
    let Err(error) = client.write(patch_status("/api/v1/nodes", node_name, &removal())).await else {
        return Ok(Removal::Removed);
    };
    match fault(&error) {
        Fault::NotFound => Ok(Removal::NoNode),
        fault => Err(Failure {
            why: format!("{}: {}", client.server, explain(&error)),
            asked: client.asked_to_wait(),
            for_good: fault == Fault::Invalid,
        }),
    }
}

/// What an operator types to do the same.
pub fn by_hand(node_name: &str) -> String {
    format!("kubectl patch node {node_name} --subresource=status -p '{}'", removal())
}

#[cfg(test)]
mod tests;
