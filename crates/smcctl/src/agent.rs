//! What the agent answers at `/status`. `smcctl` works without it; it knows more with it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use smc_state::AGENT_POD_HEADER;
use smc_surfaces::status::Brief;

use smc_surfaces::facts::AgentFacts;

/// The agent is on this machine, and answers from memory.
pub(crate) const LIMIT: Duration = Duration::from_secs(3);
/// More than any status.
const SIZE_LIMIT: u64 = 16 << 20;

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The UID of the pod whose agent it is.
    pub(crate) pod: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Asks the agent.
pub(crate) fn ask(socket: &Path) -> Result<AgentFacts> {
    let answer = get(socket, "/status", LIMIT)?;
    if answer.status != 200 {
        bail!("smc-agent answered {} at {}", answer.status, socket.display());
    }
    let status: Brief = serde_json::from_slice(&answer.body)
        .context("smc-agent's status is not of a form that is known here")?;
    Ok(status.into())
}

/// One request at the agent's socket; no silence lasts longer than `limit`.
pub(crate) fn get(socket: &Path, path: &str, limit: Duration) -> Result<Answer> {
    let context = || format!("cannot ask smc-agent at {}", socket.display());
    exchange(socket, path, limit).with_context(context)
}

fn exchange(socket: &Path, path: &str, limit: Duration) -> Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: smc-agent\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(SIZE_LIMIT).read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no HTTP answer")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no HTTP answer")?;
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let pod =
        headers.find(|(name, _)| name.eq_ignore_ascii_case(AGENT_POD_HEADER)).map(|(_, uid)| uid.to_owned());
    Ok(Answer { status, pod, body: answer.split_off(end + 4) })
}

#[cfg(test)]
mod tests;
