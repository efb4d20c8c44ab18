//! This plugin's entry in a file of its own, beside the list.

use serde_json::value::RawValue;

use super::entry::{Entry, Members};
use super::layout::{Style, has_type};
use crate::PLUGIN_TYPE;

/// The content of a drop-in with `entry`.
pub fn drop_in(entry: &Entry) -> String {
    let style = Style { open: "\n  ", close: "\n", between: ",\n  ".to_owned(), after_colon: " " };
    entry.render(&style, &Members::new()) + "\n"
}

/// Whether a drop-in adds this plugin, with whatever settings.
pub fn is_drop_in(conf: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(conf).is_ok_and(|plugin| has_type(plugin, PLUGIN_TYPE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;
    use crate::conflist::EntryError;

    #[test]
    fn a_drop_in_is_one_plugins_configuration_and_is_read_back() {
        let entry = Entry {
            policy: Policy::Required,
            state_dir: Some("/run/kube-smc".to_owned()),
            ..Entry::default()
        };
        let text = drop_in(&entry);
        assert_eq!(
            text,
            "{\n  \"type\": \"smc-cni\",\n  \"capabilities\": {\"io.kubernetes.cri.pod-annotations\": true},\n  \"policy\": \"required\",\n  \"stateDir\": \"/run/kube-smc\"\n}\n"
        );
        assert!(is_drop_in(text.as_bytes()));
        assert_eq!(Entry::parse(&text), Ok(entry));
    }

    #[test]
    fn other_plugins_and_broken_files_are_no_drop_in_of_ours() {
        for conf in [r#"{"type":"tuning"}"#, r#"{"name":"smc-cni"}"#, r#"{"type":"smc-cni""#, "", "[]"] {
            assert!(!is_drop_in(conf.as_bytes()), "{conf}");
            assert_eq!(Entry::parse(conf), Err(EntryError::NotOurs), "{conf}");
        }
        // Ours, but without annotations it cannot work.
        assert!(is_drop_in(br#"{"type":"smc-cni"}"#));
        assert_eq!(Entry::parse(r#"{"type":"smc-cni"}"#), Err(EntryError::NoAnnotations));
    }
}
