//! Small files of the agent's own beside `node.json`: what it must know again after a restart.

use std::path::PathBuf;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize};

use crate::files::{read_file, write_json};
use crate::{StateError, Store};

/// What one such file holds. The file bears the version beside the content's own fields.
pub trait Document: Serialize + DeserializeOwned {
    /// The file's name in the state directory.
    const FILE: &'static str;
    /// What it is, in words.
    const WHAT: &'static str;
    /// The version of the format that this code writes and reads.
    const VERSION: u32;
}

#[derive(Serialize)]
struct Versioned<'a, D> {
    version: u32,
    #[serde(flatten)]
    content: &'a D,
}

/// Only the part that tells whether the rest can be understood.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Store {
    /// Where a document is.
    pub fn document_path<D: Document>(&self) -> PathBuf {
        self.dir().join(D::FILE)
    }

    /// Writes a document, in one step.
    pub fn write_document<D: Document>(&self, content: &D) -> Result<(), StateError> {
        self.create()?;
        write_json(&self.document_path::<D>(), D::WHAT, &Versioned { version: D::VERSION, content })
    }

    /// Reads a document; `None` when there is none.
    ///
    /// # Errors
    /// [`StateError::Malformed`] also when it is of another version.
    pub fn read_document<D: Document>(&self) -> Result<Option<D>, StateError> {
        let path = self.document_path::<D>();
        let Some(bytes) = read_file(&path)? else { return Ok(None) };
        let malformed = |source| StateError::malformed(D::WHAT, &path)(source);
        let Version { version } = serde_json::from_slice(&bytes).map_err(malformed)?;
        if version != D::VERSION {
            let problem = format!("format version {version}, expected {}", D::VERSION);
            return Err(malformed(serde_json::Error::custom(problem)));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(malformed)
    }
}

#[cfg(test)]
mod tests;
