use super::*;

const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
       0: 0100007F:FFDD 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0\n   \
       1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0\n";

#[test]
fn ports_and_inodes_are_read_from_the_kernels_table() {
    assert_eq!(sockets(TABLE).collect::<Vec<_>>(), [(65501, 4711), (80, 4712)]);
    assert_eq!(sockets("garbage\nmore garbage here\n").count(), 0);
}

#[test]
fn a_port_that_is_bound_and_does_not_listen_is_found() {
    if !test_support::as_root() {
        return;
    }
    let netns = Netns::make().unwrap();
    let bound = |port: u16| {
        let address = SockaddrIn::from(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(socket.as_raw_fd(), &address).unwrap();
        socket
    };
    // A /proc of one process, which is in that namespace: this test's own thread cannot be found by its id.
    let proc = tempfile::tempdir().unwrap();
    fs::create_dir_all(proc.path().join("77/ns")).unwrap();
    std::os::unix::fs::symlink(netns.path(), proc.path().join("77/ns/net")).unwrap();
    let _held = netns.run(|| bound(65502)).unwrap();
    let expected = Listener { port: 65502, process: None };
    assert!(taken(proc.path()).contains(&expected), "{:?}", taken(proc.path()));
}
