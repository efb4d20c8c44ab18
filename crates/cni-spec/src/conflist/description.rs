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
mod tests {
    use super::*;

    fn described(keys: &str) -> Description {
        describe(format!(r#"{{{keys}"plugins":[{{"type":"a"}}]}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn a_list_takes_drop_ins_in_a_directory_of_its_name_unless_it_forbids_them() {
        for (keys, directory) in [
            (r#""name":"terway-chainer","#, Some("terway-chainer")),
            (r#""name":"n","loadOnlyInlinedPlugins":false,"#, Some("n")),
            (r#""name":"n","loadOnlyInlinedPlugins":"False","#, Some("n")),
            (r#""name":"n","loadOnlyInlinedPlugins":true,"#, None),
            (r#""name":"n","loadOnlyInlinedPlugins":"TRUE","#, None),
            (r#""name":"n","loadOnlyInlinedPlugins":7,"#, None),
            (r#""name":"..","#, None),
            (r#""name":"a/b","#, None),
            (r#""name":"","#, None),
            (r#""name":7,"#, None),
            ("", None),
        ] {
            assert_eq!(described(keys).drop_in_directory(), directory, "{keys}");
        }
    }

    #[test]
    fn a_list_is_called_in_its_version_or_in_the_newest_that_runtime_and_plugin_speak() {
        let (old, new) = (Some(false), Some(true));
        for (keys, knows, expected) in [
            (r#""cniVersion":"0.4.0","#, old, Ok(Version::V0_4_0)),
            (r#""cniVersion":"0.4.0","#, None, Ok(Version::V0_4_0)),
            ("", old, Err("no \"cniVersion\"")),
            ("", None, Err("no \"cniVersion\"")),
            (r#""cniVersion":"","#, new, Err("is \"\"")),
            (r#""cniVersion":"0.2.0","#, None, Err("\"0.2.0\"")),
            (r#""cniVersion":4,"#, None, Err("\"4\"")),
            (r#""cniVersions":["0.4.0","1.0.0","9.0.0"],"#, new, Ok(Version::V1_0_0)),
            (r#""cniVersions":["0.4.0","1.0.0"],"#, old, Err("no \"cniVersion\"")),
            (r#""cniVersions":["0.4.0"],"#, None, Err("no \"cniVersion\"")),
            (r#""cniVersion":"1.0.0","cniVersions":["0.4.0"],"#, None, Ok(Version::V1_0_0)),
            (r#""cniVersions":["0.1.0"],"#, new, Err("[\"0.1.0\"]")),
        ] {
            let called = described(keys).called_in(knows);
            match expected {
                Ok(version) => assert_eq!(called, Ok(version), "{keys}"),
                Err(words) => assert!(called.unwrap_err().said.contains(words), "{keys}"),
            }
        }
    }

    #[test]
    fn what_is_no_list_is_refused_with_the_reason_that_editing_gives() {
        assert!(describe(br#"{"name":"n","plug"#).unwrap_err().is_incomplete());
        let single = describe(br#"{"name":"n","type":"bridge"}"#).unwrap_err();
        assert!(matches!(single, ConflistError::SinglePlugin), "{single:?}");
    }
}
