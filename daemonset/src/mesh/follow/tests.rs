use serde_json::json;

use super::*;

fn object(smc_enabled: &Value) -> Input {
    Input::Found(json!({"spec": {"cniConfiguration": {"smcEnabled": smc_enabled}}}))
}

fn on() -> Follower {
    let mut follower = Follower::new(None);
    assert!(follower.hear(&object(&json!(true)), Instant::now()));
    follower
}

#[test]
fn before_anything_is_heard_it_is_off_and_not_known() {
    let switch = Follower::new(None).switch();
    assert!(!switch.on && !switch.is_known());
    assert!(on().switch().is_known());
}

#[test]
fn a_restart_begins_with_the_last_known_value() {
    let last = on().switch();
    assert_eq!(Follower::new(Some(last)).switch(), last);
}

#[test]
fn a_deleted_object_switches_off() {
    let mut follower = on();
    assert!(follower.hear(&Input::Absent, Instant::now()));
    assert_eq!((follower.switch().on, follower.switch().why), (false, Why::NoObject));
}

#[test]
fn a_malformed_object_keeps_the_last_value_and_says_so_until_it_is_mended() {
    let mut follower = on();
    assert!(!follower.hear(&object(&json!("yes")), Instant::now()));
    assert!(follower.switch().on);
    assert!(follower.malformed().unwrap().contains("smcEnabled is a string"), "{follower:?}");
    assert!(follower.hear(&object(&json!(false)), Instant::now()));
    assert_eq!(follower.malformed(), None);

    let mut never = Follower::new(None);
    assert!(!never.hear(&object(&json!("yes")), Instant::now()));
    assert!(!never.switch().is_known());
}

#[test]
fn a_resource_that_is_missing_for_a_moment_does_not_switch_off() {
    let (mut follower, start) = (on(), Instant::now());
    assert!(!follower.hear(&Input::NoResource, start));
    assert!(!follower.hear(&Input::NoResource, start + MISSING_FOR / 2));
    assert!(!follower.hear(&object(&json!(true)), start + MISSING_FOR / 2));
    // Seen in between: it counts from the beginning again.
    assert!(!follower.hear(&Input::NoResource, start + MISSING_FOR));
    assert!(follower.switch().on);
    assert!(follower.hear(&Input::NoResource, start + MISSING_FOR * 2));
    assert_eq!((follower.switch().on, follower.switch().why), (false, Why::NoResource));
}

#[test]
fn a_resource_that_was_never_there_is_known_to_be_off_at_once() {
    let mut follower = Follower::new(None);
    assert!(follower.hear(&Input::NoResource, Instant::now()));
    assert!(follower.switch().is_known() && !follower.switch().on);
}
