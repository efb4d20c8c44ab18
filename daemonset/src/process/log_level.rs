//! The log level while the agent runs: the file `log-level` in the state directory.
//!
//! ```text
//! smc-agent log-level debug                # also by kubectl exec
//! smc-agent log-level info,smc_agent=debug
//! smc-agent log-level reset                # back to what --log-level says
//! ```
//!
//! A file, because only root of the node can write it: an HTTP path on the loopback could be used by every pod with
//! `hostNetwork`, and a signal cannot say which level. It outlives the agent's restarts, which is what one wants while
//! looking for the reason of restarts, and ends with a reboot. The agent looks at it every few seconds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use smc_surfaces::Subject;

use crate::board::Board;
use crate::process::logging::{LevelSetter, LoggingError, parse_level};

/// The file's name in the state directory.
pub const FILE: &str = "log-level";
/// No filter is longer.
const LONGEST: u64 = 4096;
const SUBJECT: Subject = Subject::LogLevel;

/// Follows the file.
#[derive(Debug)]
pub struct LogLevel {
    file: PathBuf,
    setter: LevelSetter,
    /// What `--log-level` says.
    usual: String,
    /// What the file said last time.
    wanted: Option<String>,
    /// What is wrong with that.
    refused: Option<String>,
}

impl LogLevel {
    /// Will follow the file in `state_dir`.
    pub fn new(state_dir: &Path, setter: LevelSetter, usual: String) -> Self {
        Self { file: state_dir.join(FILE), setter, usual, wanted: None, refused: None }
    }

    /// Looks at the file and sets the level when it changed. What cannot be used is told, and the level stays.
    pub fn look(&mut self, board: &Board) {
        match read(&self.file) {
            Ok(wanted) => {
                if wanted != self.wanted {
                    self.set(wanted);
                }
                board.problem(SUBJECT, self.refused.clone());
            }
            Err(error) => {
                board.problem(SUBJECT, Some(format!("cannot read {}: {error}", self.file.display())));
            }
        }
    }

    fn set(&mut self, wanted: Option<String>) {
        let level = wanted.as_ref().unwrap_or(&self.usual);
        match self.setter.set(level) {
            Ok(()) => {
                self.refused = None;
                tracing::info!(level, "log level changed");
            }
            Err(error) => self.refused = Some(format!("{}: {error}", self.file.display())),
        }
        self.wanted = wanted;
    }
}

fn read(file: &Path) -> io::Result<Option<String>> {
    let metadata = match fs::symlink_metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Err(io::Error::other("it is no small regular file"));
    }
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|level| !level.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why the file was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The level is none.
    #[error(transparent)]
    Level(#[from] LoggingError),
    /// The file cannot be written or removed.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Asks the agent that runs with `state_dir` for a level; `None` for what its `--log-level` says.
pub fn ask(state_dir: &Path, level: Option<&str>) -> Result<(), WriteError> {
    let path = state_dir.join(FILE);
    let written = match level {
        None => match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        },
        Some(level) => {
            parse_level(level)?;
            // Replaced in one step: the agent never reads half a filter.
            let temporary = state_dir.join(format!("{FILE}.{}.tmp", std::process::id()));
            fs::write(&temporary, format!("{level}\n")).and_then(|()| fs::rename(&temporary, &path))
        }
    };
    written.map_err(|source| WriteError::Write { path, source })
}

#[cfg(test)]
mod tests;
