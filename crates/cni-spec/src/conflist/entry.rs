//! This plugin's entry in a list.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::layout::{Style, has_type};
use crate::config::ConfigError;
use crate::error::CniError;
use crate::options::{OptionKeys, Policy};
use crate::{PLUGIN_TYPE, POD_ANNOTATIONS_CAPABILITY};

/// The settings the installer manages in this plugin's entry. The entry also has the type and the capability
/// that makes runtimes pass the pod's annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// `policy`; an entry without one has the default.
    pub policy: Policy,
    /// `stateDir`, an absolute path; left out when `None`.
    pub state_dir: Option<String>,
    /// `logDir`, an absolute path; left out when `None`.
    pub log_dir: Option<String>,
    /// `bootWaitSeconds`; left out when `None`.
    pub boot_wait_seconds: Option<u32>,
}

/// Why an entry cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Another plugin's, or no object.
    #[error("it is not an entry of {PLUGIN_TYPE}")]
    NotOurs,
    /// The runtime would not pass the pods' annotations.
    #[error(
        "it lacks \"capabilities\": {{\"{POD_ANNOTATIONS_CAPABILITY}\": true}}, without which no pod asks for anything"
    )]
    NoAnnotations,
    /// The plugin refuses a setting.
    #[error("{0}")]
    Setting(String),
}

/// Members of an object, still undecoded.
pub(super) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// The keys written by [`Entry::render`]; all others in an entry are its operator's.
const MANAGED: [&str; 6] = ["type", "capabilities", "policy", "stateDir", "logDir", "bootWaitSeconds"];

impl Entry {
    /// Reads one plugin's configuration.
    pub fn parse(plugin: &str) -> Result<Self, EntryError> {
        let object: &RawValue = serde_json::from_str(plugin).map_err(|_| EntryError::NotOurs)?;
        if has_type(object, PLUGIN_TYPE) { Self::read(object) } else { Err(EntryError::NotOurs) }
    }

    /// Reads an entry as the plugin itself will.
    pub(super) fn read(object: &RawValue) -> Result<Self, EntryError> {
        #[derive(Deserialize)]
        struct Keys<'a> {
            #[serde(borrow)]
            capabilities: Option<&'a RawValue>,
        }
        let keys: Keys<'_> = serde_json::from_str(object.get()).map_err(|_| EntryError::NotOurs)?;
        let capabilities: Option<Members<'_>> =
            keys.capabilities.and_then(|capabilities| serde_json::from_str(capabilities.get()).ok());
        let wanted = capabilities.as_ref().and_then(|all| all.get(POD_ANNOTATIONS_CAPABILITY));
        if wanted.is_none_or(|value| value.get() != "true") {
            return Err(EntryError::NoAnnotations);
        }
        let options = serde_json::from_str(object.get())
            .map_err(|source| ConfigError::Syntax { source })
            .and_then(|keys: OptionKeys<'_>| keys.decode());
        let options = options.map_err(|error| {
            let CniError { msg, details, .. } = error.into();
            EntryError::Setting(if details.is_empty() { msg } else { format!("{msg}: {details}") })
        })?;
        // What is no text cannot be read, and is no path that was given in JSON.
        let text = |path: Option<PathBuf>| path.and_then(|path| path.into_os_string().into_string().ok());
        Ok(Self {
            policy: options.policy,
            state_dir: text(options.state_dir),
            log_dir: text(options.log_dir),
            boot_wait_seconds: options.boot_wait_seconds,
        })
    }

    /// The entry as JSON. Members of `kept` that are not managed follow ours.
    pub(super) fn render(&self, style: &Style<'_>, kept: &Members<'_>) -> String {
        let capabilities = format!("{{{}:{}true}}", quoted(POD_ANNOTATIONS_CAPABILITY), style.after_colon);
        let ours = [
            ("type", Some(quoted(PLUGIN_TYPE))),
            ("capabilities", Some(capabilities)),
            ("policy", Some(quoted(self.policy.as_str()))),
            ("stateDir", self.state_dir.as_deref().map(quoted)),
            ("logDir", self.log_dir.as_deref().map(quoted)),
            ("bootWaitSeconds", self.boot_wait_seconds.map(|seconds| seconds.to_string())),
        ];
        let ours = ours.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let kept = kept
            .iter()
            .filter(|(key, _)| !MANAGED.contains(&key.as_str()))
            .map(|(key, value)| (key.as_str(), value.get().to_owned()));

        let mut text = String::from("{");
        for (index, (key, value)) in ours.chain(kept).enumerate() {
            let before = if index == 0 { style.open } else { &style.between };
            // Writing to a string cannot fail.
            let _ = write!(text, "{before}{}:{}{value}", quoted(key), style.after_colon);
        }
        text + style.close + "}"
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
