//! The mark of a DEL that could not wait for whoever works on the attachment.

use std::path::{Path, PathBuf};

use crate::files::{read_file, remove_file, write_json};
use crate::{AttachmentId, StateError, Store};

/// The extension of a mark's file name.
pub(crate) const EXTENSION: &str = "deleted";
/// What the file is, in error messages.
pub(crate) const WHAT: &str = "mark of a deletion";

impl Store {
    pub(crate) fn deleted_path(&self, attachment: &AttachmentId) -> PathBuf {
        self.pods_dir().join(format!("{attachment}.{EXTENSION}"))
    }

    /// Leaves word that an attachment was deleted by somebody who did not get its lock. Whoever holds the lock, or
    /// else the agent's sweep, ends the attachment then.
    pub fn mark_deleted(&self, attachment: &AttachmentId) -> Result<(), StateError> {
        self.create()?;
        write_json(&self.deleted_path(attachment), WHAT, attachment)
    }

    /// Whether an attachment is marked as deleted.
    pub fn is_marked_deleted(&self, attachment: &AttachmentId) -> bool {
        self.deleted_path(attachment).exists()
    }

    /// Removes the mark; fine when there is none. The caller holds the attachment's lock.
    pub fn unmark_deleted(&self, attachment: &AttachmentId) -> Result<(), StateError> {
        remove_file(self.deleted_path(attachment))
    }
}

/// Whose mark a file is; `None` when it is gone.
pub(crate) fn read(path: &Path) -> Result<Option<AttachmentId>, StateError> {
    let Some(bytes) = read_file(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(StateError::malformed(WHAT, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecordCache;

    #[test]
    fn a_mark_is_listed_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("state"));
        let attachment = AttachmentId::new("a", "eth0").unwrap();
        assert!(!store.knows(&attachment) && !store.is_marked_deleted(&attachment));
        store.mark_deleted(&attachment).unwrap();
        assert!(store.knows(&attachment) && store.is_marked_deleted(&attachment));
        assert_eq!(store.list().deleted, std::slice::from_ref(&attachment));
        store.unmark_deleted(&attachment).unwrap();
        store.unmark_deleted(&attachment).unwrap();
        assert!(store.list().deleted.is_empty() && !store.knows(&attachment));
    }

    #[test]
    fn a_damaged_mark_is_an_error_that_keeps_no_address() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        store.create().unwrap();
        std::fs::write(store.pods_dir().join("a-eth0.deleted"), "").unwrap();
        assert_eq!(store.list().errors.len(), 1);
        assert!(
            store
                .addresses_of_others(&AttachmentId::new("b", "eth0").unwrap(), &RecordCache::default())
                .is_ok()
        );
    }
}
