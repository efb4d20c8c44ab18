use std::net::TcpListener as BoundPort;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::*;
use crate::testing::fake_api::eventually;
use crate::testing::test_values::board;

const SOON: Duration = Duration::from_millis(10);

fn problem(board: &Board, subject: &Subject) -> Option<String> {
    board.read(|view| view.problems.of(subject).map(str::to_owned))
}

async fn asked(path: &Path) -> Option<String> {
    let mut stream = UnixStream::connect(path).await.ok()?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

#[tokio::test]
async fn a_port_that_another_program_has_is_named_with_it_and_taken_when_it_is_free() {
    let taken = BoundPort::bind("127.0.0.1:0").unwrap();
    let (address, board) = (taken.local_addr().unwrap(), board());
    let (of_task, metrics) = (board.clone(), Metrics::new(board.clone()));
    tokio::spawn(async move { keep_port(address, Path::new("/proc"), SOON, &of_task, &metrics).await });
    let told = eventually("a problem", || problem(&board, &PORT)).await;
    let us = format!("process {}", std::process::id());
    for part in [&address.to_string(), &us, "in use", "SMC_AGENT_LISTEN"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    drop(taken);
    eventually("the port", || std::net::TcpStream::connect(address).ok()).await;
    eventually("no problem", || problem(&board, &PORT).is_none().then_some(())).await;
}

#[tokio::test]
async fn the_socket_is_roots_and_replaces_what_an_earlier_agent_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    drop(UnixListener::bind(&path).unwrap());
    let (board, of_task) = (board(), path.clone());
    let metrics = Metrics::new(board.clone());
    tokio::spawn(async move { keep_socket(&of_task, &board, &metrics).await });
    let begun = Instant::now();
    let answer = loop {
        if let Some(answer) = asked(&path).await {
            break answer;
        }
        assert!(begun.elapsed() < crate::testing::fake_api::PATIENCE);
        tokio::time::sleep(SOON).await;
    };
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_socket_that_cannot_be_made_is_told() {
    let (board, dir) = (board(), tempfile::tempdir().unwrap());
    let (of_task, path) = (board.clone(), dir.path().join("absent/agent.sock"));
    let metrics = Metrics::new(board.clone());
    tokio::spawn(async move { keep_socket(&path, &of_task, &metrics).await });
    let told = eventually("a problem", || problem(&board, &SOCKET)).await;
    assert!(told.contains("absent/agent.sock") && told.contains("probes"), "{told}");
}
