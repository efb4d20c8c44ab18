use super::*;

fn no() -> Loaded {
    Loaded::No { why: "it is without".to_owned() }
}

/// Asks as often as the check wants; gives the moments, in tenths of a second, at which it nudged.
fn run(
    check: &mut LoadCheck,
    start: Instant,
    until: Duration,
    answer: impl Fn(Duration) -> Loaded,
) -> Vec<u128> {
    let mut nudges = Vec::new();
    while let Some(now) = check.next_ask().filter(|next| *next < start + until) {
        check.asked();
        if check.answered(answer(now - start), now) {
            nudges.push((now - start).as_millis() / 100);
        }
    }
    nudges
}

#[test]
fn a_runtime_that_loads_by_itself_is_not_nudged() {
    let (mut check, start) = (LoadCheck::default(), Instant::now());
    check.expect(start);
    let nudges = run(&mut check, start, Duration::from_secs(300), |after| {
        if after > Duration::from_secs(1) { Loaded::Yes } else { no() }
    });
    assert_eq!((nudges, check.loaded()), (vec![], &Loaded::Yes));
    assert_eq!(check.hopeless(start + Duration::from_secs(300)), None);
}

#[test]
fn a_runtime_that_does_not_load_is_nudged_once_and_then_reported() {
    let (mut check, start) = (LoadCheck::default(), Instant::now());
    check.expect(start);
    let nudges = run(&mut check, start, Duration::from_secs(4), |_| no());
    assert_eq!(nudges, [21]);
    assert_eq!(check.hopeless(start + Duration::from_secs(4)), None, "it may still be reading");
    assert_eq!(run(&mut check, start, Duration::from_secs(600), |_| no()), [0; 0]);
    assert_eq!(check.hopeless(start + Duration::from_secs(5)), Some("it is without"));
    run(&mut check, start, Duration::from_secs(700), |_| Loaded::Yes);
    assert_eq!(check.hopeless(start + Duration::from_secs(700)), None);
}

#[test]
fn a_runtime_that_loses_the_entry_later_is_nudged_again() {
    let (mut check, start) = (LoadCheck::default(), Instant::now());
    check.expect(start);
    let lost = Duration::from_secs(100);
    let nudges =
        run(
            &mut check,
            start,
            Duration::from_secs(300),
            |after| {
                if after < lost { Loaded::Yes } else { no() }
            },
        );
    assert_eq!(nudges.len(), 1);
    assert!(nudges[0] >= 1020, "{nudges:?}");
}

#[test]
fn what_is_not_known_is_asked_again_later_and_nobody_is_nudged() {
    let (mut check, start) = (LoadCheck::default(), Instant::now());
    check.expect(start);
    let unknown = |_| Loaded::Unknown { why: "no socket".to_owned() };
    assert_eq!(run(&mut check, start, Duration::from_secs(100), unknown), [0; 0]);
    assert_eq!(check.hopeless(start + Duration::from_secs(100)), None);
    check.expect_nothing();
    assert_eq!(check.next_ask(), None);
    assert!(!check.answered(no(), start), "an answer to an old question");
}
