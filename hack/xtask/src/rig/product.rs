//! What is under test: where its binaries are and how it is installed on a node.

use std::path::PathBuf;

use super::state::repository;
use super::{Node, RigError};

/// The agent's log on a node.
pub(crate) const AGENT_LOG: &str = "/var/log/kube-smc/agent.log";

/// The agent, as `hack/build` leaves it.
fn agent() -> PathBuf {
    repository().join("target/dist/smc-agent")
}

/// Fails when `hack/build` was not run.
pub(crate) fn check_built() -> Result<(), RigError> {
    let agent = agent();
    if agent.exists() { Ok(()) } else { Err(RigError::NotBuilt(agent)) }
}

/// Installs the product on a node and starts its agent in the background.
pub(crate) fn start(node: &Node<'_>) -> Result<(), RigError> {
    let agent = agent().display().to_string();
    node.command(&[agent.as_str(), "install"]).check()?;
    let run = r#"mkdir -p "$(dirname "$2")"; setsid "$1" run >>"$2" 2>&1 </dev/null &"#;
    node.command(&["sh", "-c", run, "sh", &agent, AGENT_LOG]).check()?;
    Ok(())
}
