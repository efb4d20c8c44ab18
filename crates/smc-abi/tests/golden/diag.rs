use smc_abi::diag::{
    self, ConnectionInfo, Fallback, IpFamily, LinkInfo, Mode, SmcSocket, SmcState, TcpSocket, TcpState,
};
use smc_abi::fallback;
use smc_abi::smc::Role;

use crate::exchange::Exchange;

fn smc_sockets(name: &str) -> Vec<SmcSocket> {
    let exchange = Exchange::load(name);
    exchange.asserts_request(&diag::smc_sockets());
    exchange.dump().into_iter().map(|body| diag::parse_smc_socket(body).unwrap()).collect()
}

fn tcp_sockets(side: &str) -> Vec<TcpSocket> {
    let states = TcpState::Established.bit() | TcpState::Listen.bit();
    let mut sockets = Vec::new();
    for (suffix, family) in [("tcp4", IpFamily::V4), ("tcp6", IpFamily::V6)] {
        let exchange = Exchange::load(&format!("{side}_diag_{suffix}"));
        exchange.asserts_request(&diag::tcp_sockets(family, states));
        sockets.extend(exchange.dump().into_iter().map(|body| diag::parse_tcp_socket(body).unwrap()));
    }
    sockets
}

/// Local and remote address, state and mode, as text.
fn summary(socket: &SmcSocket) -> String {
    format!("{} {} {:?} {:?}", socket.local, socket.remote, socket.state, socket.mode)
}

#[test]
fn a_connection_over_rdma_shows_its_link_and_buffers() {
    let sockets = smc_sockets("client_diag_smc");
    let socket = sockets.iter().find(|socket| socket.remote.port() == 5001).unwrap();
    assert_eq!(summary(socket), "10.0.0.11:40148 10.0.0.12:5001 Active Some(SmcR)");
    assert_eq!((socket.family, socket.uid, socket.inode, socket.interface), (43, 0, 413, None));
    assert_eq!((socket.receive_shutdown, socket.send_shutdown, socket.fallback), (false, false, None));
    let buffers =
        ConnectionInfo { token: 2, send_buffer: 65_536, receive_buffer: 65_536, peer_receive_buffer: 65_536 };
    assert_eq!(socket.connection, Some(buffers));
    let link = LinkInfo {
        link_id: 1,
        device: "rxe0".into(),
        port: 1,
        gid: "0000:0000:0000:0000:0000:ffff:0a00:000b".into(),
        peer_gid: "0000:0000:0000:0000:0000:ffff:0a00:000c".into(),
        role: Role::Client,
    };
    assert_eq!(socket.link, Some(link));
}

#[test]
fn a_fallen_back_connection_has_its_reason() {
    for (name, port) in [("client_diag_smc", 5002), ("server_diag_smc", 5000)] {
        let sockets = smc_sockets(name);
        let fallen: Vec<_> = sockets.iter().filter(|socket| socket.mode == Some(Mode::Tcp)).collect();
        assert_eq!(fallen.len(), 1, "{name}");
        let ports = [fallen[0].local.port(), fallen[0].remote.port()];
        assert!(ports.contains(&port), "{name}: {ports:?}");
        let expected = Fallback { reason: fallback::PEERNOSMC, peer_diagnosis: 0 };
        assert_eq!(fallen[0].fallback, Some(expected));
        assert_eq!((&fallen[0].link, fallen[0].connection), (&None, None));
    }
}

#[test]
fn sockets_without_a_connection_have_no_mode() {
    let client = smc_sockets("client_diag_smc");
    let unconnected = client.iter().find(|socket| socket.state == SmcState::Init).unwrap();
    assert_eq!((unconnected.mode, unconnected.family, unconnected.local.port()), (None, 2, 0));
    let server = smc_sockets("server_diag_smc");
    let listeners = server.iter().filter(|socket| socket.state == SmcState::Listen);
    assert_eq!(listeners.map(|listener| listener.mode).collect::<Vec<_>>(), [None; 4]);
}

#[test]
fn joining_with_tcp_sockets_gives_the_client_its_addresses() {
    let mut sockets = smc_sockets("client_diag_smc");
    diag::join(&mut sockets, &tcp_sockets("client"));
    let summaries: Vec<_> = sockets.iter().map(summary).collect();
    let expected = [
        "0.0.0.0:0 0.0.0.0:0 Init None",
        "10.0.0.11:54394 10.0.0.12:5004 Active Some(SmcR)",
        "10.0.0.11:49800 10.0.0.12:5002 Active Some(Tcp)",
        "10.0.0.11:40148 10.0.0.12:5001 Active Some(SmcR)",
        "10.0.0.11:60992 10.0.0.12:5000 Active Some(SmcR)",
    ];
    assert_eq!(summaries, expected);
}

#[test]
fn joining_with_tcp_sockets_gives_the_server_its_addresses_also_of_a_dual_stack_listener() {
    let mut sockets = smc_sockets("server_diag_smc");
    diag::join(&mut sockets, &tcp_sockets("server"));
    let summaries: Vec<_> = sockets.iter().map(summary).collect();
    let expected = [
        "10.0.0.12:5004 10.0.0.11:54394 Active Some(SmcR)",
        "10.0.0.12:5000 10.0.0.11:50906 Active Some(Tcp)",
        "10.0.0.12:5001 10.0.0.11:40148 Active Some(SmcR)",
        "10.0.0.12:5000 10.0.0.11:60992 Active Some(SmcR)",
        "0.0.0.0:5003 0.0.0.0:0 Listen None",
        "10.0.0.12:5001 0.0.0.0:0 Listen None",
        "10.0.0.12:5000 0.0.0.0:0 Listen None",
        "[::]:5004 [::]:0 Listen None",
    ];
    assert_eq!(summaries, expected);
}

/// What Alibaba's kernel lists is not to be had here. As its public source lays it out, a converted socket is one object:
/// the bytes of the client's SMC sockets with family, addresses and inode of the TCP sockets of the same ports.
#[test]
fn a_converted_socket_that_is_one_object_has_the_addresses_and_the_inode_of_its_tcp_socket() {
    const FAMILY: usize = 0;
    let (socket_id, inode) = (4..52, 56..64);
    let inside = tcp_sockets("client");
    let mut told = 0;
    for body in Exchange::load("client_diag_smc").dump() {
        let separate = diag::parse_smc_socket(body).unwrap();
        let same_ports = |tcp: &&TcpSocket| {
            (tcp.local.port(), tcp.remote.port()) == (separate.local.port(), separate.remote.port())
        };
        let Some(tcp) = inside.iter().find(same_ports) else { continue };
        let mut one_object = body.to_vec();
        one_object[FAMILY] = 2;
        one_object[inode.clone()].copy_from_slice(&u64::from(tcp.inode).to_ne_bytes());
        let addresses = [(tcp.local, 4), (tcp.remote, 20)];
        for (address, at) in addresses {
            let std::net::IpAddr::V4(ip) = address.ip() else { panic!("{address}") };
            one_object[socket_id.start + at..][..4].copy_from_slice(&ip.octets());
        }
        let socket = diag::parse_smc_socket(&one_object).unwrap();
        assert_eq!((socket.family, socket.local, socket.remote), (2, tcp.local, tcp.remote));
        assert_eq!(
            (socket.inode, socket.mode, &socket.link),
            (tcp.inode.into(), separate.mode, &separate.link)
        );
        told += 1;
    }
    assert_eq!(told, 4);
}

#[test]
fn tcp_sockets_have_addresses_state_and_owner() {
    let sockets = tcp_sockets("server");
    let listener = sockets.iter().find(|socket| socket.local.port() == 5002).unwrap();
    let expected = TcpSocket {
        state: TcpState::Listen,
        local: "10.0.0.12:5002".parse().unwrap(),
        remote: "0.0.0.0:0".parse().unwrap(),
        uid: 0,
        inode: 413,
        interface: None,
    };
    assert_eq!(listener, &expected);
    let loopback = sockets.iter().find(|socket| socket.local.port() == 5006).unwrap();
    assert_eq!(loopback.local, "[::1]:5006".parse().unwrap());
    assert_eq!(sockets.iter().filter(|socket| socket.state == TcpState::Established).count(), 6);
}
