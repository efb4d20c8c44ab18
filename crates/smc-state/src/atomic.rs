//! Replace a file in one step.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::StateError;

/// Writes `content` to a temporary file beside `path` and renames it over `path`. Not synced: the state
/// directory is on a tmpfs.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), StateError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = Path::new(&name);
    let written = fs::File::create(temporary)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::rename(temporary, path));
    written.map_err(|source| {
        // The write's error is the one to report; a leftover temporary file is swept with the directory.
        let _ = fs::remove_file(temporary);
        StateError::Io { action: "write", path: path.to_owned(), source }
    })
}
