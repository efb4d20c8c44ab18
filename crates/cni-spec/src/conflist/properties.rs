//! Foreign lists of any content and any formatting.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::config::tests::json_object;
use crate::options::Policy;

/// Writes a value with white space from `gaps`, taken in turn, wherever JSON allows it.
fn write_spaced(value: &Value, gaps: &mut dyn Iterator<Item = String>, out: &mut String) {
    let gap = |gaps: &mut dyn Iterator<Item = String>| gaps.next().unwrap_or_default();
    out.push_str(&gap(gaps));
    match value {
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_spaced(element, gaps, out);
            }
            out.push_str(&gap(gaps));
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_spaced(&Value::from(key.as_str()), gaps, out);
                out.push(':');
                write_spaced(member, gaps, out);
            }
            out.push_str(&gap(gaps));
            out.push('}');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
    out.push_str(&gap(gaps));
}

/// A list without an entry of ours, as a value and as a text with odd white space.
fn foreign_list() -> impl Strategy<Value = (Value, String)> {
    let plugins = prop::collection::vec(("[a-z]{1,6}", json_object()), 1..4).prop_map(|plugins| {
        let plugins = plugins.into_iter().map(|(plugin_type, mut plugin)| {
            plugin["type"] = plugin_type.into();
            plugin
        });
        plugins.collect::<Value>()
    });
    let list = (json_object(), plugins, any::<bool>()).prop_map(|(mut list, plugins, plugins_early)| {
        if plugins_early {
            let mut early = serde_json::json!({ "plugins": plugins });
            if let (Value::Object(early), Value::Object(list)) = (&mut early, list) {
                early.extend(list.into_iter().filter(|(key, _)| key != "plugins"));
            }
            return early;
        }
        list["plugins"] = plugins;
        list
    });
    (list, prop::collection::vec("[ \t\r\n]{0,3}", 0..12)).prop_map(|(list, gaps)| {
        let mut text = String::new();
        write_spaced(&list, &mut gaps.into_iter().cycle(), &mut text);
        (list, text)
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let policy = prop_oneof![Just(Policy::Preferred), Just(Policy::Required)];
    let path = || proptest::option::of(any::<String>().prop_map(|name| format!("/{name}")));
    (policy, path(), path(), any::<Option<u32>>()).prop_map(
        |(policy, state_dir, log_dir, boot_wait_seconds)| Entry {
            policy,
            state_dir,
            log_dir,
            boot_wait_seconds,
        },
    )
}

fn expected_value(entry: &Entry) -> Value {
    let mut value = serde_json::json!({
        "type": PLUGIN_TYPE,
        "capabilities": { crate::POD_ANNOTATIONS_CAPABILITY: true },
        "policy": entry.policy.as_str(),
    });
    if let Some(state_dir) = &entry.state_dir {
        value["stateDir"] = state_dir.as_str().into();
    }
    if let Some(log_dir) = &entry.log_dir {
        value["logDir"] = log_dir.as_str().into();
    }
    if let Some(seconds) = entry.boot_wait_seconds {
        value["bootWaitSeconds"] = seconds.into();
    }
    value
}

proptest! {
    #[test]
    fn only_our_entry_is_added((list, text) in foreign_list(), entry in entry()) {
        let edited = insert(text.as_bytes(), &entry).unwrap();
        prop_assert_eq!(edited.change, Change::Inserted);

        // As a value: the same list with one more plugin.
        let mut expected = list;
        if let Some(plugins) = expected["plugins"].as_array_mut() {
            plugins.push(expected_value(&entry));
        }
        prop_assert_eq!(serde_json::from_slice::<Value>(&edited.bytes).unwrap(), expected);

        // As bytes: what was there, around one addition.
        let found = find(&edited.bytes, PLUGIN_TYPE).unwrap().unwrap();
        prop_assert_eq!(found.index + 1, found.count);
        prop_assert_eq!(found.entry, Ok(entry));
        let after = &edited.bytes[found.span.end..];
        prop_assert!(text.as_bytes().ends_with(after));
        prop_assert!(edited.bytes.starts_with(&text.as_bytes()[..text.len() - after.len()]));
    }

    #[test]
    fn removing_undoes_inserting((_, text) in foreign_list(), entry in entry()) {
        let inserted = insert(text.as_bytes(), &entry).unwrap();
        let removed = remove(&inserted.bytes, PLUGIN_TYPE).unwrap();
        prop_assert_eq!(removed.change, Change::Removed);
        prop_assert_eq!(String::from_utf8(removed.bytes).unwrap(), text);
    }

    #[test]
    fn inserting_twice_is_inserting_once((_, text) in foreign_list(), entry in entry()) {
        let once = insert(text.as_bytes(), &entry).unwrap();
        let twice = insert(&once.bytes, &entry).unwrap();
        prop_assert_eq!(twice, Edited { bytes: once.bytes, change: Change::Unchanged });
    }

    #[test]
    fn replacing_is_inserting_the_other_entry((_, text) in foreign_list(), old in entry(), new in entry()) {
        let replaced = insert(&insert(text.as_bytes(), &old).unwrap().bytes, &new).unwrap();
        prop_assert_eq!(replaced.change == Change::Unchanged, old == new);
        prop_assert_eq!(replaced.bytes, insert(text.as_bytes(), &new).unwrap().bytes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(conf in prop::collection::vec(any::<u8>(), 0..200), entry in entry()) {
        let _ = insert(&conf, &entry);
        let _ = remove(&conf, PLUGIN_TYPE);
    }

    #[test]
    fn a_damaged_list_never_panics((_, text) in foreign_list(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut conf = insert(text.as_bytes(), &Entry::default()).unwrap().bytes;
        let at = at.index(conf.len());
        conf[at] = byte;
        if let Ok(edited) = insert(&conf, &Entry::default()) {
            prop_assert!(find(&edited.bytes, PLUGIN_TYPE).unwrap().is_some());
        }
        let _ = remove(&conf, PLUGIN_TYPE);
    }
}
