use proptest::prelude::*;

use super::*;

const UEID: Failure =
    Failure::Fallback { code: 0x0303_0000, peer_diagnosis: 0, ipv6_socket: false, side: Some(Side::Client) };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn succeeded() -> Observation {
    Observation { successes: 1, ..Observation::default() }
}

fn failed() -> Observation {
    Observation { failed: [(UEID, 2)].into(), ..Observation::default() }
}

fn port_down() -> Observation {
    Observation { cause: Some(Reason::RdmaPortDown { port: "rxe0/1".into() }), ..Observation::default() }
}

/// What a look may find.
fn any_seen() -> impl Strategy<Value = Observation> {
    (0_u64..3, any::<bool>(), 0_u64..3, prop::bool::weighted(0.1)).prop_map(|(successes, live, bad, down)| {
        Observation {
            successes,
            live,
            failed: (bad > 0).then_some((UEID, bad)).into_iter().collect(),
            diagnoses: BTreeMap::new(),
            cause: if down { port_down().cause } else { None },
        }
    })
}

/// Looks at random distances of up to 12 s, each with what it finds.
fn any_history() -> impl Strategy<Value = Vec<(Duration, Observation)>> {
    prop::collection::vec((1_u64..12, any_seen()), 0..60).prop_map(|looks| {
        let mut now = 0;
        let at = |(wait, seen)| {
            now += wait;
            (seconds(now), seen)
        };
        looks.into_iter().map(at).collect()
    })
}

/// The state after a history, and the time.
fn after(history: &[(Duration, Observation)]) -> (Live, Duration) {
    let mut live = Live::default();
    for (now, seen) in history {
        live.look(*now, seen.clone());
    }
    (live, history.last().map_or(Duration::ZERO, |(now, _)| *now))
}

#[test]
fn the_first_smc_r_connection_makes_a_pod_active() {
    let mut live = Live::default();
    assert!(!live.look(seconds(1), Observation::default()));
    assert!(live.look(seconds(11), succeeded()));
    assert_eq!(live.verdict(), &LiveVerdict::Active);
    let mut resumed = Live::default();
    assert!(
        resumed.look(seconds(1), Observation { live: true, ..Observation::default() }),
        "a connection from before"
    );
}

#[test]
fn a_pod_whose_connections_all_fall_back_is_degraded_with_the_code() {
    let mut live = Live::default();
    live.look(seconds(10), succeeded());
    // The interval in which the fault began has both.
    let both = Observation { successes: 3, ..failed() };
    live.look(seconds(20), both);
    assert!(live.is_suspicious(seconds(20)));
    live.look(seconds(25), failed());
    live.look(seconds(30), failed());
    assert_eq!(live.verdict(), &LiveVerdict::Active);
    assert!(live.look(seconds(35), failed()));
    assert_eq!(live.verdict().reason(), Some("NoSmcDevice"));
    let LiveVerdict::Degraded { failures, .. } = live.verdict() else { panic!() };
    assert_eq!(failures, &[Failures { count: 6, failure: UEID, diagnosis: None }]);
}

#[test]
fn a_degradation_is_named_by_the_fault_behind_it_for_as_long_as_that_explains_what_fails() {
    let diagnosed = || Observation { diagnoses: [(UEID, Reason::NoUeid)].into(), ..failed() };
    let mut live = Live::default();
    live.look(seconds(10), diagnosed());
    assert_eq!(live.verdict().reason(), Some("NoUeid"));
    let resumed = Live::resume(live.verdict().clone(), seconds(0));
    assert_eq!(resumed.verdict().reason(), Some("NoUeid"));
    live.look(seconds(15), Observation::default());
    assert_eq!(live.verdict().reason(), Some("NoUeid"), "nothing failed since");
    live.look(seconds(20), failed());
    assert_eq!(live.verdict().reason(), Some("NoSmcDevice"));
    live.look(seconds(25), diagnosed());
    let down = Observation { cause: port_down().cause, ..diagnosed() };
    live.look(seconds(30), down);
    assert_eq!(live.verdict().reason(), Some("RdmaPortDown"), "what is wrong now tells most");
}

#[test]
fn one_failure_among_successes_degrades_nothing_also_when_traffic_ends_then() {
    let mut live = Live::default();
    live.look(seconds(10), Observation { successes: 30, ..failed() });
    for look in 2..20 {
        assert!(!live.look(seconds(look * 10), Observation::default()));
    }
    assert_eq!(live.verdict(), &LiveVerdict::Active);
}

#[test]
fn a_pod_is_active_again_when_something_succeeded_and_nothing_failed_for_a_while() {
    let mut live = Live::default();
    live.look(seconds(10), failed());
    assert!(live.verdict().is_degraded());
    for look in 2..7 {
        assert!(!live.look(seconds(look * 10), succeeded()), "{look}");
    }
    assert!(live.look(seconds(70), succeeded()));
    assert_eq!(live.verdict(), &LiveVerdict::Active);
}

#[test]
fn a_pod_that_makes_no_more_connections_is_not_degraded_for_ever() {
    let mut live = Live::default();
    live.look(seconds(10), failed());
    assert!(!live.look(seconds(600), Observation::default()));
    assert!(live.look(seconds(610), Observation::default()));
    assert_eq!(live.verdict(), &LiveVerdict::Configured);
}

#[test]
fn a_cause_is_told_at_once_also_without_traffic_and_ends_without_traffic() {
    let mut live = Live::default();
    assert!(live.look(seconds(5), port_down()));
    assert_eq!(live.verdict().reason(), Some("RdmaPortDown"));
    assert!(!live.look(seconds(10), Observation::default()), "a port that flaps");
    assert_eq!(live.verdict().reason(), Some("RdmaPortDown"));
    assert!(live.look(seconds(65), Observation::default()));
    assert_eq!(live.verdict(), &LiveVerdict::Configured);
}

#[test]
fn a_cause_that_ended_does_not_explain_what_fails_later() {
    let mut live = Live::default();
    live.look(seconds(5), port_down());
    live.look(seconds(10), failed());
    assert_eq!(live.verdict().reason(), Some("NoSmcDevice"));
}

#[test]
fn an_old_listener_is_told_until_connections_fail() {
    let old = Verdict::NeedsRestart { listeners: Vec::new() };
    let mut live = Live::default();
    live.look(seconds(1), succeeded());
    assert_eq!(live_name(&old, Some(live.verdict())), "needs-restart");
    assert_eq!(live_name(&Verdict::Configured, Some(live.verdict())), "active");
    assert_eq!(live_name(&Verdict::Configured, None), "configured");
    assert_eq!(live_name(&Verdict::refused(Reason::NoUeid), None), "refused");
    live.look(seconds(30), port_down());
    assert_eq!(live_name(&old, Some(live.verdict())), "degraded");
}

#[test]
fn a_resumed_degradation_needs_the_same_proof() {
    let mut live = Live::default();
    live.look(seconds(10), failed());
    let mut resumed = Live::resume(live.verdict().clone(), seconds(0));
    assert!(!resumed.look(seconds(5), succeeded()));
    assert_eq!(resumed.verdict(), live.verdict());
    assert!(resumed.look(seconds(60), succeeded()));
}

#[test]
fn a_live_verdict_is_written_as_others_read_it() {
    let mut live = Live::default();
    let peer = Failure::PeerLostSmc { peer: "10.0.0.9".parse().unwrap() };
    live.look(seconds(1), Observation { failed: [(peer, 1)].into(), ..port_down() });
    let text = serde_json::to_string(live.verdict()).unwrap();
    assert_eq!(
        text,
        r#"{"is":"degraded","cause":{"reason":"RdmaPortDown","port":"rxe0/1"},"failures":[{"count":1,"failure":"peer-lost-smc","peer":"10.0.0.9"}]}"#
    );
    assert_eq!(&serde_json::from_str::<LiveVerdict>(&text).unwrap(), live.verdict());
    let failure = Failures { count: 2, failure: UEID, diagnosis: Some(Reason::Ipv6Socket) };
    let text = serde_json::to_string(&failure).unwrap();
    assert!(text.ends_with(r#""side":"client","diagnosis":{"reason":"Ipv6Socket"}}"#), "{text}");
    assert_eq!(serde_json::from_str::<Failures>(&text).unwrap(), failure);
}

proptest! {
    #[test]
    fn whatever_was_before_a_lasting_fault_is_named_within_30_seconds(
        history in any_history(),
        first_look in 0_u64..10,
    ) {
        let (mut live, now) = after(&history);
        // From here on everything fails. The first look falls anywhere and still sees what succeeded before.
        let mut named = None;
        let mut at = now + seconds(first_look);
        live.look(at, Observation { successes: 1, ..failed() });
        while named.is_none() && at < now + seconds(40) {
            at += LOOK_AGAIN;
            live.look(at, failed());
            if live.verdict().is_degraded() {
                named = Some(at);
            }
        }
        let named = named.unwrap();
        let took = named.saturating_sub(now);
        prop_assert!(took <= seconds(30), "{took:?}");
        let LiveVerdict::Degraded { failures, .. } = live.verdict() else { unreachable!() };
        prop_assert!(failures.iter().any(|failures| failures.failure == UEID));
    }

    #[test]
    fn a_verdict_does_not_flap(history in any_history()) {
        let (mut live, mut last_degraded, mut changes) = (Live::default(), None, 0_u32);
        for (now, seen) in &history {
            let was_degraded = live.verdict().is_degraded();
            if live.look(*now, seen.clone()) {
                changes += 1;
            }
            match (was_degraded, live.verdict().is_degraded()) {
                (false, true) => last_degraded = Some(*now),
                (true, false) => prop_assert!(now.saturating_sub(last_degraded.unwrap()) >= QUIET),
                _ => {}
            }
        }
        let time = history.last().map_or(0, |(now, _)| now.as_secs());
        prop_assert!(u64::from(changes) <= 3 + 3 * (time / QUIET.as_secs()));
    }

    #[test]
    fn nothing_degrades_without_a_failure_or_a_cause(history in any_history()) {
        let innocent: Vec<_> = history
            .into_iter()
            .map(|(now, seen)| (now, Observation { failed: BTreeMap::new(), cause: None, ..seen }))
            .collect();
        for length in 0..innocent.len() {
            prop_assert!(!after(&innocent[..length]).0.verdict().is_degraded());
        }
    }

    #[test]
    fn nothing_degrades_by_failures_while_each_look_sees_a_success(history in any_history()) {
        let mut live = Live::default();
        for (now, seen) in history {
            live.look(now, Observation { successes: 1, cause: None, ..seen });
            prop_assert_eq!(live.verdict(), &LiveVerdict::Active);
        }
    }

    #[test]
    fn whatever_was_before_a_mended_pod_is_active_after_a_minute(history in any_history()) {
        let (mut live, now) = after(&history);
        for look in 1..=7 {
            live.look(now + seconds(look * 10), succeeded());
        }
        prop_assert_eq!(live.verdict(), &LiveVerdict::Active);
    }
}
