//! Files that we replaced while their owner may still have been writing to them.
//!
//! Their last bytes would be lost with the file's name. So each stays open for a while; when it changes after all, and
//! is quiet again, its content is the owner's newest word and is merged again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cni_spec::conflist;

use super::conf_dir::{ConfFile, content};

/// How long a file must have stayed as it is before it counts as written. Writers pause less within one file.
pub(super) const QUIET: Duration = Duration::from_millis(20);
/// How long a replaced file is looked at, from its replacement or its last change.
const HELD: Duration = Duration::from_secs(30);
/// Files of the last moments are looked at often, others now and then.
const RECENT: Duration = Duration::from_secs(2);
const NOW_AND_THEN: Duration = Duration::from_millis(250);
/// Until a merge that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// More than one writer leaves behind; a limit for one that never ends.
const LIMIT: usize = 8;

/// The replaced files.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    files: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    path: PathBuf,
    file: File,
    seen: Vec<u8>,
    since: Instant,
    /// When a change was seen that was not merged yet.
    changed: Option<Instant>,
}

impl Replaced {
    /// Holds a file that was just replaced.
    pub(super) fn hold(&mut self, conf: ConfFile, now: Instant) {
        if self.files.len() == LIMIT {
            self.files.remove(0);
        }
        let ConfFile { path, file, bytes, .. } = conf;
        self.files.push(Held { path, file, seen: bytes, since: now, changed: None });
    }

    /// Looks at the files; gives the path and the content of one that was written to after it was replaced, is quiet
    /// now, and is a list.
    pub(super) fn look(&mut self, now: Instant) -> Option<(PathBuf, Vec<u8>)> {
        self.files.retain(|held| now < held.since + HELD);
        for held in &mut self.files {
            match content(&held.file) {
                Some(bytes) if bytes != held.seen => {
                    held.seen = bytes;
                    held.since = now;
                    held.changed = Some(now);
                }
                _ => {}
            }
            if held.changed.is_some_and(|changed| now >= changed + QUIET) {
                held.changed = None;
                if conflist::describe(&held.seen).is_err() {
                    // Half a list; the other half is another change.
                    continue;
                }
                return Some((held.path.clone(), held.seen.clone()));
            }
        }
        None
    }

    /// What was given of `path` could not be merged: gives it again, a little later.
    pub(super) fn give_again(&mut self, path: &Path, now: Instant) {
        for held in self.files.iter_mut().filter(|held| held.path == path && held.changed.is_none()) {
            held.changed = Some(now + AGAIN);
        }
    }

    /// Forgets the files that `path` had: somebody else wrote it since, so they are old.
    pub(super) fn forget(&mut self, path: &Path) {
        self.files.retain(|held| held.path != path);
    }

    /// When to look again.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        let newest = self.files.iter().map(|held| held.since).max()?;
        Some(now + if now < newest + RECENT { QUIET } else { NOW_AND_THEN })
    }
}

#[cfg(test)]
mod tests;
