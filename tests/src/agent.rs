//! The agent of a node: its log, its end, and its start.

use xtask::rig::{Node, repository};

use crate::{PATIENCE, eventually, shell};

const LOG: &str = "/var/log/kube-smc/agent.log";
const PLUGIN_LOG: &str = "/var/log/kube-smc/cni.log";

/// All that the agent has logged.
#[track_caller]
pub fn log(node: &Node<'_>) -> String {
    shell(node, r#"cat "$1""#, &[LOG])
}

/// All that the plugin has logged, without what was rotated away.
#[track_caller]
pub fn plugin_log(node: &Node<'_>) -> String {
    shell(node, r#"cat "$1" 2>/dev/null || :"#, &[PLUGIN_LOG])
}

/// The agent's program on every node.
pub fn program() -> String {
    repository().join("target/dist/smc-agent").display().to_string()
}

/// A node without its agent; dropping it starts the agent again.
#[derive(Debug)]
pub struct Ended<'n, 'a> {
    node: &'n Node<'a>,
    started: bool,
}

/// Ends the agent by a signal, such as `KILL`, and waits until it is gone.
#[track_caller]
pub fn end<'n, 'a>(node: &'n Node<'a>, signal: &str) -> Ended<'n, 'a> {
    let pid = shell(node, "pidof smc-agent", &[]);
    assert!(pid.parse::<u32>().is_ok(), "not one agent: {pid}");
    shell(node, r#"kill -s "$1" "$2""#, &[signal, &pid]);
    let ended = Ended { node, started: false };
    eventually(PATIENCE, || {
        let seen = shell(node, r#"[ -d "/proc/$1" ] && cat "/proc/$1/status" || :"#, &[&pid]);
        if seen.is_empty() { Ok(()) } else { Err(seen) }
    });
    ended
}

impl Ended<'_, '_> {
    /// Starts the agent and waits until it has prepared the node; returns what it has logged by then.
    #[track_caller]
    pub fn start(&mut self) -> String {
        self.start_with(&[])
    }

    /// As [`Self::start`], with `arguments`.
    #[track_caller]
    pub fn start_with(&mut self, arguments: &[&str]) -> String {
        let before = log(self.node);
        self.spawn(arguments);
        eventually(PATIENCE, || {
            let log = log(self.node);
            let new = log.strip_prefix(&before).unwrap_or(&log).to_owned();
            if new.contains("watching pods") { Ok(new) } else { Err(new) }
        })
    }

    fn spawn(&mut self, arguments: &[&str]) {
        self.started = true;
        let run = r#"agent=$1 log=$2; shift 2; setsid "$agent" run "$@" >>"$log" 2>&1 </dev/null &"#;
        let (program, mut command) = (program(), vec!["sh", "-c", run, "sh"]);
        command.extend([program.as_str(), LOG]);
        command.extend(arguments);
        let started = self.node.command(&command).check();
        assert!(started.is_ok() || std::thread::panicking(), "{started:?}");
    }
}

impl Drop for Ended<'_, '_> {
    fn drop(&mut self) {
        if !self.started {
            self.spawn(&[]);
        }
    }
}
