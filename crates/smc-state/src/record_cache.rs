//! Records that were read before, so that a directory of hundreds is not read again for one that is new.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::reading::read_record;
use crate::{Record, StateError};

/// What was read of the record directory, see [`crate::Store::list_again`]; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct RecordCache(Arc<Mutex<Known>>);

/// By file name.
pub(crate) type Known = BTreeMap<OsString, (Written, Arc<Record>)>;

/// Which writing of a file it is. Records are written by renaming a new file, which is another inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    inode: u64,
    seconds: i64,
    nanoseconds: i64,
    length: u64,
}

impl Written {
    fn at(path: &Path) -> Option<Self> {
        let metadata = path.symlink_metadata().ok()?;
        Some(Self {
            inode: metadata.ino(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
            length: metadata.len(),
        })
    }
}

impl RecordCache {
    /// Held for as long as a listing takes.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record at `path`, read only when it is another writing than in `before`, from where it goes into `now`.
pub(crate) fn record(
    path: &Path,
    name: OsString,
    before: &mut Known,
    now: &mut Known,
) -> Result<Option<Arc<Record>>, StateError> {
    // Looked at before it is read: what is written in between is read again next time.
    let Some(written) = Written::at(path) else { return Ok(None) };
    let known = before.remove(&name).filter(|(before, _)| *before == written);
    let record = match known {
        Some((_, record)) => record,
        None => match read_record(path)? {
            Some(record) => Arc::new(record),
            None => return Ok(None),
        },
    };
    now.insert(name, (written, Arc::clone(&record)));
    Ok(Some(record))
}
