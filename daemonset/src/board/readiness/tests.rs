use super::*;

fn lost() -> Chain {
    Chain::NotLoaded { why: "the entry is gone".to_owned() }
}

fn ready_one(now: Instant) -> Readiness {
    let mut readiness = Readiness::new(Chain::Unknown, now);
    readiness.chain_is(Chain::Loaded, now);
    readiness.node_was_checked();
    readiness
}

#[test]
fn ready_needs_the_node_checked_and_the_entry_loaded() {
    let now = Instant::now();
    let mut readiness = Readiness::new(Chain::Unknown, now);
    assert_eq!(readiness.ready(now), Err(NotReady::NodeNotChecked));
    readiness.node_was_checked();
    assert_eq!(readiness.ready(now), Err(NotReady::ChainUnknown));
    readiness.chain_is(lost(), now);
    assert!(matches!(readiness.ready(now), Err(NotReady::ChainNotLoaded { .. })), "never loaded: no grace");
    readiness.chain_is(Chain::Loaded, now);
    assert_eq!(readiness.ready(now), Ok(()));
}

#[test]
fn the_start_is_over_when_the_agent_is_ready_or_took_too_long() {
    let start = Instant::now();
    assert!(ready_one(start).start_is_over(start));
    let slow = Readiness::new(Chain::Unknown, start);
    let almost = START_WITHIN.checked_sub(Duration::from_millis(1)).unwrap();
    assert!(!slow.start_is_over(start + almost));
    assert!(slow.start_is_over(start + START_WITHIN));
}

#[test]
fn a_chain_that_is_not_looked_after_or_that_the_runtime_does_not_tell_of_is_not_waited_for() {
    let now = Instant::now();
    for chain in [Chain::Unmanaged, Chain::Untold] {
        let mut readiness = Readiness::new(chain, now);
        readiness.node_was_checked();
        assert_eq!(readiness.ready(now), Ok(()));
    }
}

#[test]
fn a_thousand_rewrites_of_the_list_flip_nothing() {
    let mut now = Instant::now();
    let mut readiness = ready_one(now);
    for _ in 0..1000 {
        readiness.chain_is(lost(), now);
        assert_eq!(readiness.ready(now), Ok(()));
        now += Duration::from_millis(300);
        assert_eq!(readiness.ready(now), Ok(()));
        readiness.chain_is(Chain::Loaded, now);
        now += Duration::from_millis(300);
    }
}

#[test]
fn once_the_start_is_over_the_chain_makes_no_agent_unready() {
    let start = Instant::now();
    let mut readiness = Readiness::new(Chain::Unknown, start);
    let later = start + START_WITHIN;
    assert_eq!(readiness.ready(later), Err(NotReady::NodeNotChecked));
    readiness.node_was_checked();
    assert!(readiness.ready(start).is_err() && readiness.ready(later).is_ok());
    readiness.chain_is(lost(), later);
    assert_eq!(readiness.ready(later + LOSS_TOLERATED * 2), Ok(()));
}

#[test]
fn a_real_loss_within_the_start_flips_it_and_its_end_flips_it_back() {
    let start = Instant::now();
    let mut readiness = ready_one(start);
    // Said again and again, it still counts from the first time.
    for seconds in 0..10 {
        readiness.chain_is(lost(), start + Duration::from_secs(seconds));
        assert_eq!(readiness.ready(start + Duration::from_secs(seconds)), Ok(()));
    }
    let late = start + LOSS_TOLERATED;
    assert_eq!(
        readiness.ready(late).unwrap_err().to_string(),
        "the container runtime has not loaded smc-cni: the entry is gone"
    );
    readiness.chain_is(Chain::Loaded, late);
    assert_eq!(readiness.ready(late), Ok(()));
}

#[test]
fn a_runtime_that_cannot_be_asked_for_a_while_has_lost_nothing() {
    let now = Instant::now();
    let mut readiness = ready_one(now);
    readiness.chain_is(Chain::Unknown, now);
    assert_eq!(readiness.ready(now + LOSS_TOLERATED * 100), Ok(()));
}

#[test]
fn a_stuck_main_loop_is_not_alive_and_a_busy_one_is() {
    let start = Instant::now();
    let mut readiness = ready_one(start);
    assert_eq!(readiness.alive(start + STUCK_AFTER / 2), Ok(()));
    assert_eq!(readiness.alive(start + STUCK_AFTER), Err(STUCK_AFTER));
    readiness.sign_of_life(start + STUCK_AFTER);
    assert_eq!(readiness.alive(start + STUCK_AFTER), Ok(()));
}
