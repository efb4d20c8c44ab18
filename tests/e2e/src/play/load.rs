//! Load by Fortio, from one pod of the example to another.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::host::RunningCommand;
use serde_json::Value;

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

/// How long Fortio may take to end once it is told to.
const LIMIT: Duration = Duration::from_secs(120);
/// Fortio ends by it and tells what it counted.
const INTERRUPT: u8 = 2;

/// Load that goes on until it is stopped. Of the cluster it needs the two pods and nothing else.
#[derive(Debug)]
pub(super) struct Load {
    running: RunningCommand,
}

impl World {
    /// So many requests, all made before this returns.
    pub(super) fn requests(&self, from: &Pod, url: &str, count: u32, how: Connections) -> Result<Answers> {
        let count = count.to_string();
        let arguments = [&exec(from)[..], &["-n", &count], &load(how), &[url]].concat();
        answers(&self.kubectl(&arguments)?)
    }

    /// Starts load that goes on while something else happens: in the client's container, but not by `kubectl exec`, whose
    /// connection goes through API server, kubelet and runtime.
    pub(super) fn load(&self, from: &Pod, url: &str, how: Connections) -> Result<Load> {
        // The container's first process is known by its host name.
        let script = r#"pod=$1; shift; for process in /proc/[0-9]*; do
            [ "$(cat "$process/comm")" = fortio ] && tr '\0' '\n' <"$process/environ" | grep -qxF "HOSTNAME=$pod" &&
            exec nsenter --target "${process#/proc/}" --net --mount "$@"; done 2>/dev/null; exit 1"#;
        let own = ["sh", "-c", script, "sh", &from.name, "/usr/bin/fortio", "load", "-t", "0"];
        let argv = [&own[..], &load(how), &[url]].concat();
        Ok(Load { running: self.node(&from.node)?.command(&argv).timeout(LIMIT).spawn()? })
    }
}

impl Load {
    /// Ends it, and returns what came of its requests; an error in Fortio's words when one was not answered.
    pub(super) fn stop(self) -> Result<Answers> {
        self.running.signal(INTERRUPT)?;
        let output = self.running.wait()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let counted = answers(&String::from_utf8_lossy(&output.stdout));
        counted.and_then(Answers::all_right).with_context(|| said.trim().to_owned())
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
fn load(how: Connections) -> [&'static str; 7] {
    let keep = match how {
        Connections::Lasting => "-keepalive=true",
        Connections::EachNew => "-keepalive=false",
    };
    ["-loglevel=warning", "-json=-", "-timeout=15s", "-qps=10", "-c=2", "-allow-initial-errors", keep]
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
