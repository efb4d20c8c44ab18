use smc_model::TrafficPath;

use super::*;

fn fallback(side: Side, code: u32, peer_diagnosis: u32) -> Fallback {
    let peer = Some(IpAddr::from([192, 0, 2, 77]));
    let (path, ipv6_socket, not_allowed) = (TrafficPath::Remote, false, false);
    Fallback { side, code, peer_diagnosis, ipv6_socket, peer, path, not_allowed }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_handshake_that_times_out_on_both_sides_here_is_between_two_pods_of_this_node() {
    let server = fallback(Side::Server, TIMED_OUT, 0);
    for client in [fallback(Side::Client, DECLINED, TIMED_OUT), fallback(Side::Client, TIMED_OUT, 0)] {
        for server_first in [true, false] {
            let mut peers = SameNodePeers::default();
            let sides = [("a", &server), ("b", &client)];
            let [first, second] = if server_first { sides } else { [sides[1], sides[0]] };
            assert_eq!(peers.fell_back(first.0, first.1, 4000, true, seconds(5)), None);
            let found = peers.fell_back(second.0, second.1, 4000, true, seconds(6)).unwrap();
            assert_eq!((found.server.as_str(), found.client.as_str()), ("a", "b"));
            assert_eq!((Some(found.peer), found.dialled), (server.peer, client.peer));
            assert!(peers.found().eq(server.peer));
            // Each handshake has one of both.
            assert_eq!(peers.fell_back("c", &client, 4000, true, seconds(6)), None);
        }
    }
}

#[test]
fn one_side_alone_or_two_that_are_apart_or_of_one_pod_tell_nothing() {
    let (server, client) = (fallback(Side::Server, TIMED_OUT, 0), fallback(Side::Client, TIMED_OUT, 0));
    let other = fallback(Side::Client, DECLINED, 0x0303_0000);
    for (second, by, at) in [(&server, "b", 6), (&client, "b", 8), (&client, "a", 6), (&other, "b", 6)] {
        let mut peers = SameNodePeers::default();
        assert_eq!(peers.fell_back("a", &server, 4000, true, seconds(5)), None);
        assert_eq!(peers.fell_back(by, second, 4000, true, seconds(at)), None, "{second:?} of {by} at {at}");
        assert_eq!(peers.found().count(), 0);
    }
}

#[test]
fn two_handshakes_with_other_nodes_that_time_out_at_once_are_told_apart_by_their_ports() {
    let mut peers = SameNodePeers::default();
    assert_eq!(peers.fell_back("a", &fallback(Side::Server, TIMED_OUT, 0), 4000, true, seconds(5)), None);
    assert_eq!(peers.fell_back("b", &fallback(Side::Client, TIMED_OUT, 0), 4001, true, seconds(5)), None);
    assert_eq!(peers.found().count(), 0);
}

#[test]
fn nobody_is_found_beyond_those_that_are_remembered() {
    let mut peers = SameNodePeers::default();
    for last in 0..=u16::try_from(MOST).unwrap() {
        let [high, low] = last.to_be_bytes();
        let of = |side| Fallback { peer: Some([10, 9, high, low].into()), ..fallback(side, TIMED_OUT, 0) };
        peers.fell_back("a", &of(Side::Server), 1, true, seconds(5));
        let found = peers.fell_back("b", &of(Side::Client), 1, true, seconds(5));
        assert_eq!(found.is_some(), usize::from(last) < MOST);
    }
    assert_eq!(peers.found().count(), MOST);
}

#[test]
fn whoever_was_found_is_tried_again_later() {
    let mut peers = SameNodePeers::default();
    peers.fell_back("a", &fallback(Side::Server, TIMED_OUT, 0), 4000, true, seconds(5));
    peers.fell_back("b", &fallback(Side::Client, TIMED_OUT, 0), 4000, true, seconds(5)).unwrap();
    assert_eq!(peers.next(), Some(seconds(605)));
    assert_eq!(peers.forget(seconds(604)), [] as [IpAddr; 0]);
    assert_eq!(peers.forget(seconds(605)), [IpAddr::from([192, 0, 2, 77])]);
    assert_eq!((peers.found().count(), peers.next()), (0, None));
}
