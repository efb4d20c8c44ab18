use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::{
    Anchor, Binding, Conversion, Datapath, Guard, Kernel, KernelFamily, Live, RdmaNetnsMode, RdmaPort, Seen,
    Switch,
};

const NO_DEVICE: u32 = 0x0303_0000;
const DECLINED: u32 = 0x0500_0000;

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn fallback(code: u32, path: TrafficPath) -> Fallback {
    Fallback { side: Side::Client, code, peer_diagnosis: 0, ipv6_socket: false, peer: Some(ip(9)), path }
}

fn failure(code: u32) -> Failure {
    Failure::Fallback { code, peer_diagnosis: 0, ipv6_socket: false }
}

fn grown(counts: &[(Side, u32, u64)]) -> Growth {
    let fallbacks = counts.iter().map(|&(side, code, count)| ((side, code), count)).collect();
    Growth { fallbacks, ..Growth::default() }
}

fn connection(code: u32, path: TrafficPath) -> Connection {
    let at = |port| SocketAddr::new(ip(1), port);
    let transport = Transport::Fallback { reason: code, peer_diagnosis: 0 };
    Connection { local: at(1), remote: at(2), side: None, transport, path }
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

#[test]
fn in_pod_connections_count_on_both_sides_and_are_no_failure() {
    let hop = grown(&[(Side::Client, NO_DEVICE, 5), (Side::Server, DECLINED, 5)]);
    assert_eq!(failed_by_counters(&hop, &[]), BTreeMap::new());
    let more = grown(&[(Side::Client, NO_DEVICE, 8), (Side::Server, DECLINED, 5)]);
    assert_eq!(failed_by_counters(&more, &[]), [(failure(NO_DEVICE), 3)].into());
}

#[test]
fn living_connections_tell_where_fallbacks_belong() {
    let growth = grown(&[(Side::Client, NO_DEVICE, 5)]);
    let local = [connection(NO_DEVICE, TrafficPath::Loopback)];
    assert_eq!(failed_by_counters(&growth, &local), BTreeMap::new());
    let remote = [local[0].clone(), connection(NO_DEVICE, TrafficPath::Remote)];
    assert_eq!(failed_by_counters(&growth, &remote), [(failure(NO_DEVICE), 5)].into());
}

fn node(ports: Vec<RdmaPort>) -> NodeFacts {
    NodeFacts {
        kernel: Kernel { release: "6.12".into(), family: KernelFamily::Mainline },
        smc_loaded: true,
        smc_module: None,
        conversion: Conversion::Bpf { map: "/map".into(), protocol: 256 },
        rdma_netns_mode: RdmaNetnsMode::Shared,
        ports,
        ueids: vec!["SMCV2-DEFAULT-UEID".parse().unwrap()],
        guard: Guard::Ready,
        anchor: Anchor::Ready { index: 3 },
        datapath: Datapath::Netfilter,
        switch: Switch::On,
    }
}

fn port(device: &str, active: bool, pnetid: Option<&str>) -> RdmaPort {
    let pnetid = pnetid.map(|id| id.parse().unwrap());
    RdmaPort { device: device.into(), port: 1, active, pnetid, netdev: None, pods: 0 }
}

#[test]
fn what_is_wrong_with_a_pods_port_is_named() {
    let binding = |device: &str| Binding {
        interface: "eth0".into(),
        device: device.into(),
        port: 1,
        pnetid: "A".parse().unwrap(),
    };
    let plan = Plan { bindings: vec![binding("rxe0")], ..Plan::default() };
    let cause = |ports| standing_cause(&plan, &node(ports)).map(|reason| reason.to_string());
    assert_eq!(cause(vec![port("rxe0", true, Some("A"))]), None);
    assert_eq!(cause(vec![port("rxe0", false, Some("A"))]).unwrap(), "RDMA port rxe0/1 is not ACTIVE");
    assert!(cause(vec![port("rxe0", true, None)]).unwrap().contains("no PNETID"));
    assert!(cause(vec![port("rxe1", true, Some("A"))]).unwrap().contains("rxe0/1 (gone)"));
    assert!(cause(Vec::new()).unwrap().contains("no RDMA device"));
    let two = Plan { bindings: vec![binding("rxe0"), binding("rxe1")], ..Plan::default() };
    let one_works = node(vec![port("rxe0", false, Some("A")), port("rxe1", true, Some("B"))]);
    assert_eq!(standing_cause(&two, &one_works), None);
}

#[test]
fn a_node_that_lost_its_ueid_is_told_and_one_that_is_switched_off_is_not() {
    let mut facts = node(vec![port("rxe0", true, Some("A"))]);
    facts.ueids.clear();
    assert_eq!(standing_cause(&Plan::default(), &facts), Some(Reason::NoUeid));
    facts.switch = Switch::Off { why: "x".into() };
    assert_eq!(standing_cause(&Plan::default(), &facts), None);
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
            let mut seen = Seen::default();
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
        let failed: u64 = failed_by_counters(&growth, &[]).values().sum();
        prop_assert_eq!(failed, outgoing);
    }
}
