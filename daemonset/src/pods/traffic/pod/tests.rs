use std::net::IpAddr;

use smc_model::SideCounters;

use super::*;

const NO_DEVICE: u32 = 0x0303_0000;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn visit(smcr: u64, fallbacks: &[(u32, u16)]) -> Visit {
    let client = SideCounters {
        smcr_v2: smcr,
        fallbacks: fallbacks.iter().copied().collect(),
        ..SideCounters::default()
    };
    let counters = Counters { client, server: SideCounters::default() };
    Visit { counters, connections: None, set_up: None }
}

fn fallback(code: u32, peer: [u8; 4], path: TrafficPath) -> Fallback {
    let peer = Some(IpAddr::from(peer));
    let (side, not_allowed) = (Side::Client, false);
    Fallback { side, code, peer_diagnosis: 0, ipv6_socket: false, peer, path, not_allowed }
}

/// A look at which no fault is known; whether the verdict is to be told.
fn look(pod: &mut Pod, visit: &Visit, by_events: bool, peers: &mut SmcPeers, now: Duration) -> bool {
    pod.looked(visit, by_events, Elsewhere::default(), None, |_| None, peers, now).verdict
}

#[test]
fn what_the_kernel_counted_before_the_first_look_is_counted_and_blamed_on_nobody() {
    let (mut pod, mut peers) = (Pod::new(seconds(0)), SmcPeers::default());
    look(&mut pod, &visit(0, &[(NO_DEVICE, 7), (PEER_WITHOUT_SMC, 2)]), false, &mut peers, seconds(0));
    assert_eq!(pod.live.verdict(), &LiveVerdict::Configured);
    assert_eq!((pod.fallbacks[&NO_DEVICE], pod.peers.total()), (7, 0));
    // It is judged with what the node's other pods show until the next look.
    assert!(!look(&mut pod, &visit(0, &[(NO_DEVICE, 8)]), false, &mut peers, seconds(10)));
    assert_eq!(pod.next_look(), seconds(10) + LOOK_AGAIN);
    assert!(look(&mut pod, &visit(0, &[(NO_DEVICE, 8)]), false, &mut peers, seconds(15)));
    assert!(pod.live.verdict().is_degraded());
    assert_eq!(pod.fallbacks[&NO_DEVICE], 8);
}

#[test]
fn what_was_missing_and_was_put_back_explains_what_counters_show_of_that_time() {
    let lost = Reason::PnetidLost { interface: "eth0".to_owned(), pnetid: "A".parse().unwrap() };
    let mut pod = Pod::new(seconds(0));
    let lost = std::slice::from_ref(&lost);
    assert_eq!(pod.missing_then(lost, false, seconds(10)), lost);
    assert_eq!(pod.missing_then(lost, false, seconds(15)), lost);
    assert_eq!(pod.missing_then(&[], false, seconds(25)), lost);
    assert_eq!(pod.missing_then(&[], false, seconds(46)), []);
    // With events each is judged within seconds.
    let mut pod = Pod::new(seconds(0));
    assert_eq!(pod.missing_then(lost, true, seconds(10)), lost);
    assert_eq!(pod.missing_then(&[], true, seconds(12)), []);
}

#[test]
fn with_events_the_counters_blame_nobody() {
    let (mut pod, mut peers) = (Pod::new(seconds(0)), SmcPeers::default());
    look(&mut pod, &visit(0, &[]), true, &mut peers, seconds(0));
    pod.fell_back(&fallback(NO_DEVICE, [127, 0, 0, 1], TrafficPath::Loopback), &mut peers, seconds(3));
    look(&mut pod, &visit(0, &[(NO_DEVICE, 1)]), true, &mut peers, seconds(10));
    assert_eq!(pod.live.verdict(), &LiveVerdict::Configured);
    pod.fell_back(&fallback(NO_DEVICE, [10, 0, 1, 9], TrafficPath::Remote), &mut peers, seconds(11));
    assert_eq!(pod.next_look(), seconds(13));
    assert!(look(&mut pod, &visit(0, &[(NO_DEVICE, 2)]), true, &mut peers, seconds(13)));
    assert_eq!(pod.live.verdict().reason(), Some("NoSmcDevice"));
}

#[test]
fn a_peer_without_smc_is_counted_by_its_address_and_degrades_only_when_it_spoke_smc() {
    let (mut pod, mut peers) = (Pod::new(seconds(0)), SmcPeers::default());
    let lost = fallback(PEER_WITHOUT_SMC, [10, 0, 1, 9], TrafficPath::Remote);
    pod.fell_back(&lost, &mut peers, seconds(1));
    look(&mut pod, &visit(0, &[]), true, &mut peers, seconds(10));
    assert_eq!(pod.live.verdict(), &LiveVerdict::Configured);
    assert_eq!(pod.peers.counts, [("10.0.1.9".parse().unwrap(), 1)].into());
    peers.saw("10.0.1.9".parse().unwrap(), seconds(12));
    pod.fell_back(&lost, &mut peers, seconds(13));
    look(&mut pod, &visit(0, &[]), true, &mut peers, seconds(15));
    assert_eq!(pod.live.verdict().reason(), Some("PeerLostSmc"));
}

#[test]
fn idle_pods_are_looked_at_less_often_where_the_kernel_tells() {
    let (mut pod, mut peers) = (Pod::new(seconds(0)), SmcPeers::default());
    look(&mut pod, &visit(1, &[]), true, &mut peers, seconds(0));
    assert_eq!(pod.next_look(), seconds(10));
    look(&mut pod, &visit(1, &[]), true, &mut peers, seconds(60));
    assert_eq!(pod.next_look(), seconds(90));
    // Pods that were looked at a little apart are looked at together.
    assert_eq!(together(Duration::from_millis(90_001)), seconds(95));
    look(&mut pod, &visit(1, &[]), false, &mut peers, seconds(80));
    assert_eq!(pod.next_look(), seconds(90));
}

#[test]
fn each_reason_of_a_degradation_is_told_once() {
    let (mut pod, mut peers) = (Pod::new(seconds(0)), SmcPeers::default());
    let remote = fallback(NO_DEVICE, [10, 0, 1, 9], TrafficPath::Remote);
    let mut fail = |reason: Option<Reason>, now| {
        pod.fell_back(&remote, &mut peers, seconds(now));
        let diagnose = |_: &Failure| reason.clone();
        let told = pod
            .looked(&visit(0, &[]), true, Elsewhere::default(), None, diagnose, &mut peers, seconds(now))
            .verdict;
        (told, pod.live.verdict().reason().unwrap())
    };
    assert_eq!(fail(None, 10), (true, "NoSmcDevice"));
    assert_eq!(fail(Some(Reason::NoUeid), 15), (true, "NoUeid"));
    assert_eq!(fail(Some(Reason::NoUeid), 20), (false, "NoUeid"));
    assert_eq!(fail(None, 25), (false, "NoSmcDevice"));
}

#[test]
fn what_a_program_does_is_told_once_also_while_other_connections_are_smc_r() {
    let (mut pod, mut peers) = (Pod::new(seconds(0)), SmcPeers::default());
    // Fast open falls back before there is a peer.
    let fast_open = Fallback {
        peer: None,
        path: TrafficPath::Unknown,
        ..fallback(0x0306_0000, [0; 4], TrafficPath::Unknown)
    };
    let mut looks = (1..=3).map(|smcr| {
        pod.fell_back(&fast_open, &mut peers, seconds(smcr * 10));
        let now = seconds(smcr * 10 + 2);
        let news = pod.looked(&visit(smcr, &[]), true, Elsewhere::default(), None, |_| None, &mut peers, now);
        assert!(!pod.live.verdict().is_degraded());
        news.programs.iter().map(|entry| entry.name).collect::<Vec<_>>()
    });
    assert_eq!(looks.next().unwrap(), ["FastOpen"]);
    assert!(looks.all(|told| told.is_empty()));
}
