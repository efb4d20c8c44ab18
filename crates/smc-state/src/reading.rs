//! Reading records, also those that another version wrote.

use std::ffi::OsStr;
use std::path::Path;

use serde::de::Error;
use serde_json::{Map, Value};

use crate::files::read_file;
use crate::record::RECORD_VERSION;
use crate::{Record, StateError};

/// What only tells how an attachment came to what it owns: in words that another version may have more of.
const TOLD: [&str; 5] = ["verdict", "seen", "remedy", "plan", "timings"];

/// Reads a record; `None` when there is none. One of another format version, or with a step, note or reason that this version
/// does not know, is read for what it owns, without a verdict: the agent then looks at the pod anew. New kinds of ownership are
/// kept through a rewrite where they have a field of their own in the record, and lost within `owned`.
pub(crate) fn read_record(path: &Path) -> Result<Option<Record>, StateError> {
    let Some(bytes) = read_file(path)? else { return Ok(None) };
    let malformed = StateError::malformed("record", path);
    let record = match serde_json::from_slice::<Record>(&bytes) {
        Ok(record) if record.version == RECORD_VERSION => record,
        read => match what_it_owns(&bytes) {
            Ok(record) => record,
            // What is wrong with it as it is says more.
            Err(error) => return Err(malformed(read.err().unwrap_or(error))),
        },
    };
    let name = format!("{}.json", record.attachment);
    if path.file_name() != Some(OsStr::new(&name)) {
        let problem = format!("it is the record of {}", record.attachment);
        return Err(malformed(serde_json::Error::custom(problem)));
    }
    Ok(Some(record))
}

fn what_it_owns(bytes: &[u8]) -> Result<Record, serde_json::Error> {
    let mut fields: Map<String, Value> = serde_json::from_slice(bytes)?;
    for told in TOLD {
        fields.remove(told);
    }
    if !fields.get("version").is_some_and(Value::is_u64) {
        return Err(serde_json::Error::custom("it has no format version"));
    }
    fields.insert("version".to_owned(), RECORD_VERSION.into());
    serde_json::from_value(Value::Object(fields))
}

#[cfg(test)]
mod tests;
