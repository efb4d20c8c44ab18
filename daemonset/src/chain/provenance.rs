//! What of the chain is ours, so that nothing else is ever removed.
//!
//! Kept on a file system that survives a reboot, as the configuration does. It is written before an entry is put in
//! and after one was taken out: an agent killed in between finishes what the record says.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Problem;
use crate::chain::replace::{Access, replace, sweep};

/// Where the record is unless a flag says otherwise.
pub const DEFAULT_PROVENANCE_DIR: &str = "/var/lib/kube-smc";

const VERSION: u32 = 1;
const LOCK: &str = "chain.lock";
/// Longest wait for another process of ours, which holds the lock for some milliseconds.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// What is ours in one configuration directory. Paths are relative to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ours {
    /// Lists in which the entry is ours.
    pub lists: BTreeMap<PathBuf, Since>,
    /// Drop-ins that are ours.
    pub drop_ins: BTreeMap<PathBuf, DropIn>,
}

impl Ours {
    pub(super) fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.drop_ins.is_empty()
    }
}

/// When an entry was first put there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Since {
    /// Seconds since 1970.
    pub since: u64,
}

/// About a drop-in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DropIn {
    /// Seconds since 1970.
    pub since: u64,
    /// Whether its directory was made for it.
    pub made_directory: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    directories: BTreeMap<PathBuf, Ours>,
}

/// The record, with the lock that only one process of ours holds at a time.
#[derive(Debug)]
pub(super) struct Provenance {
    path: PathBuf,
    conf_dir: PathBuf,
    document: Document,
    _lock: File,
}

impl Provenance {
    /// Waits for other processes of ours and reads what is ours in `conf_dir`.
    pub(super) fn open(dir: &Path, conf_dir: &Path) -> Result<Self, Problem> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Problem::io("make", dir))?;
        let lock = lock(&dir.join(LOCK))?;
        let path = dir.join("chain.json");
        let document = match fs::read(&path) {
            Ok(bytes) => parse(&bytes).map_err(|source| Problem::Record { path: path.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Document { version: VERSION, directories: BTreeMap::new() }
            }
            Err(source) => return Err(Problem::Io { action: "read", path, source }),
        };
        Ok(Self { path, conf_dir: conf_dir.to_owned(), document, _lock: lock })
    }

    /// What is ours.
    pub(super) fn ours(&self) -> Ours {
        self.document.directories.get(&self.conf_dir).cloned().unwrap_or_default()
    }

    /// The other directories in which something is ours.
    pub(super) fn elsewhere(&self) -> Vec<PathBuf> {
        self.document.directories.keys().filter(|dir| **dir != self.conf_dir).cloned().collect()
    }

    /// Where the record is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Records what is ours now, if that is not what the record says.
    pub(super) fn record(&mut self, ours: Ours) -> Result<(), Problem> {
        if ours == self.ours() {
            return Ok(());
        }
        if ours.is_empty() {
            self.document.directories.remove(&self.conf_dir);
        } else {
            self.document.directories.insert(self.conf_dir.clone(), ours);
        }
        let bytes = serde_json::to_vec_pretty(&self.document)
            .map_err(|source| Problem::Record { path: self.path.clone(), source })?;
        replace(&self.path, &bytes, Access::own(0o600)).map_err(Problem::io("write", &self.path))
    }

    /// Removes the record, its lock and its directory, if nothing is left to remember and nobody else uses them.
    pub(super) fn finish(self) -> Result<(), Problem> {
        if !self.document.directories.is_empty() {
            return Ok(());
        }
        for path in [&self.path, &self.path.with_file_name(LOCK)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Problem::io("remove", path)(error));
                }
                _ => {}
            }
        }
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        // Other things of the agent may be there.
        let _ = fs::remove_dir(dir);
        Ok(())
    }

    /// Removes what a killed process of ours left beside the record.
    pub(super) fn sweep(&self) -> Result<usize, Problem> {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        sweep(dir).map_err(Problem::io("clean up", dir))
    }
}

fn parse(bytes: &[u8]) -> Result<Document, serde_json::Error> {
    use serde::de::Error;
    let document: Document = serde_json::from_slice(bytes)?;
    if document.version != VERSION {
        return Err(serde_json::Error::custom(format!(
            "format version {}, expected {VERSION}",
            document.version
        )));
    }
    Ok(document)
}

fn lock(path: &Path) -> Result<File, Problem> {
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        let file = File::options().create(true).truncate(false).write(true).open(path);
        let file = file.map_err(Problem::io("open", path))?;
        match file.try_lock() {
            // Removing everything removes the lock as well: then it is one that the next process will not find.
            Ok(()) if is_named(&file, path) => return Ok(file),
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(fs::TryLockError::WouldBlock) => return Err(Problem::Busy { path: path.to_owned() }),
            Err(fs::TryLockError::Error(source)) => {
                return Err(Problem::Io { action: "lock", path: path.to_owned(), source });
            }
        }
    }
}

fn is_named(file: &File, path: &Path) -> bool {
    let identity = |file: fs::Metadata| (file.dev(), file.ino());
    let named = fs::metadata(path).ok().map(identity);
    named.is_some() && named == file.metadata().ok().map(identity)
}

#[cfg(test)]
mod tests;
