//! What the switch is after everything that was heard, as a function of values.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{MeshSwitch, Why, judge};

/// How long an API server must go on not knowing the resource before that switches off what was on. An API server that
/// starts, or a proxy before it, can say so for a moment, and switching off and on costs listeners.
pub const MISSING_FOR: Duration = Duration::from_secs(30);

/// What was heard of the object.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The object.
    Found(Value),
    /// There is none of that name.
    Absent,
    /// The API server does not know the resource.
    NoResource,
}

/// The switch, and what is wrong with what it follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    switch: MeshSwitch,
    malformed: Option<String>,
    missing_since: Option<Instant>,
}

impl Follower {
    /// Starts from the last known value.
    pub fn new(last_known: Option<MeshSwitch>) -> Self {
        Self { switch: last_known.unwrap_or(MeshSwitch::NOT_KNOWN_YET), malformed: None, missing_since: None }
    }

    /// The switch now.
    pub fn switch(&self) -> MeshSwitch {
        self.switch
    }

    /// What is wrong with the object, if the switch holds its last value for that.
    pub fn malformed(&self) -> Option<&str> {
        self.malformed.as_deref()
    }

    /// Takes in what was heard; returns whether the switch changed.
    pub fn hear(&mut self, input: &Input, now: Instant) -> bool {
        let before = self.switch;
        if *input != Input::NoResource {
            self.missing_since = None;
        }
        self.malformed = None;
        match input {
            Input::Found(object) => match judge(object) {
                Ok(switch) => self.switch = switch,
                Err(malformed) => {
                    self.malformed = Some(format!(
                        "ASMMeshConfig default cannot be understood, so the last known value holds ({}): {malformed}",
                        if before.on { "on" } else { "off" }
                    ));
                }
            },
            Input::Absent => self.switch = off(Why::NoObject),
            Input::NoResource => {
                let since = *self.missing_since.get_or_insert(now);
                if !before.on || now.duration_since(since) >= MISSING_FOR {
                    self.switch = off(Why::NoResource);
                }
            }
        }
        self.switch != before
    }
}

fn off(why: Why) -> MeshSwitch {
    MeshSwitch { on: false, repair: false, why }
}

#[cfg(test)]
mod tests {
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
}
