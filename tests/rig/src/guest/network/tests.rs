use super::*;

#[test]
fn a_node_routes_other_nodes_pods_through_those_nodes() {
    let [one, two, _] = NodeNumber::ALL.map(|node| batch(node, "eth0", "eth1"));
    assert!(one.contains("route add 10.0.2.0/24 via 10.0.0.12\nroute add 10.0.3.0/24 via 10.0.0.13\n"));
    assert!(two.contains("route add 10.0.1.0/24 via 10.0.0.11\nroute add 10.0.3.0/24 via 10.0.0.13\n"));
}

#[test]
fn each_nic_gets_its_own_name_and_address() {
    let lines = batch(NodeNumber::ALL[0], "eth5", "eth3");
    for line in [
        "link set eth5 name eri0",
        "address add 10.0.0.11/16 dev eri0",
        "link set eth3 name mgmt0",
        "address add 198.51.100.15/24 dev mgmt0",
    ] {
        assert!(lines.lines().any(|known| known == line), "{line} in {lines}");
    }
}
