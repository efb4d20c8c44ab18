//! The agent of a node: its log, its end, and its start.

use rig::host::{Agent, Ending, Node, repository};

use crate::{PATIENCE, eventually, shell};

const PLUGIN_LOG: &str = "/var/log/kube-smc/cni.log";

/// All that the agent has logged.
#[track_caller]
pub fn log(node: &Node<'_>) -> String {
    of(node).log().unwrap_or_else(|error| panic!("{error}"))
}

/// All that the plugin has logged, without what was rotated away.
#[track_caller]
pub fn plugin_log(node: &Node<'_>) -> String {
    shell(node, r#"cat "$1" 2>/dev/null || :"#, &[PLUGIN_LOG])
}

/// The agent's program on every node, to be run beside the agent's container.
pub fn program() -> String {
    repository().join("target/dist/smc-agent").display().to_string()
}

/// What the agent says that it would do to the node.
pub fn dry_run(node: &Node<'_>) -> String {
    shell(node, r#""$1" run --dry-run"#, &[&program()])
}

/// Undoes on the node what the agent made, which must not run; returns what was said of it.
#[track_caller]
pub fn uninstall(node: &Node<'_>) -> String {
    shell(node, r#""$1" uninstall 2>&1"#, &[&program()])
}

/// A node without its agent; dropping it starts the agent again.
#[derive(Debug)]
pub struct Ended<'n, 'a> {
    node: &'n Node<'a>,
    started: bool,
}

/// Ends the agent and returns when it is gone. Told to end, it must do so by itself.
#[track_caller]
pub fn end<'n, 'a>(node: &'n Node<'a>, ending: Ending) -> Ended<'n, 'a> {
    let (ended, code) = end_at_any_time(node, ending);
    assert!(ending == Ending::Kill || code == 0, "the agent ended with {code}: {}", log(node));
    ended
}

/// As [`end`], for an agent that may just begin, and so may not hear that it shall end before it is killed. Also returns
/// its exit code.
#[track_caller]
pub fn end_at_any_time<'n, 'a>(node: &'n Node<'a>, ending: Ending) -> (Ended<'n, 'a>, i32) {
    let code = of(node).end(ending).unwrap_or_else(|error| panic!("{error}"));
    let ended = Ended { node, started: false };
    assert_eq!(shell(node, "pidof smc-agent || :", &[]), "", "an agent still runs");
    (ended, code)
}

#[track_caller]
fn of<'a>(node: &Node<'a>) -> Agent<'a> {
    node.agent().unwrap_or_else(|error| panic!("{error}"))
}

impl Ended<'_, '_> {
    /// Starts the agent and waits until it has prepared the node; returns what it has logged by then.
    #[track_caller]
    pub fn start(&mut self) -> String {
        self.start_with(&[])
    }

    /// As [`Self::start_with`], and waits until the runtime has loaded the plugin's entry, which uninstalling took away.
    #[track_caller]
    pub fn start_chained(&mut self, arguments: &[&str]) -> String {
        let said = self.start_with(arguments);
        of(self.node).await_chained().unwrap_or_else(|error| panic!("{error}"));
        said
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

    /// Starts the agent with `arguments` and does not wait for anything.
    #[track_caller]
    pub fn spawn(&mut self, arguments: &[&str]) {
        self.started = true;
        let started = of(self.node).with_arguments(arguments).start();
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
