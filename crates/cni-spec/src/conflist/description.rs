//! What a list says about itself.

use serde::Deserialize;
use serde_json::Value;

use super::ConflistError;
use super::layout::List;

/// A list's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// `name`; `None` when there is none, or it is no string: runtimes refuse such a list.
    pub name: Option<String>,
    /// `loadOnlyInlinedPlugins`: nothing beside the list may add plugins to it. A value that cannot be understood
    /// counts as true: runtimes that know the key refuse such a list.
    pub only_inlined: bool,
}

impl Description {
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
    Ok(Description { name, only_inlined })
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
    fn what_is_no_list_is_refused_with_the_reason_that_editing_gives() {
        assert!(describe(br#"{"name":"n","plug"#).unwrap_err().is_incomplete());
        let single = describe(br#"{"name":"n","type":"bridge"}"#).unwrap_err();
        assert!(matches!(single, ConflistError::SinglePlugin), "{single:?}");
    }
}
