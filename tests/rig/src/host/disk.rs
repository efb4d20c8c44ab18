//! A node's disk: what a reboot leaves of it.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;

use super::RigError;

/// Sparse: it takes as much as is written.
const BYTES: u64 = 16 << 30;

/// Makes an empty disk; one that is there is made anew.
pub(crate) fn make(path: &Path) -> Result<(), RigError> {
    let file = OpenOptions::new().create(true).write(true).truncate(true).open(path);
    let sized = file.and_then(|file| file.set_len(BYTES));
    sized.map_err(RigError::file("make the disk", path))?;
    // The journal is what a node whose power goes relies on.
    let options = ["-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-J", "size=16"];
    let output = Command::new("mkfs.ext4").args(options).arg(path).output();
    let output = output.map_err(|source| RigError::Start { program: "mkfs.ext4".to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(RigError::Program { program: "mkfs.ext4".to_owned(), stderr })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_new_disk_is_large_and_takes_little() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        make(&path).unwrap();
        make(&path).unwrap();
        let metadata = path.metadata().unwrap();
        assert_eq!(metadata.len(), BYTES);
        assert!(metadata.blocks() * 512 < 64 << 20, "{} blocks", metadata.blocks());
    }
}
