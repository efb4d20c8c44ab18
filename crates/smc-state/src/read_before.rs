//! Records that were read before, so that a directory of hundreds is not read again for one that is new.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::store::read_record;
use crate::{Record, StateError};

/// What was read of the record directory, see [`crate::Store::list_again`].
#[derive(Debug, Clone, Default)]
pub struct ReadBefore(BTreeMap<PathBuf, (Written, Record)>);

/// Which writing of a file it is. Records are written by renaming a new file, which is another inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Written {
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

impl ReadBefore {
    /// The record at `path`, read only when it is another writing than before; it is put into `now`.
    pub(crate) fn record(&mut self, path: PathBuf, now: &mut Self) -> Result<Option<Record>, StateError> {
        // Looked at before it is read: what is written in between is read again next time.
        let Some(written) = Written::at(&path) else { return Ok(None) };
        let known = self.0.remove(&path).filter(|(before, _)| *before == written);
        let record = match known {
            Some((_, record)) => record,
            None => match read_record(&path)? {
                Some(record) => record,
                None => return Ok(None),
            },
        };
        now.0.insert(path, (written, record.clone()));
        Ok(Some(record))
    }
}
