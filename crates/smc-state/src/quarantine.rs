//! Records that cannot be read are set aside: one of them must not keep every other pod's addresses for ever.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::reading::read_record;
use crate::{AttachmentId, Lock, Record, StateError, Store};

impl Store {
    /// Reads the record of an attachment, or renames it to `….json.unreadable` if it is no record of
    /// this attachment, and tells why it is none. The caller holds the attachment's lock. What its pod holds in the
    /// host's namespace is known to nobody then.
    pub fn read_or_quarantine(
        &self,
        attachment: &AttachmentId,
    ) -> Result<(Option<Record>, Option<StateError>), StateError> {
        read_or_set_aside(&self.record_path(attachment))
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
            let result =
                Lock::take(&self.locks_dir().join(name), deadline).and_then(|_lock| read_or_set_aside(path));
            match result {
                Ok((_, why)) => problems.extend(why),
                Err(error) => problems.push(error),
            }
        }
        problems
    }
}

fn read_or_set_aside(path: &Path) -> Result<(Option<Record>, Option<StateError>), StateError> {
    let why = match read_record(path) {
        Ok(record) => return Ok((record, None)),
        Err(error @ StateError::Malformed { .. }) => error,
        Err(error) => return Err(error),
    };
    let mut aside = path.as_os_str().to_owned();
    aside.push(".unreadable");
    fs::rename(path, &aside).map_err(StateError::io("set aside", path))?;
    Ok((None, Some(why)))
}
