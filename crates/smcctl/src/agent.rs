//! What the agent answers at `/status`. `smcctl` works without it; it knows more with it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::facts::{AgentFacts, LossFacts};

/// The agent is on this machine, and answers from memory.
const LIMIT: Duration = Duration::from_secs(3);
/// More than any status.
const SIZE_LIMIT: u64 = 16 << 20;

/// Asks the agent.
pub(crate) fn ask(address: SocketAddr) -> Result<AgentFacts> {
    let body = get(address, "/status").with_context(|| format!("cannot ask smc-agent at {address}"))?;
    let status = serde_json::from_slice(&body).context("smc-agent's status is not JSON")?;
    understand(&status).context("smc-agent's status is not of a form that is known here")
}

fn get(address: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(SIZE_LIMIT).read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no HTTP answer")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    if head.split(' ').nth(1) != Some("200") {
        bail!("it answered {}", head.lines().next().unwrap_or_default());
    }
    Ok(answer.split_off(end + 4))
}

fn understand(status: &Value) -> Option<AgentFacts> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let problem = |problem: &Value| Some((text(&problem["subject"])?, text(&problem["problem"])?));
    let device = |device: &Value| Some((text(&device["device"])?, device["queue_pairs_max"].as_u64()?));
    let now = status["agent"]["now"].as_u64().unwrap_or_default();
    let loss = |loss: &Value| {
        Some(LossFacts {
            reason: text(&loss["reason"])?,
            count: loss["count"].as_u64()?,
            seconds_ago: now.saturating_sub(loss["last"].as_u64()?),
            seen: text(&loss["seen"])?,
        })
    };
    Some(AgentFacts {
        version: text(&status["agent"]["version"])?,
        not_ready: text(&status["not_ready_because"]),
        chain: text(&status["chain"]["state"])?,
        chain_why: text(&status["chain"]["why"]),
        problems: status["problems"].as_array()?.iter().filter_map(problem).collect(),
        queue_pairs_max: status["devices"].as_array()?.iter().filter_map(device).collect(),
        // An older agent has none.
        losses: status["losses"].as_array().into_iter().flatten().filter_map(loss).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answered(answer: &'static str) -> Result<AgentFacts> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
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
        let facts = ask(address);
        server.join().unwrap();
        facts
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
        )
        .unwrap();
        assert_eq!((facts.chain.as_str(), facts.chain_why.as_deref()), ("not-loaded", Some("w")));
        assert_eq!(facts.queue_pairs_max, [("erdma_0".to_owned(), 4096)]);
        assert_eq!(facts.problems, [("mesh".to_owned(), "p".to_owned())]);
        let [loss] = &facts.losses[..] else { panic!("{facts:?}") };
        assert_eq!((loss.reason.as_str(), loss.count, loss.seconds_ago), ("NoUeid", 2, 40));
    }

    #[test]
    fn anything_else_is_an_error_that_says_so() {
        let error = |answer| format!("{:#}", answered(answer).unwrap_err());
        assert!(error("HTTP/1.0 503 Service Unavailable\r\n\r\n").contains("503"));
        assert!(error("HTTP/1.0 200 OK\r\n\r\n{}").contains("not of a form"));
        assert!(error("").contains("no HTTP answer"));
    }
}
