use super::*;

#[test]
fn a_socket_joins_two_nodes_and_no_more() {
    assert!(Link::Socket.check(2).is_ok());
    assert!(matches!(Link::Socket.check(3), Err(RigError::LinkTooSmall(3))));
    assert!(Link::Bridge.check(3).is_ok());
}

#[test]
fn whoever_stands_on_the_bridge_reaches_every_nodes_pods() {
    let lines = bridge_batch();
    for line in [
        "address add 10.0.0.1/16 dev nodes",
        "link set node3 master nodes up addrgenmode none",
        "route add 10.0.2.0/24 via 10.0.0.12 dev nodes",
    ] {
        assert!(lines.lines().any(|known| known == line), "{line} in {lines}");
    }
}

#[test]
fn a_network_holds_what_its_link_needs_and_this_machine_sees_none_of_it() {
    if !test_support::as_root() {
        return;
    }
    let links = || {
        let output = Command::new("ip").args(["-brief", "link"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let network = Network::make(Link::of_this_machine(), Families::Both).unwrap();
    let inside = network.run(links).unwrap();
    assert!(inside.contains("lo "), "{inside}");
    if Link::of_this_machine() == Link::Bridge {
        assert!(inside.contains("nodes ") && inside.contains("node3 "), "{inside}");
    }
    assert!(!links().contains("node3 "), "{}", links());
}
