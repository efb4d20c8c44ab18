//! Brings nodes up: starts the emulators and follows their serial consoles until every node accepts sessions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::kernel::BootFiles;
use super::network::{Link, Network};
use super::options::UpOptions;
use super::qemu::{self, NodePlan};
use super::state::{NodeState, StateDirectory};
use super::{Progress, RigError};
use crate::layout::{FAILED_LINE, NodeNumber, READY_LINE};

/// Emulated, under the load of other rigs, and still hopeless after this.
const BOOT_LIMIT: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(50);

/// What every emulator of a rig is started with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) boot: &'a BootFiles,
    pub(crate) guest_program: &'a Path,
    pub(crate) state: &'a StateDirectory,
    pub(crate) network: &'a Network,
}

/// A node whose emulator runs.
#[derive(Debug)]
pub(crate) struct BootingNode {
    pub(crate) node: NodeNumber,
    child: Child,
}

impl BootingNode {
    pub(crate) fn state(&self) -> NodeState {
        NodeState { number: self.node.get(), pid: self.child.id() }
    }

    /// Ends the emulator, which may have begun too late to be found by its name, and collects it.
    pub(crate) fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn died(&mut self, what: String, state: &StateDirectory) -> RigError {
        let log = state.serial_log(self.node);
        let tail = [state.emulator_log(self.node), log.clone()].map(|path| tail(&path)).concat();
        let tail = tail.trim_end().to_owned();
        RigError::NodeDied { node: self.node.get(), what, log, tail }
    }

    /// Whether the node is ready; an error when it never will be.
    fn is_ready(&mut self, state: &StateDirectory) -> Result<bool, RigError> {
        let ended = self.child.try_wait().ok().flatten();
        let console = fs::read(state.serial_log(self.node)).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        if let Some(line) = console.lines().find(|line| line.contains(FAILED_LINE)) {
            return Err(self.died(line.trim().to_owned(), state));
        }
        if let Some(status) = ended {
            return Err(self.died(format!("ended ({status})"), state));
        }
        Ok(console.contains(READY_LINE))
    }
}

/// Starts all emulators of a rig; each started one is in `started` even when a later one fails.
pub(crate) fn start(
    options: &UpOptions,
    parts: &Parts<'_>,
    started: &mut Vec<BootingNode>,
) -> Result<(), RigError> {
    for node in NodeNumber::ALL.into_iter().take(options.nodes.into()) {
        if options.link == Link::Socket && !started.is_empty() {
            await_link(started, parts.state)?;
        }
        started.push(start_one(options, parts, node)?);
    }
    Ok(())
}

/// Starts one emulator.
pub(crate) fn start_one(
    options: &UpOptions,
    &Parts { boot, guest_program, state, network }: &Parts<'_>,
    node: NodeNumber,
) -> Result<BootingNode, RigError> {
    let plan = NodePlan { options, node, boot, guest_program, state };
    Ok(BootingNode { node, child: plan.start(network)? })
}

/// Waits until the first node's emulator listens for the second's.
fn await_link(started: &mut [BootingNode], state: &StateDirectory) -> Result<(), RigError> {
    let end = Instant::now() + Duration::from_secs(10);
    let socket: PathBuf = qemu::link_socket(state);
    while !socket.exists() && Instant::now() < end {
        for node in &mut *started {
            node.is_ready(state)?;
        }
        sleep(Duration::from_millis(5));
    }
    // The file appears in bind(2), a moment before listen(2).
    sleep(Duration::from_millis(20));
    Ok(())
}

/// Returns when every node accepts sessions.
pub(crate) fn await_ready(
    nodes: &mut [BootingNode],
    state: &StateDirectory,
    progress: Progress<'_>,
) -> Result<(), RigError> {
    let begin = Instant::now();
    let mut ready = vec![false; nodes.len()];
    while ready.contains(&false) {
        for (node, ready) in nodes.iter_mut().zip(&mut ready) {
            if node.is_ready(state)? && !*ready {
                *ready = true;
                progress(&format!("node {} booted", node.node.get()));
            }
            if begin.elapsed() > BOOT_LIMIT {
                return Err(node.died(format!("did not boot within {} s", BOOT_LIMIT.as_secs()), state));
            }
        }
        sleep(POLL);
    }
    Ok(())
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(15)..];
    last.iter().flat_map(|line| ["  ", line.trim_end(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_is_its_last_fifteen_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, (0..40).map(|line| line.to_string()).collect::<Vec<_>>().join("\r\n")).unwrap();
        assert!(tail(&path).starts_with("  25\n"));
        assert!(tail(&path).ends_with("  39\n"));
        assert_eq!(tail(&directory.path().join("none")), "");
    }
}
