//! Where the parts of a list are, and how it is formatted.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ConflistError;
use super::entry::{Entry, EntryError, Members};
use crate::json::{BorrowedStr, is_object};

/// JSON's white space (RFC 8259, section 2).
const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The plugins of a list, as places in its text. Never empty.
pub(super) struct List<'a> {
    text: &'a str,
    /// The whole array, brackets included.
    array: Range<usize>,
    elements: Vec<&'a RawValue>,
}

impl<'a> List<'a> {
    pub(super) fn read(conf: &'a [u8]) -> Result<Self, ConflistError> {
        #[derive(Deserialize)]
        struct Keys<'a> {
            #[serde(borrow)]
            plugins: Option<&'a RawValue>,
            #[serde(borrow, rename = "type")]
            plugin_type: Option<&'a RawValue>,
        }
        let text = str::from_utf8(conf).map_err(|source| ConflistError::NotUtf8 { source })?;
        let syntax = |source| ConflistError::Syntax { source };
        if text.trim_matches(WHITE_SPACE).is_empty() {
            return Err(ConflistError::Empty);
        }
        let whole: &RawValue = serde_json::from_str(text).map_err(syntax)?;
        if !is_object(whole) {
            return Err(ConflistError::NotAnObject);
        }
        let keys: Keys<'a> = serde_json::from_str(text).map_err(syntax)?;
        let array = match keys.plugins {
            Some(array) if array.get().starts_with('[') => array,
            None if keys.plugin_type.is_some() => return Err(ConflistError::SinglePlugin),
            _ => return Err(ConflistError::NoPlugins),
        };
        let elements: Vec<&'a RawValue> = serde_json::from_str(array.get()).map_err(syntax)?;
        if elements.is_empty() {
            return Err(ConflistError::EmptyPlugins);
        }
        Ok(Self { text, array: span_in(text, array), elements })
    }

    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    pub(super) fn is_alone(&self) -> bool {
        self.elements.len() == 1
    }

    /// The index of the one element of this type.
    pub(super) fn position(&self, plugin_type: &str) -> Result<Option<usize>, ConflistError> {
        let mut found = (0..self.len()).filter(|&index| has_type(self.elements[index], plugin_type));
        let first = found.next();
        match found.count() {
            0 => Ok(first),
            more => Err(ConflistError::Duplicate { plugin_type: plugin_type.to_owned(), count: more + 1 }),
        }
    }

    /// The element's bytes.
    pub(super) fn span(&self, index: usize) -> Range<usize> {
        span_in(self.text, self.elements[index])
    }

    /// The element's bytes with one neighbouring comma and the white space around it: the comma before it,
    /// which came with it when it was put last, or the one after it when it is first.
    pub(super) fn span_with_separator(&self, index: usize) -> Range<usize> {
        let span = self.span(index);
        if index > 0 {
            self.span(index - 1).end..span.end
        } else if self.len() > 1 {
            span.start..self.span(1).start
        } else {
            span
        }
    }

    /// What the element says, as an entry of ours.
    pub(super) fn entry(&self, index: usize) -> Result<Entry, EntryError> {
        Entry::read(self.elements[index])
    }

    /// The element's new text in its own formatting.
    pub(super) fn rewrite(&self, index: usize, entry: &Entry) -> String {
        let members = members(self.elements[index]);
        entry.render(&Style::of(self.elements[index], &members), &members)
    }

    /// Where to append, and the text: a separator like that of the elements there, and the entry in the
    /// formatting of the one before it.
    pub(super) fn append(&self, entry: &Entry) -> (usize, String) {
        let last = self.len() - 1;
        let style = Style::of(self.elements[last], &members(self.elements[last]));
        let end = self.span(last).end;
        let separator = if last > 0 {
            self.text[self.span(last - 1).end..self.span(last).start].to_owned()
        } else {
            let lead = &self.text[self.array.start + 1..self.span(last).start];
            format!(",{}", if lead.is_empty() { style.after_colon } else { lead })
        };
        (end, separator + &entry.render(&style, &Members::new()))
    }
}

/// The white space of an object.
pub(super) struct Style<'a> {
    /// Between the opening brace and the first member.
    pub(super) open: &'a str,
    /// Between the last member and the closing brace.
    pub(super) close: &'a str,
    /// Between two members, the comma included.
    pub(super) between: String,
    /// Between a key's colon and its value.
    pub(super) after_colon: &'a str,
}

impl<'a> Style<'a> {
    fn of(object: &'a RawValue, members: &Members<'a>) -> Self {
        let text = object.get();
        let Some(first_value) = members.values().map(|value| span_in(text, value).start).min() else {
            return Self { open: "", close: "", between: ",".to_owned(), after_colon: "" };
        };
        let inner = &text[1..text.len() - 1];
        let open = &inner[..inner.len() - inner.trim_start_matches(WHITE_SPACE).len()];
        let close = &inner[inner.trim_end_matches(WHITE_SPACE).len()..];
        let before_value = &text[..first_value];
        let after_colon = &before_value[before_value.trim_end_matches(WHITE_SPACE).len()..];
        let between = format!(",{}", if open.contains('\n') { open } else { after_colon });
        Self { open, close, between, after_colon }
    }
}

/// Whether a plugin's configuration is of this type.
pub(super) fn has_type(plugin: &RawValue, plugin_type: &str) -> bool {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type")]
        plugin_type: BorrowedStr<'a>,
    }
    is_object(plugin)
        && serde_json::from_str::<Typed<'_>>(plugin.get())
            .is_ok_and(|typed| typed.plugin_type.0 == plugin_type)
}

/// An element's members; none when it is no object.
fn members(element: &RawValue) -> Members<'_> {
    serde_json::from_str(element.get()).unwrap_or_default()
}

/// The place of a value within the text it was borrowed from.
fn span_in(text: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + value.get().len()
}
