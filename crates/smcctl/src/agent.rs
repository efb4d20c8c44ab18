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
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use smc_surfaces::Subject;
    use smc_surfaces::status::ChainState;

    use super::*;

    /// What `of` makes of an agent that answers so.
    fn answered<T>(answer: &'static str, of: impl FnOnce(&Path) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // All of it: what is left unread when the connection is closed would cut the answer short.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let made = of(&socket);
        server.join().unwrap();
        made
    }

    #[test]
    fn the_status_is_understood() {
        let facts = answered(
            "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n\
             {\"version\":1,\"agent\":{\"version\":\"0.1.0\",\"now\":100},\"not_ready_because\":null,\
             \"chain\":{\"state\":\"not-loaded\",\"why\":\"w\"},\
             \"devices\":[{\"device\":\"erdma_0\",\"queue_pairs_max\":4096},{\"device\":\"x\",\"queue_pairs_max\":null}],\
             \"problems\":[{\"subject\":\"mesh\",\"problem\":\"p\"}],\
             \"losses\":[{\"reason\":\"NoUeid\",\"count\":2,\"last\":60,\"seen\":\"s\"}]}",
            ask,
        )
        .unwrap();
        assert_eq!((facts.chain, facts.chain_why.as_deref()), (ChainState::NotLoaded, Some("w")));
        assert_eq!(facts.queue_pairs_max, [("erdma_0".to_owned(), 4096)]);
        assert_eq!(facts.problems, [(Subject::Other("mesh".to_owned()), "p".to_owned())]);
        let [loss] = &facts.losses[..] else { panic!("{facts:?}") };
        assert_eq!((loss.reason.as_str(), loss.count, loss.seconds_ago), ("NoUeid", 2, 40));
    }

    #[test]
    fn an_answer_tells_whose_agent_it_is() {
        let head = "HTTP/1.1 503 Service Unavailable\r\nKube-Smc-Pod: 3f2a\r\n\r\nstuck";
        let answer = answered(head, |socket| get(socket, "/healthz", LIMIT)).unwrap();
        assert_eq!(
            (answer.status, answer.pod.as_deref(), &answer.body[..]),
            (503, Some("3f2a"), &b"stuck"[..])
        );
    }

    #[test]
    fn anything_else_is_an_error_that_says_so() {
        let error = |answer| format!("{:#}", answered(answer, ask).unwrap_err());
        assert!(error("HTTP/1.0 503 Service Unavailable\r\n\r\n").contains("503"));
        assert!(error("HTTP/1.0 200 OK\r\n\r\n{}").contains("not of a form"));
        assert!(error("").contains("no HTTP answer"));
    }
}
