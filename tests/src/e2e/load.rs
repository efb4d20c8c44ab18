//! Load by Fortio, from one pod of the example to another.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use xtask::rig::RunningCommand;

use super::world::{Pod, World};

/// The example's container.
const CONTAINER: &str = "fortio";

/// What Fortio counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answers {
    /// Requests that were answered with 200.
    pub(super) right: u64,
    /// Requests that were not.
    pub(super) failed: u64,
    /// Connections that were opened.
    pub(super) connections: u64,
}

/// How requests are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connections {
    /// All requests over a few connections that stay.
    Lasting,
    /// A connection for each.
    EachNew,
}

/// Load that goes on until it is stopped.
#[derive(Debug)]
pub(super) struct Load {
    child: Child,
    mark: String,
    node: String,
}

impl World {
    /// So many requests, all made before this returns.
    pub(super) fn requests(&self, from: &Pod, url: &str, count: u32, how: Connections) -> Result<Answers> {
        let count = count.to_string();
        let arguments = [&exec(from)[..], &["-n", &count], &load(how), &[url]].concat();
        answers(&self.kubectl(&arguments)?)
    }

    /// Starts load that goes on while something else happens.
    pub(super) fn load(&self, from: &Pod, url: &str, how: Connections) -> Result<Load> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mark = format!("X-Load: {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut kubectl = self.cluster.kubectl();
        kubectl.args(exec(from)).args(["-t", "0", "-H", &mark]).args(load(how)).arg(url);
        kubectl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.cluster.rig().network().spawn(&mut kubectl)?.context("start kubectl")?;
        Ok(Load { child, mark, node: from.node.clone() })
    }

    /// Ends the load, and returns what came of its requests.
    pub(super) fn stop(&self, mut load: Load) -> Result<Answers> {
        if let Some(status) = load.child.try_wait()? {
            let said = load.child.wait_with_output()?;
            bail!("the load ended by itself ({status}): {}", String::from_utf8_lossy(&said.stderr).trim());
        }
        // Told by its own header among all processes of the node.
        let script = r#"for process in /proc/[0-9]*; do
            tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -qxF "$1" || continue
            [ "$(cat "$process/comm")" = fortio ] && kill -INT "${process#/proc/}" && exit; done; exit 1"#;
        self.node(&load.node)?.command(&["sh", "-c", script, "sh", &load.mark]).check()?;
        let output = load.child.wait_with_output()?;
        answers(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Load that needs nothing of the cluster but the two pods, and ends by itself.
#[derive(Debug)]
pub(super) struct Detached {
    running: RunningCommand,
}

impl World {
    /// Starts load in the client's container from the node itself, for so many seconds.
    pub(super) fn detached_load(&self, from: &Pod, url: &str, seconds: u64) -> Result<Detached> {
        // The container's first process is known by its host name.
        let script = r#"pod=$1; shift; for process in /proc/[0-9]*; do
            [ "$(cat "$process/comm")" = fortio ] && tr '\0' '\n' <"$process/environ" | grep -qxF "HOSTNAME=$pod" &&
            exec nsenter --target "${process#/proc/}" --net --mount "$@"; done 2>/dev/null; exit 1"#;
        let time = format!("{seconds}s");
        let own = ["sh", "-c", script, "sh", &from.name, "/usr/bin/fortio", "load", "-t", &time];
        let argv = [&own[..], &load(Connections::EachNew), &[url]].concat();
        Ok(Detached { running: self.node(&from.node)?.command(&argv).spawn()? })
    }
}

impl Detached {
    /// Waits for its end.
    pub(super) fn wait(self) -> Result<Answers> {
        let output = self.running.wait()?;
        answers(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

impl Answers {
    /// Fails unless every request was answered, and there were some.
    pub(super) fn all_right(self) -> Result<Self> {
        ensure!(self.failed == 0 && self.right > 0, "{self:?}");
        Ok(self)
    }
}

fn exec(from: &Pod) -> [&str; 9] {
    ["exec", "-n", &from.namespace, &from.name, "-c", CONTAINER, "--", "fortio", "load"]
}

/// Gently: the nodes are emulated, and what is to be seen is whether each request is answered.
fn load(how: Connections) -> [&'static str; 9] {
    let keep = match how {
        Connections::Lasting => "-keepalive=true",
        Connections::EachNew => "-keepalive=false",
    };
    ["-quiet", "-json", "-", "-qps", "10", "-c", "2", "-allow-initial-errors", keep]
}

/// Reads Fortio's result.
fn answers(json: &str) -> Result<Answers> {
    let result: Value = serde_json::from_str(json).with_context(|| format!("Fortio said {json:?}"))?;
    let codes = result["RetCodes"].as_object().context("Fortio's result has no RetCodes")?;
    let count = |right: bool| {
        codes
            .iter()
            .filter(|(code, _)| (*code == "200") == right)
            .filter_map(|(_, count)| count.as_u64())
            .sum()
    };
    let connections = result["Sockets"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum();
    Ok(Answers { right: count(true), failed: count(false), connections })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_200_is_a_failed_request() {
        let json = r#"{"RetCodes":{"200":98,"503":1,"-1":1},"Sockets":[3,4]}"#;
        let found = answers(json).unwrap();
        assert_eq!(found, Answers { right: 98, failed: 2, connections: 7 });
        assert!(found.all_right().is_err());
    }

    #[test]
    fn no_request_is_not_all_right() {
        assert!(answers(r#"{"RetCodes":{}}"#).unwrap().all_right().is_err());
        assert!(answers("").is_err());
    }
}
