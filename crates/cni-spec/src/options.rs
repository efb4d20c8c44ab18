//! The keys of this plugin's own entry in the configuration list.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::{ConfigError, absolute_path, decode, policy};

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
    /// `bootWaitSeconds`: for how long after the node's boot annotated pods wait for the agent; 0 for not at all.
    pub boot_wait_seconds: Option<u32>,
}

impl PluginOptions {
    /// For how long after the node's boot annotated pods wait for the agent, in seconds, where the entry does not say.
    pub const BOOT_WAIT_SECONDS: u32 = 60;
}

/// The keys, each still undecoded, so that an error can name its key.
#[derive(Deserialize)]
pub(crate) struct OptionKeys<'a> {
    #[serde(borrow)]
    pub(crate) policy: Option<&'a RawValue>,
    #[serde(borrow, rename = "stateDir")]
    pub(crate) state_dir: Option<&'a RawValue>,
    #[serde(borrow, rename = "logDir")]
    pub(crate) log_dir: Option<&'a RawValue>,
    #[serde(borrow, rename = "logMaxBytes")]
    pub(crate) log_max_bytes: Option<&'a RawValue>,
    #[serde(borrow, rename = "bootWaitSeconds")]
    pub(crate) boot_wait_seconds: Option<&'a RawValue>,
}

impl OptionKeys<'_> {
    /// What they say.
    pub(crate) fn decode(&self) -> Result<PluginOptions, ConfigError> {
        Ok(PluginOptions {
            policy: self.policy.map(policy).transpose()?.unwrap_or_default(),
            state_dir: self.state_dir.map(|raw| absolute_path("stateDir", raw)).transpose()?,
            log_dir: self.log_dir.map(|raw| absolute_path("logDir", raw)).transpose()?,
            log_max_bytes: self.log_max_bytes.map(|raw| decode("logMaxBytes", raw)).transpose()?,
            boot_wait_seconds: self
                .boot_wait_seconds
                .map(|raw| decode("bootWaitSeconds", raw))
                .transpose()?,
        })
    }
}
