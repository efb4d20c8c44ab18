use std::net::TcpListener as Socket;

use super::*;

#[test]
fn where_processes_cannot_be_seen_a_namespace_is_not_called_empty() {
    let netns = Netns::current().unwrap().id();
    assert!(is_inhabited(Path::new("/proc"), netns).unwrap());
    let proc = tempfile::tempdir().unwrap();
    assert!(!is_inhabited(proc.path(), netns).unwrap());
    // A process whose namespace cannot be looked at.
    fs::write(proc.path().join("7"), "").unwrap();
    assert!(is_inhabited(proc.path(), netns).is_err());
    assert!(is_inhabited(Path::new("/no/such/proc"), netns).is_err());
}

#[test]
fn a_process_cannot_speak_to_a_terminal_by_its_name() {
    for (name, shown) in [
        (&b"nginx\n"[..], "nginx"),
        (b"it's \"x\"\n", "it's \"x\""),
        (b"\x1b[31mred\n", "\\u{1b}[31mred"),
        (b"two\nlines\n", "two\\nlines"),
        (b"a\xffb\n", "a\u{fffd}b"),
        ("left\u{202e}right\n".as_bytes(), "left\\u{202e}right"),
        (b"back\\slash\n", "back\\\\slash"),
        (b"", ""),
    ] {
        assert_eq!(printable(name), shown);
    }
}

#[test]
fn this_process_is_found_as_the_holder_of_its_listener() {
    let socket = Socket::bind("0.0.0.0:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let netns = Netns::current().unwrap();
    let mut connection = Connection::open(Protocol::SockDiag).unwrap();
    let listening = tcp(&mut connection, IpFamily::V4).unwrap();
    let ours = listening.iter().find(|listener| listener.port == port).unwrap();
    let holders = holders(Path::new("/proc"), netns.id(), &[ours.inode].into());
    assert_eq!(holders[&ours.inode].pid, std::process::id());
    let told = with_processes(&[*ours], &holders);
    assert_eq!((told.len(), told[0].port), (1, port));
    assert!(!told[0].process.as_ref().unwrap().name.is_empty());
    let on_port = of_port(port, Path::new("/proc")).unwrap();
    assert_eq!(on_port.iter().map(|process| process.pid).collect::<Vec<_>>(), [std::process::id()]);
    drop(socket);
    assert_eq!(of_port(port, Path::new("/proc")).unwrap(), []);
}

#[test]
fn a_ports_listener_without_a_process_is_told_only_when_it_is_alone() {
    let at = |inode| TcpListener { address: "0.0.0.0".parse().unwrap(), port: 80, inode };
    let process = Process { name: "nginx".into(), pid: 7 };
    let told = with_processes(&[at(1), at(2)], &[(2, process.clone())].into());
    assert_eq!(told, [Listener { port: 80, process: Some(process) }]);
    assert_eq!(with_processes(&[at(1), at(2)], &BTreeMap::new()), [Listener { port: 80, process: None }]);
}
