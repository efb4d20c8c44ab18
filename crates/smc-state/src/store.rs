//! The state directory.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use nix::unistd::{AccessFlags, access};
use smc_model::{NodeFacts, Reason};

use crate::files::{remove_file, write_json};
use crate::reading::read_record;
use crate::record_cache::{self, RecordCache};
use crate::{AttachmentId, Lock, NODE_FILE_VERSION, NodeFile, Record, StateError, atomic, deleted};

/// Where the state is unless the chain entry or a flag says otherwise.
pub const DEFAULT_STATE_DIR: &str = "/run/kube-smc";
/// The HTTP header in which the agent names its own pod, by UID.
pub const AGENT_POD_HEADER: &str = "kube-smc-pod";

/// What node.json needs, and what it never needs.
const NODE_FILE_ROOM: usize = 4 * 1024;
const NODE_FILE_LIMIT: u64 = 1024 * 1024;

/// The state directory; made when first written to.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    /// The node's own, of a store beside it.
    node: Option<Box<Store>>,
}

/// What is in the record directory.
#[derive(Debug, Default)]
pub struct Listing {
    /// Every record that could be read.
    pub records: Vec<Arc<Record>>,
    /// What could not be.
    pub errors: Vec<StateError>,
    /// Attachments whose DEL could not wait, see [`Store::mark_deleted`].
    pub deleted: Vec<AttachmentId>,
}

impl Store {
    /// A store in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), node: None }
    }

    /// A store in `dir` for attachments that are not the agent's to look after, on the node whose store is `node`. The host has
    /// one table of addresses: its lock is the node's, and what the node's pods own is others'.
    pub fn beside(node: &Self, dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), node: Some(Box::new(node.clone())) }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Path of node.json.
    pub fn node_path(&self) -> PathBuf {
        self.dir.join("node.json")
    }

    /// The directory of the records.
    pub fn pods_dir(&self) -> PathBuf {
        self.dir.join("pods")
    }

    /// The directory of self-tests' stores, see [`Self::beside`].
    pub fn selftests_dir(&self) -> PathBuf {
        self.dir.join("selftest")
    }

    pub(crate) fn locks_dir(&self) -> PathBuf {
        self.dir.join("locks")
    }

    pub(crate) fn lock_path(&self, attachment: &AttachmentId) -> PathBuf {
        self.locks_dir().join(attachment.to_string())
    }

    pub(crate) fn record_path(&self, attachment: &AttachmentId) -> PathBuf {
        self.pods_dir().join(format!("{attachment}.json"))
    }

    /// Makes the directories, readable by root only: records name pods and their addresses.
    pub fn create(&self) -> Result<(), StateError> {
        use std::os::unix::fs::DirBuilderExt;
        for dir in [self.pods_dir(), self.locks_dir()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .map_err(StateError::io("create directory", &dir))?;
        }
        Ok(())
    }

    /// The facts that the agent published, if they are of this boot.
    ///
    /// # Errors
    /// The [`Reason`] for which a pod cannot be accelerated without them.
    pub fn node_facts(&self, boot_id: &str) -> Result<NodeFacts, Reason> {
        let path = self.node_path();
        let shown = path.display().to_string();
        let unusable = |problem: String| Reason::NodeFileUnusable { path: shown.clone(), problem };
        // Without asking for its length first: a few system calls less for every pod.
        let mut bytes = Vec::with_capacity(NODE_FILE_ROOM);
        let read = File::open(&path).and_then(|file| file.take(NODE_FILE_LIMIT).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Reason::AgentNotReady { path: shown });
            }
            Err(error) => return Err(unusable(error.to_string())),
        }
        let file: NodeFile = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
        if file.version != NODE_FILE_VERSION {
            return Err(unusable(format!("format version {}, expected {NODE_FILE_VERSION}", file.version)));
        }
        if file.boot_id != boot_id {
            return Err(unusable("it was written before the last reboot".to_owned()));
        }
        Ok(file.facts)
    }

    /// Publishes the node's facts.
    pub fn write_node(&self, file: &NodeFile) -> Result<(), StateError> {
        self.create()?;
        write_json(&self.node_path(), "node file", file)
    }

    /// Leaves word that kube-smc was uninstalled from this node: the plugin hands every pod through until an agent
    /// starts, or the node reboots.
    pub fn mark_uninstalled(&self) -> Result<(), StateError> {
        self.create()?;
        atomic::write(&self.uninstalled_path(), b"kube-smc was uninstalled; starting smc-agent ends this\n")
    }

    /// Whether kube-smc was uninstalled from this node.
    pub fn is_uninstalled(&self) -> bool {
        // Rust's first call of statx(2) is followed by another when it fails, as this one nearly always does.
        access(&self.uninstalled_path(), AccessFlags::F_OK).is_ok()
    }

    /// Takes that word back; fine when there is none.
    pub fn unmark_uninstalled(&self) -> Result<(), StateError> {
        remove_file(self.uninstalled_path())
    }

    fn uninstalled_path(&self) -> PathBuf {
        self.dir.join("uninstalled")
    }

    /// Removes everything but the word that kube-smc was uninstalled.
    pub fn clear(&self) -> Result<(), StateError> {
        let entries = fs::read_dir(&self.dir).map_err(StateError::io("list", &self.dir))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path == self.uninstalled_path() {
                continue;
            }
            let is_dir = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
            let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(StateError::io("remove", &path))?;
        }
        Ok(())
    }

    /// Whether anything here speaks of an attachment: its record, its lock, or the mark of its DEL.
    pub fn knows(&self, attachment: &AttachmentId) -> bool {
        let paths = [self.record_path(attachment), self.lock_path(attachment), self.deleted_path(attachment)];
        paths.iter().any(|path| path.symlink_metadata().is_ok())
    }

    /// The record of an attachment, if there is one. What another version wrote in words that this one does not know is read
    /// for what the attachment owns, without a verdict.
    ///
    /// # Errors
    /// [`StateError::Malformed`] also when it is another attachment's.
    pub fn read(&self, attachment: &AttachmentId) -> Result<Option<Record>, StateError> {
        read_record(&self.record_path(attachment))
    }

    /// Writes an attachment's record. The caller holds the attachment's lock.
    pub fn write(&self, record: &Record) -> Result<(), StateError> {
        let path = self.record_path(&record.attachment);
        match write_json(&path, "record", record) {
            Err(StateError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.create()?;
                write_json(&path, "record", record)
            }
            written => written,
        }
    }

    /// Removes an attachment's record and its lock file. The caller holds the attachment's lock.
    pub fn remove(&self, attachment: &AttachmentId) -> Result<(), StateError> {
        remove_file(self.record_path(attachment))?;
        remove_file(self.lock_path(attachment))
    }

    /// Every record. One that cannot be read does not hide the others.
    pub fn list(&self) -> Listing {
        self.list_again(&RecordCache::default())
    }

    /// As [`Store::list`], reading only the records that were written since `before` was filled.
    pub fn list_again(&self, before: &RecordCache) -> Listing {
        let mut now = before.lock();
        let mut known = std::mem::take(&mut *now);
        let dir = self.pods_dir();
        let mut listing = Listing::default();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    listing.errors.push(StateError::Io { action: "list", path: dir, source: error });
                }
                return listing;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            match path.extension().and_then(OsStr::to_str) {
                Some("json") => match record_cache::record(&path, entry.file_name(), &mut known, &mut now) {
                    Ok(record) => listing.records.extend(record),
                    Err(error) => listing.errors.push(error),
                },
                Some(deleted::EXTENSION) => match deleted::read(&path) {
                    Ok(attachment) => listing.deleted.extend(attachment),
                    Err(error) => listing.errors.push(error),
                },
                _ => {}
            }
        }
        listing
    }

    /// The addresses that living attachments other than `attachment` hold in the host's namespace. When a record
    /// cannot be read nobody can tell whose it is: that is an error, so that nothing is taken from a living pod, until
    /// the record is set aside (see [`Store::read_or_quarantine`]). Only what was written since `before` was filled is read.
    pub fn addresses_of_others(
        &self,
        attachment: &AttachmentId,
        before: &RecordCache,
    ) -> Result<BTreeSet<IpAddr>, StateError> {
        let listing = self.list_again(before);
        let of_record =
            |error: &StateError| !matches!(error, StateError::Malformed { what: deleted::WHAT, .. });
        if let Some(error) = listing.errors.into_iter().find(of_record) {
            return Err(error);
        }
        let others = listing.records.into_iter().filter(|r| r.is_live() && r.attachment != *attachment);
        let mut addresses: BTreeSet<IpAddr> =
            others.flat_map(|record| record.owned.all_addresses()).collect();
        if let Some(node) = &self.node {
            addresses.extend(node.addresses_of_others(attachment, &RecordCache::default())?);
        }
        Ok(addresses)
    }

    /// The lock around observe, apply and record of one attachment.
    pub fn lock(&self, attachment: &AttachmentId, deadline: Instant) -> Result<Lock, StateError> {
        self.lock_file(&self.lock_path(attachment), deadline)
    }

    /// The lock around "who else owns this address" and its change in the host's namespace: taken by whoever adds
    /// or removes addresses, inside the attachment's lock, for as short as possible.
    pub fn lock_addresses(&self, deadline: Instant) -> Result<Lock, StateError> {
        let node = self.node.as_deref().unwrap_or(self);
        node.lock_file(&node.locks_dir().join(".addresses"), deadline)
    }

    /// Where the lock of [`Store::lock_node`] is. Whoever holds it may write there who that is.
    pub fn node_lock_path(&self) -> PathBuf {
        self.dir.join("agent.lock")
    }

    /// The socket at which the agent answers, in HTTP. Whoever holds [`Store::lock_node`] may make it.
    pub fn agent_socket_path(&self) -> PathBuf {
        self.dir.join("agent.sock")
    }

    /// The lock of the one process that changes the whole node: the agent for its life, or what undoes its work. The
    /// plugin never takes it.
    ///
    /// # Errors
    /// [`StateError::Locked`] at once when somebody has it.
    pub fn lock_node(&self) -> Result<Lock, StateError> {
        self.lock_file(&self.node_lock_path(), Instant::now())
    }

    /// The directories are made when they are found missing: nearly always they are there.
    fn lock_file(&self, path: &Path, deadline: Instant) -> Result<Lock, StateError> {
        match Lock::take(path, deadline) {
            Err(StateError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.create()?;
                Lock::take(path, deadline)
            }
            taken => taken,
        }
    }
}

#[cfg(test)]
mod tests;
