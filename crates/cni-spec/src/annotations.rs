//! The pod's annotations as the runtime passes them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::json::BorrowedStr;

/// A pod's annotations, borrowed from the input. `null`, which containerd sends for a pod without any, reads
/// as no annotations. The last of equal keys counts, as in the runtimes' own JSON library.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodAnnotations<'a>(Vec<(BorrowedStr<'a>, BorrowedStr<'a>)>);

impl PodAnnotations<'_> {
    /// The annotation's value.
    pub fn get(&self, key: &str) -> Option<&str> {
        // From the end, so that the last of equal keys counts.
        self.0.iter().rev().find(|(found, _)| found.0 == key).map(|(_, value)| value.0.as_ref())
    }

    /// Keys and values in the order given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.0.as_ref(), value.0.as_ref()))
    }

    /// Whether the pod has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for PodAnnotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnnotationsVisitor).map(PodAnnotations)
    }
}

struct AnnotationsVisitor;

impl<'de> Visitor<'de> for AnnotationsVisitor {
    type Value = Vec<(BorrowedStr<'de>, BorrowedStr<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of annotations or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut annotations = Vec::new();
        while let Some(entry) = map.next_entry()? {
            annotations.push(entry);
        }
        Ok(annotations)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn annotations_are_borrowed_unless_escaped() {
        let text = r#"{"plain":"value","escaped":"a\nb"}"#;
        let annotations: PodAnnotations<'_> = serde_json::from_str(text).unwrap();
        let borrowed: Vec<_> =
            annotations.0.iter().map(|(_, value)| matches!(value.0, Cow::Borrowed(_))).collect();
        assert_eq!(borrowed, [true, false]);
        assert_eq!(annotations.get("escaped"), Some("a\nb"));
        assert_eq!(annotations.iter().next(), Some(("plain", "value")));
    }

    #[test]
    fn null_and_an_empty_map_are_no_annotations() {
        for text in ["null", "{}", " { } "] {
            assert!(serde_json::from_str::<PodAnnotations<'_>>(text).unwrap().is_empty(), "{text}");
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let annotations: PodAnnotations<'_> = serde_json::from_str(r#"{"a":"1","a":"2","b":"3"}"#).unwrap();
        assert_eq!(annotations.get("a"), Some("2"));
        assert_eq!(annotations.get("c"), None);
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in ["[]", "true", "\"a\"", "1", r#"{"a":1}"#, r#"{"a":null}"#] {
            assert!(serde_json::from_str::<PodAnnotations<'_>>(text).is_err(), "{text}");
        }
    }
}
