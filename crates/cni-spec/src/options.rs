//! The keys of this plugin's own entry in the configuration list.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What becomes of an annotated pod that cannot be accelerated. It stands in the chain entry so that it holds
/// whether or not an agent runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// It starts with plain TCP, and the reason is recorded.
    #[default]
    Preferred,
    /// It does not start: `ADD` fails.
    Required,
}

impl Policy {
    /// The policy as it stands in the entry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preferred => "preferred",
            Self::Required => "required",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "preferred" => Ok(Self::Preferred),
            "required" => Ok(Self::Required),
            _ => Err(InvalidPolicy(text.to_owned())),
        }
    }
}

/// A text that is no [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither \"preferred\" nor \"required\"")]
pub struct InvalidPolicy(pub String);

/// This plugin's own keys. All are optional; keys that are not ours are tolerated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginOptions {
    /// `policy`.
    pub policy: Policy,
    /// `stateDir`: absolute path of the directory shared with the agent.
    pub state_dir: Option<PathBuf>,
    /// `logDir`: absolute path of the directory of the plugin's log.
    pub log_dir: Option<PathBuf>,
    /// `logMaxBytes`: size in bytes at which the log starts over.
    pub log_max_bytes: Option<u64>,
}
