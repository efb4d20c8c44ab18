//! Real commands through real connections on loopback.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use super::*;
use crate::wire::Frame;

/// The caller's end of a session that does `action`.
fn session(action: Action) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (node, _) = listener.accept().unwrap();
    thread::spawn(move || run(&node, action));
    caller
}

fn shell(script: &str) -> TcpStream {
    let argv = ["sh", "-c", script].map(String::from).to_vec();
    let mut caller = session(Action::Exec { argv, env: BTreeMap::new(), directory: None });
    wire::read_answer(&mut caller).unwrap().unwrap();
    caller
}

/// Standard output, standard error and wait status.
fn outcome(mut caller: TcpStream) -> (Vec<u8>, Vec<u8>, i32) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        match wire::read_frame(&mut caller).unwrap().unwrap() {
            Frame { kind: Kind::Stdout, payload } => stdout.extend(payload),
            Frame { kind: Kind::Stderr, payload } => stderr.extend(payload),
            Frame { kind: Kind::Exit, payload } => {
                return (stdout, stderr, i32::from_be_bytes(payload.try_into().unwrap()));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_commands_streams_and_status_come_back() {
    let (stdout, stderr, status) = outcome(shell("echo out; echo err >&2; exit 3"));
    assert_eq!((stdout.as_slice(), stderr.as_slice(), status), (&b"out\n"[..], &b"err\n"[..], 3 << 8));
}

#[test]
fn input_reaches_the_command_until_its_end() {
    let mut caller = shell("wc -c");
    for _ in 0..3 {
        wire::write_frame(&mut caller, Kind::Stdin, "x".repeat(100_000).as_bytes()).unwrap();
    }
    wire::write_frame(&mut caller, Kind::Stdin, &[]).unwrap();
    assert_eq!(outcome(caller).0, b"300000\n");
}

#[test]
fn the_exit_arrives_although_the_command_left_its_input_unread() {
    let mut caller = shell("exit 5");
    let input = caller.try_clone().unwrap();
    let writer =
        thread::spawn(move || while wire::write_frame(&mut &input, Kind::Stdin, &[0; 10_000]).is_ok() {});
    thread::sleep(QUIET);
    assert!(matches!(wire::read_frame(&mut caller), Ok(Some(Frame { kind: Kind::Exit, .. }))));
    caller.shutdown(Shutdown::Both).unwrap();
    writer.join().unwrap();
}

#[test]
fn a_signal_reaches_the_command() {
    let mut caller = shell("sleep 60");
    wire::write_frame(&mut caller, Kind::Signal, &[9]).unwrap();
    assert_eq!(outcome(caller).2, 9);
}

#[test]
fn output_is_whole_although_its_reader_is_slow() {
    let caller = shell("head -c 20000000 /dev/zero");
    thread::sleep(QUIET * 3);
    assert_eq!(outcome(caller).0.len(), 20_000_000);
}

#[test]
fn a_background_process_that_keeps_the_output_open_does_not_keep_the_session() {
    let begin = Instant::now();
    let (stdout, _, status) = outcome(shell("sleep 30 & echo $!"));
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(status, 0);
    let background: i32 = String::from_utf8(stdout).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(Pid::from_raw(background), Signal::SIGKILL).unwrap();
}

#[test]
fn a_broken_connection_ends_the_command() {
    let mut caller = shell("echo $$; sleep 60");
    let frame = wire::read_frame(&mut caller).unwrap().unwrap();
    let pid = String::from_utf8(frame.payload).unwrap().trim().to_owned();
    drop(caller);
    let end = Instant::now() + Duration::from_secs(10);
    while Path::new("/proc").join(&pid).exists() {
        assert!(Instant::now() < end, "process {pid} lives on");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_cannot_be_started_or_connected_is_refused_with_the_reason() {
    let argv = vec!["/no/such/program".to_owned()];
    let connect = Action::Connect { path: "/no/such/socket".into() };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    for action in [
        Action::Exec { argv, env: BTreeMap::new(), directory: None },
        Action::Exec { argv: Vec::new(), env: BTreeMap::new(), directory: None },
        connect,
    ] {
        assert!(!run(&stream, action).unwrap_err().is_empty());
    }
}

#[test]
fn a_joined_socket_carries_bytes_both_ways_and_their_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = Vec::new();
        stream.read_to_end(&mut question).unwrap();
        stream.write_all(b"answer to ").unwrap();
        stream.write_all(&question).unwrap();
    });
    let mut caller = session(Action::Connect { path });
    wire::read_answer(&mut caller).unwrap().unwrap();
    caller.write_all(b"question").unwrap();
    caller.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer to question");
    server.join().unwrap();
}
