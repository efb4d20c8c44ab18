use super::*;

fn counters(smcr: u64, fallbacks: &[(u32, u16)]) -> Counters {
    let client = SideCounters {
        smcr_v2: smcr,
        fallbacks: fallbacks.iter().copied().collect(),
        ..SideCounters::default()
    };
    Counters { client, server: SideCounters::default() }
}

#[test]
fn growth_is_told_by_side_and_code_also_when_the_kernels_counter_wrapped() {
    let growth = counters(5, &[(PEER_WITHOUT_SMC, 3), (7, 1)])
        .since(&counters(3, &[(PEER_WITHOUT_SMC, 65_534), (7, 1)]));
    assert_eq!(growth.smcr, 2);
    assert_eq!(growth.fallbacks, [((Side::Client, PEER_WITHOUT_SMC), 5)].into());
    assert!(counters(3, &[(7, 1)]).since(&counters(3, &[(7, 1)])).is_zero());
}

#[test]
fn after_the_module_was_loaded_anew_everything_counts() {
    let growth = counters(1, &[(7, 2)]).since(&counters(30, &[(7, 9)]));
    assert_eq!((growth.smcr, growth.fallbacks), (1, [((Side::Client, 7), 2)].into()));
}

#[test]
fn a_path_is_told_by_the_other_ends_address() {
    let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
    let own = BTreeSet::from([ip("10.0.0.5"), ip("10.1.0.5")]);
    let node = BTreeSet::from([ip("10.0.0.5"), ip("10.0.0.6")]);
    let path = |local, remote| TrafficPath::between(ip(local), ip(remote), &own, &node);
    assert_eq!(path("127.0.0.1", "127.0.0.1"), TrafficPath::Loopback);
    assert_eq!(path("::1", "::1"), TrafficPath::Loopback);
    assert_eq!(path("10.0.0.5", "10.1.0.5"), TrafficPath::Loopback);
    assert_eq!(path("10.9.0.1", "10.9.0.1"), TrafficPath::Loopback, "an address nobody told of");
    assert_eq!(path("10.0.0.5", "10.0.0.6"), TrafficPath::SameNode);
    assert_eq!(path("10.0.0.5", "::ffff:10.0.0.6"), TrafficPath::SameNode);
    assert_eq!(path("10.0.0.5", "10.0.1.6"), TrafficPath::Remote);
    assert_eq!(path("0.0.0.0", "0.0.0.0"), TrafficPath::Unknown);
}
