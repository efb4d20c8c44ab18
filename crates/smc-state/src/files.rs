//! Single files of the state directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{StateError, Text, atomic};

pub(crate) fn write_json<T: serde::Serialize>(
    path: &Path,
    what: &'static str,
    value: &T,
) -> Result<(), StateError> {
    let mut text = Text::default();
    serde_json::to_writer(&mut text, value).map_err(StateError::malformed(what, path))?;
    atomic::write(path, &text.into_line())
}

pub(crate) fn remove_file(path: PathBuf) -> Result<(), StateError> {
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StateError::Io { action: "remove", path, source: error })
        }
        _ => Ok(()),
    }
}

pub(crate) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StateError::Io { action: "read", path: path.to_owned(), source }),
    }
}
