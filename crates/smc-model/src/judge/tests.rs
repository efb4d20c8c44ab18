use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::{Live, Observation};

const NO_DEVICE: u32 = 0x0303_0000;
const DECLINED: u32 = 0x0500_0000;

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn fallback(code: u32, path: TrafficPath) -> Fallback {
    Fallback {
        side: Side::Client,
        code,
        peer_diagnosis: 0,
        ipv6_socket: false,
        peer: Some(ip(9)),
        path,
        not_allowed: false,
    }
}

fn failure(code: u32) -> Failure {
    Failure::Fallback { code, peer_diagnosis: 0, ipv6_socket: false, side: Some(Side::Client) }
}

fn grown(counts: &[(Side, u32, u64)]) -> Growth {
    let fallbacks = counts.iter().map(|&(side, code, count)| ((side, code), count)).collect();
    Growth { fallbacks, ..Growth::default() }
}

fn connection(code: u32, path: TrafficPath) -> Connection {
    let at = |port| SocketAddr::new(ip(1), port);
    let transport = Transport::Fallback { reason: code, peer_diagnosis: 0 };
    Connection { local: at(1), remote: at(2), side: None, transport, path, ipv6_socket: false }
}

#[test]
fn whoever_was_kept_from_it_is_no_peer_that_lost_smc_and_other_failures_count_all_the_same() {
    let kept = Fallback { not_allowed: true, ..fallback(PEER_WITHOUT_SMC, TrafficPath::Remote) };
    assert_eq!(kept.judge(true), Judgement::NotAllowed);
    assert_eq!(kept.judge(false), Judgement::NotAllowed);
    let failed = Fallback { not_allowed: true, ..fallback(0x0303_0000, TrafficPath::Remote) };
    assert!(matches!(failed.judge(true), Judgement::Failed(_)));
}

#[test]
fn only_traffic_that_could_be_rdma_fails() {
    for code in [PEER_WITHOUT_SMC, NO_DEVICE, DECLINED] {
        for path in [TrafficPath::Loopback, TrafficPath::SameNode] {
            assert_eq!(fallback(code, path).judge(true), Judgement::Local);
        }
    }
    assert_eq!(fallback(NO_DEVICE, TrafficPath::Remote).judge(false), Judgement::Failed(failure(NO_DEVICE)));
}

#[test]
fn a_peer_without_smc_fails_only_when_it_spoke_smc_before() {
    let seen = fallback(PEER_WITHOUT_SMC, TrafficPath::Remote);
    assert_eq!(seen.judge(false), Judgement::PeerWithoutSmc);
    assert_eq!(seen.judge(true), Judgement::Failed(Failure::PeerLostSmc { peer: ip(9) }));
    let nobody = Fallback { peer: None, ..seen };
    assert_eq!(nobody.judge(true), Judgement::PeerWithoutSmc);
}

#[test]
fn a_peer_that_declined_speaks_smc_and_one_without_smc_or_without_a_connection_proves_nothing() {
    assert_eq!(fallback(DECLINED, TrafficPath::Remote).proves_peer(), Some(ip(9)));
    for code in [PEER_WITHOUT_SMC, OPTION_UNSUPPORTED] {
        assert_eq!(fallback(code, TrafficPath::Remote).proves_peer(), None);
    }
    assert_eq!(fallback(DECLINED, TrafficPath::SameNode).proves_peer(), None);
}

#[test]
fn what_a_peer_once_was_is_forgotten() {
    let mut peers = SmcPeers::default();
    peers.saw(ip(1), Duration::ZERO);
    assert!(peers.speaks(ip(1), Duration::from_secs(599)) && !peers.speaks(ip(2), Duration::ZERO));
    assert!(!peers.speaks(ip(1), Duration::from_secs(600)));
}

#[test]
fn many_peers_are_counted_together() {
    let mut peers = PeersWithoutSmc::default();
    for last in 0..=255 {
        peers.count(Some(ip(last)), 2);
    }
    peers.count(Some(ip(0)), 1);
    peers.count(None, 1);
    assert_eq!((peers.counts.len(), peers.counts[&ip(0)], peers.others), (64, 3, 2 * 192 + 1));
    assert_eq!(peers.total(), 2 * 256 + 2);
}

/// What failed where no other pod of the node has fallbacks.
fn by_counters(growth: &Growth, connections: &[Connection]) -> BTreeMap<Failure, u64> {
    failed_by_counters(growth, connections, Elsewhere::default()).failed
}

#[test]
fn a_pair_of_pods_of_one_node_fails_nowhere_and_what_goes_beyond_it_does() {
    let (client, server) = (grown(&[(Side::Client, DECLINED, 5)]), grown(&[(Side::Server, NO_DEVICE, 5)]));
    let beside = |growth: &Growth| Elsewhere::default().and(growth);
    for (own, other) in [(&client, &server), (&server, &client)] {
        let counted = failed_by_counters(own, &[], beside(other));
        assert_eq!(counted, Counted { failed: BTreeMap::new(), unplaced: 5 });
    }
    // Two clients that both fail have nothing to do with each other.
    assert_eq!(failed_by_counters(&client, &[], beside(&client)).failed, [(failure(DECLINED), 5)].into());
    let more = grown(&[(Side::Client, DECLINED, 7)]);
    let counted = failed_by_counters(&more, &[], beside(&server));
    assert_eq!(counted, Counted { failed: [(failure(DECLINED), 2)].into(), unplaced: 5 });
    // A connection that lives says where they go, and then nothing is open.
    let remote = [connection(DECLINED, TrafficPath::Remote)];
    let counted = failed_by_counters(&more, &remote, beside(&server));
    assert_eq!(counted, Counted { failed: [(failure(DECLINED), 7)].into(), unplaced: 0 });
}

#[test]
fn in_pod_connections_count_on_both_sides_and_are_no_failure() {
    let hop = grown(&[(Side::Client, NO_DEVICE, 5), (Side::Server, DECLINED, 5)]);
    assert_eq!(by_counters(&hop, &[]), BTreeMap::new());
    let more = grown(&[(Side::Client, NO_DEVICE, 8), (Side::Server, DECLINED, 5)]);
    assert_eq!(by_counters(&more, &[]), [(failure(NO_DEVICE), 3)].into());
}

#[test]
fn living_connections_tell_where_fallbacks_belong() {
    let growth = grown(&[(Side::Client, NO_DEVICE, 5)]);
    let local = [connection(NO_DEVICE, TrafficPath::Loopback)];
    assert_eq!(by_counters(&growth, &local), BTreeMap::new());
    let mut remote = [local[0].clone(), connection(NO_DEVICE, TrafficPath::Remote)];
    assert_eq!(by_counters(&growth, &remote), [(failure(NO_DEVICE), 5)].into());
    remote[1].ipv6_socket = true;
    let failed = by_counters(&growth, &remote);
    let from_ipv6 = |failure: &Failure| matches!(failure, Failure::Fallback { ipv6_socket: true, .. });
    assert!(failed.keys().all(from_ipv6), "{failed:?}");
}

fn any_benign() -> impl Strategy<Value = Fallback> {
    let local = (any::<u32>(), prop_oneof![Just(TrafficPath::Loopback), Just(TrafficPath::SameNode)]);
    let plain = Just((PEER_WITHOUT_SMC, TrafficPath::Remote));
    prop_oneof![local, plain].prop_map(|(code, path)| fallback(code, path))
}

proptest! {
    #[test]
    fn probes_scrapes_sidecars_and_neighbours_never_degrade_a_pod(
        looks in prop::collection::vec(prop::collection::vec(any_benign(), 0..8), 0..40),
    ) {
        let mut live = Live::default();
        for (number, fallbacks) in (0_u64..).zip(looks) {
            let mut seen = Observation::default();
            for fallback in fallbacks {
                if let Judgement::Failed(failure) = fallback.judge(false) {
                    *seen.failed.entry(failure).or_default() += 1;
                }
            }
            live.look(Duration::from_secs(10 * number), seen);
            prop_assert!(!live.verdict().is_degraded());
        }
    }

    #[test]
    fn by_counters_at_most_as_much_fails_as_fell_back_and_remote_surplus_is_never_missed(
        local in 0_u64..50,
        outgoing in 0_u64..50,
        peers_without_smc in 0_u64..50,
    ) {
        // `local` hops within the pod, and `outgoing` connections that failed for another code.
        let growth = grown(&[
            (Side::Client, NO_DEVICE, local),
            (Side::Client, 0x0201_0000, outgoing),
            (Side::Client, PEER_WITHOUT_SMC, peers_without_smc),
            (Side::Server, DECLINED, local),
        ]);
        let failed: u64 = by_counters(&growth, &[]).values().sum();
        prop_assert_eq!(failed, outgoing);
    }

    /// Whatever the pods of a node send each other and themselves, none of it is called a failure, and what leaves the node
    /// is never counted twice.
    #[test]
    fn by_counters_no_traffic_within_a_node_fails(
        pairs in prop::collection::vec((0_usize..4, 0_usize..4, 1_u64..20), 0..8),
        outgoing in prop::collection::vec(0_u64..20, 4),
    ) {
        let mut sides = [[0_u64; 2]; 4];
        for (client, server, count) in pairs {
            sides[client][0] += count;
            sides[server][1] += count;
        }
        let local: Vec<Growth> = sides
            .iter()
            .map(|[client, server]| grown(&[(Side::Client, DECLINED, *client), (Side::Server, NO_DEVICE, *server)]))
            .collect();
        let all: Vec<Growth> = sides
            .iter()
            .zip(&outgoing)
            .map(|([client, server], out)| {
                grown(&[(Side::Client, DECLINED, client + out), (Side::Server, NO_DEVICE, *server)])
            })
            .collect();
        for (of_node, left_node) in [(&local, &vec![0; 4]), (&all, &outgoing)] {
            for (index, own) in of_node.iter().enumerate() {
                let others = of_node.iter().enumerate().filter(|(other, _)| *other != index);
                let elsewhere = others.fold(Elsewhere::default(), |sum, (_, growth)| sum.and(growth));
                let counted = failed_by_counters(own, &[], elsewhere);
                let failed: u64 = counted.failed.values().sum();
                let left = left_node[index];
                prop_assert!(failed <= left, "{failed} failed, {left} left the node");
            }
        }
    }
}
