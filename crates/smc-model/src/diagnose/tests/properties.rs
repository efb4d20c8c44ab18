//! What holds for any node and any failure.

use super::*;

prop_compose! {
    fn any_port()(
        device in prop::sample::select(&TWO[..]),
        active: bool,
        pnetid in prop::sample::select(&[None, Some("A"), Some("B")][..]),
        net in prop::sample::select(&["10.0.0.1/24", "10.9.0.1/24", "none"][..]),
    ) -> RdmaPort {
        port(device, active, pnetid, net)
    }
}

prop_compose! {
    fn any_node()(
        ports in prop::collection::vec(any_port(), 0..3),
        ueid: bool,
        exclusive in prop::bool::weighted(0.1),
        off in prop::bool::weighted(0.1),
    ) -> NodeFacts {
        let mut facts = node(ports);
        if !ueid {
            facts.ueids.clear();
        }
        if exclusive {
            facts.rdma_netns_mode = RdmaNetnsMode::Exclusive;
        }
        if off {
            facts.switch = Switch::Off { why: "x".into() };
        }
        facts
    }
}

fn any_failure() -> impl Strategy<Value = Failure> {
    let codes = [
        NO_DEVICE,
        NO_SMCR_DEVICE,
        OTHER_PREFIX,
        NO_ROUTE,
        DECLINED,
        INTERNAL_ERROR,
        OUT_OF_MEMORY,
        TIMEOUT,
        0x0306_0000,
        0x0309_0000,
    ];
    let code = prop::sample::select(codes.to_vec());
    let peer = prop::sample::select(vec![0, NO_DEVICE, NO_SMCR_DEVICE]);
    let side = prop::sample::select(vec![None, Some(Side::Client), Some(Side::Server)]);
    (code, peer, any::<bool>(), side).prop_map(|(code, peer, ipv6_socket, side)| {
        let peer_diagnosis = if code == DECLINED { peer } else { 0 };
        Failure::Fallback { code, peer_diagnosis, ipv6_socket, side }
    })
}

/// Whether a named fault is really there.
fn applies(reason: &Reason, failure: &Failure, known: &Known<'_>) -> bool {
    let Failure::Fallback { code, peer_diagnosis, ipv6_socket, side } = *failure else { return false };
    let facts = known.node;
    let bound = || facts.ports.iter().filter(|port| port.device == "rxe0");
    match reason {
        _ if known.lost.contains(reason) || known.restored.contains(reason) => true,
        Reason::NoRdmaDevice => facts.ports.is_empty(),
        Reason::RdmaNetnsExclusive => facts.rdma_netns_mode == RdmaNetnsMode::Exclusive,
        Reason::NoUeid => facts.ueids.is_empty(),
        Reason::RdmaDeviceGone { .. } => bound().count() == 0,
        Reason::RdmaPortDown { .. } => bound().any(|port| !port.active),
        Reason::PnetidMissing { .. } => bound().any(|port| port.pnetid.is_none()),
        Reason::ForeignPnetid { .. } => bound().any(|port| port.pnetid == "B".parse().ok()),
        Reason::NoDeviceInSubnet { address, .. } => bound().any(|port| !port.reaches(*address)),
        Reason::Ipv6Socket => ipv6_socket && side == Some(Side::Client) && code == NO_DEVICE,
        Reason::UeidsDiffer { ueids } => {
            !ueids.is_empty()
                && match side {
                    Some(Side::Server) => code == NO_DEVICE,
                    _ => code == DECLINED && peer_diagnosis == NO_DEVICE,
                }
        }
        Reason::QueuePairsLow { used, max, .. } => used * 10 >= max * 9,
        _ => false,
    }
}

proptest! {
    #[test]
    fn only_a_fault_that_is_there_is_named(
        facts in any_node(),
        failure in any_failure(),
        used in 0_u64..=100,
        gone: bool,
        recently: bool,
    ) {
        let gone = gone.then(|| Reason::PnetidLost { interface: "eth0".into(), pnetid: "A".parse().unwrap() });
        let lost: Vec<Reason> = gone.into_iter().collect();
        let restored: Vec<Reason> = recently.then_some(Reason::NoUeid).into_iter().collect();
        let queue_pairs = [QueuePairs { device: "rxe0".into(), used, max: 100 }];
        let (plan, addresses) = (plan(), addresses());
        let known = Known {
            node: &facts,
            plan: &plan,
            addresses: &addresses,
            lost: &lost,
            restored: &restored,
            queue_pairs: &queue_pairs,
        };
        if let Some(reason) = diagnose(&failure, &known) {
            prop_assert!(applies(&reason, &failure, &known), "{reason:?}");
        }
    }

    #[test]
    fn where_all_is_in_order_only_what_the_connection_itself_shows_is_named(failure in any_failure()) {
        let (facts, plan, addresses) = (node(vec![healthy_port()]), plan(), addresses());
        let known = Known {
            node: &facts,
            plan: &plan,
            addresses: &addresses,
            lost: &[],
            restored: &[],
            queue_pairs: &[],
        };
        let found = diagnose(&failure, &known).map(|reason| reason.name());
        prop_assert!(matches!(found, None | Some("Ipv6Socket" | "UeidsDiffer")), "{found:?}");
    }

    #[test]
    fn what_stands_wrong_is_really_wrong(facts in any_node()) {
        let (plan, addresses) = (plan(), addresses());
        let known = Known {
            node: &facts,
            plan: &plan,
            addresses: &addresses,
            lost: &[],
            restored: &[],
            queue_pairs: &[],
        };
        let any = failed(Side::Client, NO_DEVICE);
        if let Some(reason) = standing_cause(&plan, &facts, &addresses) {
            prop_assert!(applies(&reason, &any, &known), "{reason:?}");
        } else {
            let works = |port: &RdmaPort| {
                port.active && port.pnetid == "A".parse().ok() && port.reaches(Ipv4Addr::new(10, 0, 0, 21))
            };
            prop_assert!(facts.ports.iter().any(works) || facts.switch != Switch::On);
        }
    }
}
