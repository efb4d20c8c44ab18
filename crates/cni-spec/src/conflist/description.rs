//! What a list says about itself.

use serde::Deserialize;
use serde_json::Value;

use super::ConflistError;
use super::layout::List;
use crate::PLUGIN_TYPE;
use crate::version::Version;

/// A list's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// `name`; `None` when there is none, or it is no string: runtimes refuse such a list.
    pub name: Option<String>,
    /// `loadOnlyInlinedPlugins`: nothing beside the list may add plugins to it. A value that cannot be understood
    /// counts as true: runtimes that know the key refuse such a list.
    pub only_inlined: bool,
    /// `cniVersion`, which runtimes hand to every plugin as it is, also when there is none.
    version: Option<String>,
    /// `cniVersions`, from which runtimes with libcni 1.3 choose the newest that they speak.
    versions: Vec<String>,
}

/// No version that this plugin speaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{said}, and {PLUGIN_TYPE} speaks {}", Version::list())]
pub struct NoCommonVersion {
    /// What the list says.
    pub said: String,
}

impl Description {
    /// The version in which plugins of this list are called, where the runtime knows `cniVersions` or not; both must do, when
    /// that is not known.
    pub fn called_in(&self, knows_versions: Option<bool>) -> Result<Version, NoCommonVersion> {
        let plain = || match &self.version {
            Some(version) => {
                let said = || NoCommonVersion { said: format!("its \"cniVersion\" is {version:?}") };
                version.parse().map_err(|_| said())
            }
            None => Err(NoCommonVersion { said: "it has no \"cniVersion\"".to_owned() }),
        };
        let newest = || {
            let newest = self.versions.iter().filter_map(|version| version.parse::<Version>().ok()).max();
            let said = || NoCommonVersion { said: format!("its \"cniVersions\" are {:?}", self.versions) };
            newest.max(plain().ok()).ok_or_else(said)
        };
        match knows_versions {
            _ if self.versions.is_empty() => plain(),
            Some(true) => newest(),
            Some(false) => plain(),
            None => newest().and_then(|_| plain()),
        }
    }

    /// The directory beside the list whose `*.conf` files runtimes with libcni 1.3 append to it; `None` when the list
    /// forbids that or its name is none for a directory.
    pub fn drop_in_directory(&self) -> Option<&str> {
        let name = self.name.as_deref().filter(|_| !self.only_inlined)?;
        let usable = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
        usable.then_some(name)
    }
}

/// Reads what a list says about itself.
pub fn describe(conf: &[u8]) -> Result<Description, ConflistError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Keys {
        name: Option<Value>,
        load_only_inlined_plugins: Option<Value>,
        cni_version: Option<Value>,
        cni_versions: Option<Value>,
    }
    List::read(conf)?;
    let keys: Keys = serde_json::from_slice(conf).map_err(|source| ConflistError::Syntax { source })?;
    // libcni also takes the words, in any case.
    let only_inlined = match keys.load_only_inlined_plugins {
        None => false,
        Some(Value::Bool(value)) => value,
        Some(Value::String(word)) => !word.eq_ignore_ascii_case("false"),
        Some(_) => true,
    };
    let name = keys.name.and_then(|name| name.as_str().map(str::to_owned));
    // A value of another type is shown as it stands; runtimes refuse the list.
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let version = keys.cni_version.map(text);
    let versions = match keys.cni_versions {
        Some(Value::Array(versions)) => versions.into_iter().map(text).collect(),
        _ => Vec::new(),
    };
    Ok(Description { name, only_inlined, version, versions })
}

#[cfg(test)]
mod tests;
