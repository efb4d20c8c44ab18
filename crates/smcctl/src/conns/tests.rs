use super::*;
use crate::recorded::{golden_outcome, pods as recorded};

#[test]
fn the_table_of_recorded_connections_is_as_committed() {
    golden_outcome("conns", &conns(&recorded(), Paint::PLAIN).unwrap());
}

#[test]
fn a_fallback_is_told_with_the_fault_that_is_likely_behind_it() {
    let mut seen = crate::pods::named(recorded(), "client").unwrap().remove(0);
    let mut node = crate::recorded::rig().node().unwrap();
    // The pods were recorded on the other node.
    node.ports[0].pnetid = Some(seen.record.plan.bindings[0].pnetid.clone());
    seen.node = Some(node);
    let likely = |ipv6_socket, path| {
        let transport = Transport::Fallback { reason: 0x0303_0000, peer_diagnosis: 0 };
        let [local, remote] = ["10.0.0.129:5000", "10.0.0.193:80"].map(|end| end.parse().unwrap());
        let side = Some(Side::Client);
        let connection = Connection { local, remote, side, transport, path, ipv6_socket };
        row(&seen, &connection).likely.map(|fault| fault.name())
    };
    let remote = TrafficPath::Remote;
    assert_eq!(likely(true, remote), Some("Ipv6Socket"));
    assert_eq!(likely(true, TrafficPath::Loopback), None);
    assert_eq!(likely(false, remote), None);
}

#[test]
fn a_gid_with_an_ipv4_address_is_told_as_that() {
    assert_eq!(short("0000:0000:0000:0000:0000:ffff:0a00:000c"), "10.0.0.12");
    assert_eq!(short("fe80:0000:0000:0000:5054:00ff:fe00:0101"), "fe80:0000:0000:0000:5054:00ff:fe00:0101");
}

#[test]
fn what_could_not_be_listed_is_said() {
    let mut all = recorded();
    all[0].traffic.as_mut().unwrap().as_mut().unwrap().connections =
        Connections::Unknown { why: "smc_diag is not loaded".to_owned() };
    let outcome = conns(&all, Paint::PLAIN).unwrap();
    assert_eq!(outcome.status, Status::CouldNotLook);
    assert!(outcome.text.contains("smc_diag is not loaded"), "{}", outcome.text);
}
