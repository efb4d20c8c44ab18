use super::*;
use crate::recorded::{golden_outcome, rig};

fn end(role: Role, transport: &'static str, code: Option<u32>) -> Report {
    Report {
        role,
        address: Ipv4Addr::new(10, 0, 0, 190),
        peer: "10.0.0.254:18515".parse().unwrap(),
        converted: true,
        socket: Socket { transport, device: None, reason: code.map(Why::of), peer_reason: None },
        binding: None,
        connect_milliseconds: 3,
        sent: Sent { bytes: 10, wrong_at: None, complete: true, milliseconds: 1 },
        intact: true,
    }
}

fn both(transport: &'static str, code: Option<u32>) -> Vec<Report> {
    vec![end(Role::Client, transport, code), end(Role::Server, transport, code)]
}

fn proof(ends: Vec<Report>, alone: bool) -> Proof {
    Proof::of(ends, alone, &rig().published.unwrap(), Vec::new())
}

#[test]
fn between_nodes_only_smc_r_is_as_expected() {
    assert!(proof(both("SMC-R", None), false).as_expected);
    for (transport, code) in [("TCP", Some(PEERNOSMC)), ("TCP", Some(0x0303_0000)), ("SMC-D", None)] {
        assert!(!proof(both(transport, code), false).as_expected, "{transport} {code:?}");
    }
}

#[test]
fn on_one_node_the_guards_fallback_is_as_expected_and_another_is_not() {
    let expected = proof(both("TCP", Some(PEERNOSMC)), true);
    assert!(expected.as_expected && expected.proves.contains("selftest serve"), "{expected:?}");
    assert!(!proof(both("TCP", Some(0x0201_0000)), true).as_expected);
    assert!(!proof(both("TCP", None), true).as_expected);
}

#[test]
fn what_a_self_test_says_is_as_committed() {
    let mut smc_r = both("SMC-R", None);
    for end in &mut smc_r {
        end.socket.device = Some("rxe0/1".to_owned());
    }
    golden_outcome("selftest-two-nodes", &proof(smc_r, false).outcome(Paint::PLAIN).unwrap());
    let guarded = proof(both("TCP", Some(PEERNOSMC)), true);
    golden_outcome("selftest-one-node", &guarded.outcome(Paint::PLAIN).unwrap());
    let mut declined = both("TCP", Some(PEERDECL));
    declined[0].socket.peer_reason = Some(Why::of(0x0303_0000));
    golden_outcome("selftest-declined", &proof(declined, false).outcome(Paint::PLAIN).unwrap());
}

#[test]
fn wrong_data_is_never_as_expected() {
    let mut ends = both("SMC-R", None);
    ends[0].intact = false;
    ends[0].sent.wrong_at = Some(7);
    let proof = proof(ends, false);
    assert!(!proof.as_expected);
    assert!(proof.render(Paint::PLAIN).contains("wrong from byte 7"), "{}", proof.render(Paint::PLAIN));
}

#[test]
fn what_is_left_behind_is_told() {
    let proof = Proof::of(both("SMC-R", None), false, &rig().published.unwrap(), vec!["x".to_owned()]);
    assert!(!proof.as_expected && proof.render(Paint::PLAIN).contains("left behind: x"));
}
