use super::*;

fn tcp(address: &str, port: u16) -> TcpListener {
    TcpListener { address: address.parse().unwrap(), port, inode: u64::from(port) }
}

/// Listeners around TCP sockets of their own.
fn smc(ports: &[u16]) -> Vec<SmcListener> {
    ports.iter().map(|&port| SmcListener { port, inode: 100_000 + u64::from(port) }).collect()
}

#[test]
fn a_listener_without_an_smc_socket_around_it_is_old() {
    let listeners = [tcp("0.0.0.0", 80), tcp("0.0.0.0", 443), tcp("::", 8080)];
    assert_eq!(old_listeners(&listeners, &smc(&[80, 8080])), [listeners[1]]);
    assert_eq!(old_listeners(&listeners, &smc(&[80, 443, 8080])), []);
    assert_eq!(old_listeners(&listeners, &[]), listeners);
}

#[test]
fn an_old_worker_that_shares_a_new_ones_port_is_found() {
    let listeners = [tcp("0.0.0.0", 80), tcp("0.0.0.0", 80)];
    assert_eq!(old_listeners(&listeners, &smc(&[80])).len(), 2);
    assert_eq!(old_listeners(&listeners, &smc(&[80, 80])), []);
}

#[test]
fn a_socket_that_is_one_object_for_tcp_and_smc_is_not_old_and_tells_the_old_one_beside_it() {
    let (old, new) = (tcp("0.0.0.0", 80), TcpListener { inode: 7, ..tcp("0.0.0.0", 80) });
    let one_object = [SmcListener { port: 80, inode: 7 }];
    assert_eq!(old_listeners(&[new], &one_object), []);
    assert_eq!(old_listeners(&[old, new], &one_object), [old]);
}

#[test]
fn listeners_on_the_loopback_do_not_count() {
    assert_eq!(old_listeners(&[tcp("127.0.0.1", 9090), tcp("::1", 9091)], &[]), []);
}

#[test]
fn a_listener_is_told_with_its_program() {
    let process = Some(Process { name: "nginx".into(), pid: 12 });
    assert_eq!(Listener { port: 80, process }.to_string(), "port 80 (nginx, process 12)");
    assert_eq!(Listener { port: 80, process: None }.to_string(), "port 80");
}
