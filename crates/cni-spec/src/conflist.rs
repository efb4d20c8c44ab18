//! Editing a network configuration list (`*.conflist`) so that nothing but this plugin's entry changes.
//!
//! The file belongs to another plugin, which may render it again at any time, and to its operator. So the
//! bytes are edited in place: no key is reordered, no white space normalised, `name` and `cniVersion` are
//! never touched. The new entry copies the formatting of its neighbours.
//!
//! A list that is being written is often met half-way: [`ConflistError::is_incomplete`] tells "read again in
//! a moment" from "this will not get better".
//!
//! Runtimes with libcni 1.3 also append the plugins of `<directory>/<list's name>/*.conf` to a list, unless the
//! list forbids it ([`describe`]): [`drop_in`] is such a file, and [`is_drop_in`] recognises one.

mod description;
mod drop_in;
mod entry;
mod layout;

use std::ops::Range;
use std::path::Path;
use std::str::Utf8Error;

pub use description::{Description, NoCommonVersion, describe};
pub use drop_in::{drop_in, is_drop_in};
pub use entry::{Entry, EntryError};

use crate::PLUGIN_TYPE;
use layout::List;

/// A list after editing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// What was done; with [`Change::Unchanged`] the bytes are those given.
    pub change: Change,
}

/// What an edit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing had to be done.
    Unchanged,
    /// The entry was put last.
    Inserted,
    /// The entry stood there with other settings, and was written anew in its place.
    Replaced,
    /// The entry was taken out.
    Removed,
}

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its index in `plugins`.
    pub index: usize,
    /// How many plugins the list has, this one included.
    pub count: usize,
    /// Its bytes in the file, braces included.
    pub span: Range<usize>,
    /// What the entry says, or why it cannot work.
    pub entry: Result<Entry, EntryError>,
}

/// Puts `entry` last in the list. When an entry of this plugin is already there it stays in its place, and is
/// rewritten only if it differs from `entry`; its keys that [`Entry`] does not manage are kept.
pub fn insert(conf: &[u8], entry: &Entry) -> Result<Edited, ConflistError> {
    let list = List::read(conf)?;
    let Some(index) = list.position(PLUGIN_TYPE)? else {
        let (at, addition) = list.append(entry);
        return Ok(splice(conf, at..at, &addition, Change::Inserted));
    };
    if list.is_alone() {
        return Err(ConflistError::NothingElse { plugin_type: PLUGIN_TYPE.to_owned() });
    }
    if list.entry(index).as_ref() == Ok(entry) {
        return Ok(unchanged(conf));
    }
    Ok(splice(conf, list.span(index), &list.rewrite(index, entry), Change::Replaced))
}

/// Takes the entry of type `plugin_type` out of the list. Undoes an insertion to the byte.
pub fn remove(conf: &[u8], plugin_type: &str) -> Result<Edited, ConflistError> {
    let list = List::read(conf)?;
    let Some(index) = list.position(plugin_type)? else {
        return Ok(unchanged(conf));
    };
    if list.is_alone() {
        return Err(ConflistError::NothingElse { plugin_type: plugin_type.to_owned() });
    }
    Ok(splice(conf, list.span_with_separator(index), "", Change::Removed))
}

/// Whether runtimes look for a list in a file, by its name; of all others they expect a single plugin's configuration.
pub fn is_named_as_list(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "conflist")
}

/// Whether runtimes take a file for a configuration, by its name (libcni's `ConfFiles`).
pub fn is_configuration(name: &Path) -> bool {
    name.extension().is_some_and(|ending| ["conf", "conflist", "json"].iter().any(|known| ending == *known))
}

/// Looks for the entry of type `plugin_type`.
pub fn find(conf: &[u8], plugin_type: &str) -> Result<Option<Found>, ConflistError> {
    let list = List::read(conf)?;
    Ok(list.position(plugin_type)?.map(|index| Found {
        index,
        count: list.len(),
        span: list.span(index),
        entry: list.entry(index),
    }))
}

fn unchanged(conf: &[u8]) -> Edited {
    Edited { bytes: conf.to_vec(), change: Change::Unchanged }
}

fn splice(conf: &[u8], span: Range<usize>, replacement: &str, change: Change) -> Edited {
    let bytes = [&conf[..span.start], replacement.as_bytes(), &conf[span.end..]].concat();
    Edited { bytes, change }
}

/// Why a list is left alone.
#[derive(Debug, thiserror::Error)]
pub enum ConflistError {
    /// No bytes, or only white space.
    #[error("the configuration list is empty")]
    Empty,
    /// JSON is UTF-8.
    #[error("the configuration list is not UTF-8")]
    NotUtf8 {
        /// Where.
        source: Utf8Error,
    },
    /// Not JSON, or cut short, or with two keys `plugins`.
    #[error("cannot parse the configuration list")]
    Syntax {
        /// What is wrong, at which line and column.
        source: serde_json::Error,
    },
    /// Some other JSON value.
    #[error("the configuration list is not a JSON object")]
    NotAnObject,
    /// A `.conf` file: one plugin's configuration with `type` at the top. It cannot hold a chain.
    #[error("this is the configuration of a single plugin, not a list")]
    SinglePlugin,
    /// No key `plugins`, or its value is no array.
    #[error("the configuration list has no array \"plugins\"")]
    NoPlugins,
    /// `plugins` is there but has nothing to chain after.
    #[error("the configuration list has no plugins")]
    EmptyPlugins,
    /// The plugin would run twice for each pod; which entry is meant is the operator's to say.
    #[error("the configuration list has {count} entries of type {plugin_type:?}")]
    Duplicate {
        /// The type looked for.
        plugin_type: String,
        /// How many entries have it.
        count: usize,
    },
    /// The only entry is the one looked for: without another before it pods have no network, and a list
    /// without entries makes the node not ready.
    #[error("the configuration list has no other plugin than {plugin_type:?}")]
    NothingElse {
        /// The type looked for.
        plugin_type: String,
    },
}

impl ConflistError {
    /// Whether the bytes may be the beginning of a list that is still being written.
    pub fn is_incomplete(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::NotUtf8 { source } => source.error_len().is_none(),
            Self::Syntax { source } => source.is_eof(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
