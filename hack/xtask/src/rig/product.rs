//! What is under test: where its binaries are and how it is installed on a node.

use std::path::PathBuf;

use super::state::repository;
use super::{Node, RigError};

/// The agent's log on a node.
pub(crate) const AGENT_LOG: &str = "/var/log/kube-smc/agent.log";

/// What the agent publishes when it has prepared a node.
const NODE_FILE: &str = "/run/kube-smc/node.json";

/// The agent, as `hack/build` leaves it.
fn agent() -> PathBuf {
    repository().join("target/dist/smc-agent")
}

/// Fails when `hack/build` was not run.
pub(crate) fn check_built() -> Result<(), RigError> {
    let agent = agent();
    if agent.exists() { Ok(()) } else { Err(RigError::NotBuilt(agent)) }
}

/// Starts the agent on a node, waits until it has prepared the node, and chains the plugin: a pod that starts now is
/// set up.
pub(crate) fn start(node: &Node<'_>) -> Result<(), RigError> {
    let agent = agent().display().to_string();
    let run = r#"mkdir -p "$(dirname "$2")"; setsid "$1" run >>"$2" 2>&1 </dev/null &"#;
    node.command(&["sh", "-c", run, "sh", &agent, AGENT_LOG]).check()?;
    let wait = r#"for _ in $(seq 600); do [ -e "$1" ] && exit; sleep 0.2; done; tail "$2" >&2; exit 1"#;
    node.command(&["sh", "-c", wait, "sh", NODE_FILE, AGENT_LOG]).check()?;
    node.command(&[agent.as_str(), "install"]).check()?;
    Ok(())
}
