use super::*;

#[test]
fn waits_grow_when_the_entry_is_taken_out_right_after_each_time() {
    let limits = FightLimits { tolerated: 3, ..FightLimits::default() };
    let mut fight = Fight::new(limits);
    let mut now = Instant::now();
    let mut waits = Vec::new();
    for _ in 0..14 {
        fight.put_in(now);
        assert_eq!(fight.wait(now), None);
        now += limits.reaction / 2;
        assert!(!fight.is_over(now));
        fight.gone(now);
        waits.push(fight.wait(now).map_or(0, |wait| wait.as_secs()));
        now += fight.wait(now).unwrap_or_default();
    }
    assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    assert_eq!(fight.too_often(), Some(14));
}

#[test]
fn an_entry_that_stood_for_a_while_ends_the_fight() {
    let limits = FightLimits::default();
    let mut fight = Fight::new(limits);
    let mut now = Instant::now();
    for _ in 0..5 {
        fight.put_in(now);
        fight.gone(now);
    }
    assert_eq!(fight.too_often(), Some(5));
    now += limits.first_wait;
    fight.put_in(now);
    now += limits.reaction;
    assert!(fight.is_over(now));
    fight.gone(now);
    assert_eq!((fight.too_often(), fight.wait(now)), (None, None));
}

#[test]
fn a_loss_before_the_first_insertion_is_none() {
    let mut fight = Fight::new(FightLimits::default());
    for _ in 0..10 {
        fight.gone(Instant::now());
    }
    assert_eq!(fight.too_often(), None);
}
