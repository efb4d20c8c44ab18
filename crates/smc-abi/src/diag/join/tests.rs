use super::*;
use crate::diag::Mode;

fn smc(local: &str, remote: &str) -> SmcSocket {
    SmcSocket {
        family: 2,
        state: SmcState::Active,
        mode: Some(Mode::SmcR),
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        interface: None,
        uid: 0,
        inode: 1,
        receive_shutdown: false,
        send_shutdown: false,
        fallback: None,
        connection: None,
        link: None,
    }
}

fn tcp(local: &str, remote: &str, state: TcpState) -> TcpSocket {
    let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
    TcpSocket { state, local, remote, uid: 0, inode: 2, interface: None }
}

fn joined(mut smc: Vec<SmcSocket>, tcp: &[TcpSocket]) -> Vec<(String, String)> {
    join(&mut smc, tcp);
    smc.iter().map(|socket| (socket.local.to_string(), socket.remote.to_string())).collect()
}

fn pair(local: &str, remote: &str) -> (String, String) {
    (local.to_owned(), remote.to_owned())
}

#[test]
fn the_one_tcp_socket_with_both_ports_gives_the_addresses() {
    let connections = [
        tcp("10.0.0.1:80", "10.0.0.2:5000", TcpState::Established),
        tcp("10.0.0.1:80", "10.0.0.2:5001", TcpState::Established),
    ];
    let result = joined(vec![smc("0.0.0.0:80", "0.0.0.0:5001")], &connections);
    assert_eq!(result, [pair("10.0.0.1:80", "10.0.0.2:5001")]);
}

#[test]
fn two_peers_with_the_same_ports_stay_unknown() {
    let connections = [
        tcp("10.0.0.1:80", "10.0.0.2:5000", TcpState::Established),
        tcp("10.0.0.1:80", "10.0.0.3:5000", TcpState::Established),
    ];
    let nameless = pair("0.0.0.0:80", "0.0.0.0:5000");
    let result = joined(vec![smc("0.0.0.0:80", "0.0.0.0:5000"); 2], &connections);
    assert_eq!(result, [nameless.clone(), nameless.clone()]);
    assert_eq!(
        joined(vec![smc("0.0.0.0:80", "0.0.0.0:5000"); 2], &connections[..1]),
        [nameless.clone(), nameless]
    );
}

#[test]
fn a_connection_that_another_smc_socket_has_is_not_given_twice() {
    let connections = [
        tcp("10.0.0.1:80", "10.0.0.2:5000", TcpState::Established),
        tcp("10.0.0.1:80", "10.0.0.3:5000", TcpState::Established),
    ];
    let named = smc("10.0.0.1:80", "10.0.0.2:5000");
    let result = joined(vec![named, smc("0.0.0.0:80", "0.0.0.0:5000")], &connections);
    assert_eq!(result[1], pair("10.0.0.1:80", "10.0.0.3:5000"));
}

#[test]
fn listeners_and_connections_are_kept_apart() {
    let mut listener = smc("0.0.0.0:80", "0.0.0.0:0");
    listener.state = SmcState::Listen;
    let sockets = [tcp("10.0.0.1:80", "0.0.0.0:0", TcpState::Listen)];
    assert_eq!(joined(vec![listener], &sockets), [pair("10.0.0.1:80", "0.0.0.0:0")]);
    let unconnected = smc("0.0.0.0:80", "0.0.0.0:0");
    assert_eq!(joined(vec![unconnected], &sockets), [pair("0.0.0.0:80", "0.0.0.0:0")]);
}

#[test]
fn unbound_sockets_and_missing_partners_are_left_alone() {
    let sockets = [tcp("10.0.0.1:81", "10.0.0.2:5000", TcpState::Established)];
    let result = joined(vec![smc("0.0.0.0:0", "0.0.0.0:0"), smc("0.0.0.0:80", "0.0.0.0:5000")], &sockets);
    assert_eq!(result, [pair("0.0.0.0:0", "0.0.0.0:0"), pair("0.0.0.0:80", "0.0.0.0:5000")]);
}
