//! Records that cannot be read are set aside: one of them must not keep every other pod's addresses for ever.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::store::read_record;
use crate::{AttachmentId, Lock, StateError, Store};

impl Store {
    /// Renames the record of an attachment to `….json.unreadable` if it is no record of this version and of this
    /// attachment; returns why it is none. The caller holds the attachment's lock. What its pod holds in the host's
    /// namespace is known to nobody then.
    pub fn quarantine(&self, attachment: &AttachmentId) -> Result<Option<StateError>, StateError> {
        set_aside(&self.record_path(attachment))
    }

    /// Sets every unreadable record aside, each under its attachment's lock. Returns what was wrong with each of
    /// them, and what could not be set aside.
    pub fn quarantine_all(&self, deadline: Instant) -> Vec<StateError> {
        let mut problems = Vec::new();
        for error in self.list().errors {
            let StateError::Malformed { path, .. } = &error else { continue };
            let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")) else {
                continue;
            };
            // The name is a directory entry's, so it stays in the directory of the locks.
            let result = Lock::take(&self.locks_dir().join(name), deadline).and_then(|_lock| set_aside(path));
            match result {
                Ok(why) => problems.extend(why),
                Err(error) => problems.push(error),
            }
        }
        problems
    }
}

fn set_aside(path: &Path) -> Result<Option<StateError>, StateError> {
    let why = match read_record(path) {
        Ok(_) => return Ok(None),
        Err(error @ StateError::Malformed { .. }) => error,
        Err(error) => return Err(error),
    };
    let mut aside = path.as_os_str().to_owned();
    aside.push(".unreadable");
    fs::rename(path, &aside).map_err(StateError::io("set aside", path))?;
    Ok(Some(why))
}
