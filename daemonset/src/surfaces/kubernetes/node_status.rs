//! Writes the node's condition and label.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kube::runtime::utils::Backoff;
use smc_state::Store;
use smc_surfaces::Subject;
use tokio::sync::watch;

use super::api::{ApiClient, Pace, Source, explain_connect, node_call_failed, patch_status};
use super::condition::{Condition, Since, patch};
use crate::board::Board;

const SUBJECT: Subject = Subject::NodeCondition;
/// How often the condition is written when it did not change: somebody may have made the node anew, and a `lastHeartbeatTime` that
/// is older says that no agent speaks for the node any more. As often as kubelets do.
pub const HEARTBEAT: Duration = Duration::from_secs(300);

/// Writes the condition when it changes, and every [`HEARTBEAT`], until nobody can change it any more. `None` is not
/// written: nothing is known yet. Trouble is told on the board.
pub async fn publish(
    source: &Source,
    node_name: &str,
    mut conditions: watch::Receiver<Option<Condition>>,
    store: &Store,
    board: &Board,
    mut backoff: impl Backoff,
) {
    let mut since = match store.read_document() {
        Ok(since) => since,
        Err(error) => {
            board.problem(SUBJECT, Some(error.with_cause()));
            None
        }
    };
    let mut api = None;
    loop {
        let condition = conditions.borrow_and_update().clone();
        let mut wait = HEARTBEAT;
        if let Some(condition) = condition {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let after = Since::after(since, condition.ready, now);
            if since != Some(after) {
                since = Some(after);
                // Without the file, a restart of the agent moves the transition time; nothing else hangs on it.
                if let Err(error) = store.write_document(&after) {
                    tracing::debug!("{}", error.with_cause());
                }
            }
            let patch = patch(&condition, after, now);
            match write(source, &mut api, node_name, &patch).await {
                Ok(()) => {
                    board.problem(SUBJECT, None);
                    backoff.reset();
                }
                Err((why, asked)) => {
                    board.problem(SUBJECT, Some(format!("cannot write {node_name}'s condition: {why}")));
                    wait = asked.max(backoff.next().unwrap_or(HEARTBEAT));
                }
            }
        }
        // A change is written at once, also while a server in trouble is waited for: the client paces itself.
        if let Ok(Err(_)) = tokio::time::timeout(wait, conditions.changed()).await {
            return;
        }
    }
}

async fn write(
    source: &Source,
    api: &mut Option<ApiClient>,
    node_name: &str,
    patch: &serde_json::Value,
) -> Result<(), (String, Duration)> {
    let client = if let Some(client) = api {
        client
    } else {
        let client = ApiClient::connect(source, Pace::SELDOM).await;
        api.insert(client.map_err(|error| (explain_connect(&error), Duration::ZERO))?)
    };
    let Err(error) = client.write(patch_status("/api/v1/nodes", node_name, patch)).await else {
        return Ok(());
    };
    Err(node_call_failed(api, &error))
}

#[cfg(test)]
mod tests;
