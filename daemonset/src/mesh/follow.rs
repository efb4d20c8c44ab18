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
mod tests;
