//! This plugin's entry in a list.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::layout::{Style, has_type};
use crate::options::Policy;
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
}

/// Members of an object, still undecoded.
pub(super) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// The keys written by [`Entry::render`]; all others in an entry are its operator's.
const MANAGED: [&str; 5] = ["type", "capabilities", "policy", "stateDir", "logDir"];

impl Entry {
    /// Reads one plugin's configuration; `None` when it is not this plugin's, lacks the annotations' capability, or
    /// has an unreadable setting.
    pub fn parse(plugin: &str) -> Option<Self> {
        let object: &RawValue = serde_json::from_str(plugin).ok()?;
        has_type(object, PLUGIN_TYPE).then(|| Self::read(object)).flatten()
    }

    /// Reads an entry back; `None` when it is not one that [`Entry::render`] could mean.
    pub(super) fn read(object: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Keys<'a> {
            #[serde(borrow)]
            capabilities: Members<'a>,
            policy: Option<String>,
            state_dir: Option<String>,
            log_dir: Option<String>,
        }
        let keys: Keys<'_> = serde_json::from_str(object.get()).ok()?;
        if keys.capabilities.get(POD_ANNOTATIONS_CAPABILITY)?.get() != "true" {
            return None;
        }
        let policy = keys.policy.map_or(Some(Policy::default()), |policy| policy.parse().ok())?;
        Some(Self { policy, state_dir: keys.state_dir, log_dir: keys.log_dir })
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
