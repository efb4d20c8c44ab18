use super::*;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, accept(&listener, Duration::from_secs(5)).unwrap().0)
}

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn what_comes_back_unchanged_is_intact_at_both_ends() {
    let (client, server) = pair();
    let echoing = thread::spawn(move || echo(&server, LIMIT, || {}).unwrap());
    let sent = send_and_compare(&client, 1 << 20, LIMIT, || {}).unwrap();
    drop(client);
    let echoed = echoing.join().unwrap();
    assert!(sent.intact() && echoed.intact());
    assert_eq!((sent.bytes, echoed.bytes), (1 << 20, 1 << 20));
}

#[test]
fn bytes_that_do_not_belong_there_are_found_where_they_are() {
    let (client, mut server) = pair();
    let stray = thread::spawn(move || {
        let mut buffer = vec![0; 100_000];
        server.read_exact(&mut buffer).unwrap();
        server.write_all(&buffer[..50_000]).unwrap();
        // As the kernel does when both sides give up RDMA at the same moment.
        server.write_all(&[0xe2, 0xd4, 0xc3, 0xd9]).unwrap();
        server.write_all(&buffer[50_000..]).unwrap();
    });
    let sent = send_and_compare(&client, 100_000, LIMIT, || {}).unwrap();
    stray.join().unwrap();
    assert_eq!(sent.wrong_at, Some(50_000));
    assert!(!sent.intact());
}

#[test]
fn a_stream_that_ends_early_is_not_complete() {
    let (client, mut server) = pair();
    let short = thread::spawn(move || {
        let mut buffer = vec![0; 1000];
        server.read_exact(&mut buffer).unwrap();
        server.write_all(&buffer[..999]).unwrap();
    });
    let sent = send_and_compare(&client, 1000, LIMIT, || {}).unwrap();
    short.join().unwrap();
    assert_eq!((sent.bytes, sent.complete, sent.wrong_at), (999, false, None));
}

#[test]
fn nobody_coming_is_an_error_after_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = accept(&listener, Duration::from_millis(50)).unwrap_err();
    assert!(error.to_string().contains("nobody connected"));
}
