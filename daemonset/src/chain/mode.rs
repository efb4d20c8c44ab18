//! How the entry gets into the chain.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// What the operator wants, `--chain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// The first of drop-in, inject and managed that fits this node
    Auto,
    /// A file beside the list, in a directory of the list's name (containerd >= 2.1, CRI-O >= 1.33)
    DropIn,
    /// An entry in the list itself, put back whenever the list is written anew
    Inject,
    /// The operator's: only check that it is there
    Managed,
    /// Leave the chain alone
    Off,
}

/// What is done on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Our entry is a file beside the list.
    DropIn,
    /// Our entry is in the list.
    Inject,
    /// Nothing is written.
    Managed,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::DropIn => "drop-in",
            Self::Inject => "inject",
            Self::Managed => "managed",
        })
    }
}

/// The container runtime, as its CRI names itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeVersion {
    name: String,
    major: u32,
    minor: u32,
}

impl RuntimeVersion {
    /// From `runtime_name` and `runtime_version` of the CRI's `Version`, such as `containerd` and `v2.1.5` or
    /// `1.6.20~ds1`.
    pub fn parse(name: &str, version: &str) -> Option<Self> {
        let mut numbers = version.strip_prefix('v').unwrap_or(version).split(|c: char| !c.is_ascii_digit());
        let mut number = || u32::from_str(numbers.next()?).ok();
        Some(Self { name: name.to_owned(), major: number()?, minor: number()? })
    }

    /// Whether it passes over configurations that it cannot read, instead of using none.
    pub fn skips_what_it_cannot_read(&self) -> bool {
        self.name == "cri-o"
    }

    /// Whether it reads drop-ins, that is, has libcni 1.3; `None` when nothing is known of this runtime.
    pub fn reads_drop_ins(&self) -> Option<bool> {
        let first = match self.name.as_str() {
            "containerd" => (2, 1),
            "cri-o" => (1, 33),
            _ => return None,
        };
        Some((self.major, self.minor) >= first)
    }
}

impl fmt::Display for RuntimeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.name, self.major, self.minor)
    }
}

/// What the choice depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The runtime, if it said what it is.
    pub runtime: Option<&'a RuntimeVersion>,
    /// Whether the list takes drop-ins; `None` while there is no list.
    pub list_takes_drop_ins: Option<bool>,
    /// Whether the configuration directory can be written to.
    pub writable: bool,
    /// Whether a drop-in of ours is there.
    pub has_drop_in: bool,
}

/// A placement, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What is done.
    pub placement: Placement,
    /// Why, for the log.
    pub why: String,
}

/// Chooses how the entry gets into the chain; `None` for [`Mode::Off`].
pub fn choose(mode: Mode, facts: &Facts<'_>) -> Option<Choice> {
    let choice = |placement, why: String| Some(Choice { placement, why });
    let asked = |placement| choice(placement, format!("--chain {placement} was given"));
    match mode {
        Mode::Off => return None,
        Mode::DropIn => return asked(Placement::DropIn),
        Mode::Inject => return asked(Placement::Inject),
        Mode::Managed => return asked(Placement::Managed),
        Mode::Auto => {}
    }
    if !facts.writable {
        return choice(
            Placement::Managed,
            "the configuration directory is read-only for the agent".to_owned(),
        );
    }
    let why_not = match (facts.runtime, facts.list_takes_drop_ins) {
        // The runtime's socket may be late, or this is a command without one: what was chosen knowingly stays.
        (None, Some(true)) if facts.has_drop_in => {
            return choice(
                Placement::DropIn,
                "it was chosen before, and the runtime's version is not known now".to_owned(),
            );
        }
        (None, _) => "the runtime's version is not known".to_owned(),
        (Some(runtime), list) => match (runtime.reads_drop_ins(), list) {
            (None, _) => format!("whether {runtime} reads drop-ins is not known"),
            (Some(false), _) => format!("{runtime} does not read drop-ins"),
            (Some(true), None) => "there is no list yet".to_owned(),
            (Some(true), Some(false)) => "the list takes no drop-ins".to_owned(),
            (Some(true), Some(true)) => {
                return choice(
                    Placement::DropIn,
                    format!("{runtime} reads drop-ins, which stay when the list is written anew"),
                );
            }
        },
    };
    choice(Placement::Inject, why_not)
}

#[cfg(test)]
mod tests;
