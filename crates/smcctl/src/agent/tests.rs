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
    assert_eq!((answer.status, answer.pod.as_deref(), &answer.body[..]), (503, Some("3f2a"), &b"stuck"[..]));
}

#[test]
fn anything_else_is_an_error_that_says_so() {
    let error = |answer| format!("{:#}", answered(answer, ask).unwrap_err());
    assert!(error("HTTP/1.0 503 Service Unavailable\r\n\r\n").contains("503"));
    assert!(error("HTTP/1.0 200 OK\r\n\r\n{}").contains("not of a form"));
    assert!(error("").contains("no HTTP answer"));
}
