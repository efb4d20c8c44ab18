use smc_abi::diag::{Fallback, LinkInfo};

use super::*;

fn smc(local: &str, remote: &str, mode: Option<Mode>) -> SmcSocket {
    SmcSocket {
        family: 2,
        state: if mode.is_some() { SmcState::Active } else { SmcState::Listen },
        mode,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        interface: None,
        uid: 0,
        inode: 1,
        receive_shutdown: false,
        send_shutdown: false,
        fallback: (mode == Some(Mode::Tcp))
            .then_some(Fallback { reason: 0x0500_0000, peer_diagnosis: 0x0303_0000 }),
        connection: None,
        link: (mode == Some(Mode::SmcR)).then(|| LinkInfo {
            link_id: 1,
            device: "rxe0".into(),
            port: 1,
            gid: "::1".into(),
            peer_gid: "::2".into(),
            role: Role::Server,
        }),
    }
}

fn tcp(local: &str, remote: &str, state: TcpState) -> TcpSocket {
    let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
    TcpSocket { state, local, remote, uid: 0, inode: 2, interface: None }
}

#[test]
fn each_connection_comes_once_with_what_carries_it() {
    let mut sockets = vec![
        smc("0.0.0.0:80", "0.0.0.0:0", None),
        smc("0.0.0.0:80", "0.0.0.0:5000", Some(Mode::SmcR)),
        smc("10.0.0.5:4000", "10.0.0.6:90", Some(Mode::Tcp)),
    ];
    let inside = [
        tcp("0.0.0.0:80", "0.0.0.0:0", TcpState::Listen),
        tcp("10.0.0.5:80", "10.0.1.9:5000", TcpState::Established),
        tcp("10.0.0.5:4000", "10.0.0.6:90", TcpState::Established),
        tcp("127.0.0.1:33000", "127.0.0.1:15000", TcpState::Established),
    ];
    diag::join(&mut sockets, &inside);
    let own = BTreeSet::from(["10.0.0.5".parse().unwrap()]);
    let node = BTreeSet::from(["10.0.0.6".parse().unwrap()]);
    let found: Vec<Connection> =
        joined(&sockets, &inside, &own, &node).into_iter().map(|(connection, _)| connection).collect();
    let told: Vec<_> =
        found.iter().map(|c| (c.remote.to_string(), c.side, c.path, c.transport.clone())).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(told[0].0, "10.0.1.9:5000");
    assert_eq!((told[0].1, told[0].2), (Some(Side::Server), TrafficPath::Remote));
    assert!(matches!(&told[0].3, Transport::SmcR { device, port: 1, .. } if device == "rxe0"));
    assert_eq!((told[1].1, told[1].2), (Some(Side::Client), TrafficPath::SameNode));
    let declined = Transport::Fallback { reason: 0x0500_0000, peer_diagnosis: 0x0303_0000 };
    assert_eq!(told[1].3, declined);
    assert_eq!((told[2].2, &told[2].3), (TrafficPath::Loopback, &Transport::PlainTcp));
}

#[test]
fn a_converted_socket_that_is_one_object_for_tcp_and_smc_comes_once_and_is_not_plain() {
    // Accelerated, fallen back, and half closed: smc_diag has lost the addresses of the last one.
    let pairs = [("10.0.0.5:4000", 11), ("10.0.0.5:4001", 12), ("10.0.0.5:4002", 13)];
    let inside: Vec<TcpSocket> = pairs
        .map(|(local, inode)| TcpSocket { inode, ..tcp(local, "10.0.1.9:80", TcpState::Established) })
        .into();
    let converted = [
        SmcSocket { inode: 11, ..smc("10.0.0.5:4000", "10.0.1.9:80", Some(Mode::SmcR)) },
        SmcSocket { inode: 12, ..smc("10.0.0.5:4001", "10.0.1.9:80", Some(Mode::Tcp)) },
        SmcSocket { inode: 13, state: SmcState::Closed, ..smc("0.0.0.0:0", "0.0.0.0:0", Some(Mode::SmcR)) },
    ];
    let found = joined(&converted, &inside, &BTreeSet::new(), &BTreeSet::new());
    let told: Vec<_> =
        found.iter().map(|(c, _)| (c.local.port(), c.transport == Transport::PlainTcp)).collect();
    assert_eq!(told, [(4000, false), (4001, false)]);
}

#[test]
fn the_tcp_sockets_within_smc_sockets_that_cannot_be_told_apart_are_no_plain_tcp() {
    let mut sockets = vec![smc("0.0.0.0:80", "0.0.0.0:5000", Some(Mode::SmcR)); 2];
    let inside = [
        tcp("10.0.0.5:80", "10.0.1.8:5000", TcpState::Established),
        tcp("10.0.0.5:80", "10.0.1.9:5000", TcpState::Established),
    ];
    diag::join(&mut sockets, &inside);
    let found = joined(&sockets, &inside, &BTreeSet::new(), &BTreeSet::new());
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|(c, _)| c.path == TrafficPath::Unknown && c.transport != Transport::PlainTcp));
}

#[test]
fn where_there_is_no_smc_a_look_finds_plain_connections_and_loads_nothing() {
    if module_is_loaded("smc") {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _client = std::net::TcpStream::connect(address).unwrap();
    let traffic = look(&Netns::current().unwrap(), &BTreeSet::new(), Path::new("/proc")).unwrap();
    assert_eq!(traffic.counters, Counters::default());
    let ours = traffic.connections.known().iter().find(|connection| connection.remote == address);
    let ours = ours.unwrap_or_else(|| panic!("{traffic:?}"));
    assert_eq!((ours.side, ours.path), (Some(Side::Client), TrafficPath::Loopback));
    assert_eq!(ours.transport, Transport::PlainTcp);
    assert!(!module_is_loaded("smc"));
}
