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
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::process::logging::tests::Captured;
    use crate::testing::test_values::board;

    fn follow(usual: &str, steps: impl FnOnce(&Path, &mut LogLevel)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let captured = Captured::default();
        let (subscriber, setter) = captured.subscriber(usual);
        tracing::subscriber::with_default(subscriber, || {
            steps(dir.path(), &mut LogLevel::new(dir.path(), setter, usual.to_owned()));
        });
        captured.text()
    }

    #[test]
    fn the_file_raises_and_its_end_lowers_the_level_of_a_running_agent() {
        let board = board();
        let log = follow("info", |dir, level| {
            level.look(&board);
            tracing::debug!("before");
            ask(dir, Some("debug")).unwrap();
            level.look(&board);
            tracing::debug!("while it is wanted");
            ask(dir, None).unwrap();
            ask(dir, None).unwrap();
            level.look(&board);
            tracing::debug!("after");
        });
        assert!(log.contains("while it is wanted"), "{log}");
        assert!(!log.contains("before") && !log.contains("after"), "{log}");
        assert_eq!(log.matches("log level changed").count(), 2, "{log}");
    }

    #[test]
    fn what_is_no_level_changes_nothing_and_is_told_once() {
        let board = board();
        let log = follow("info", |dir, level| {
            for content in [&b"smc_agent=loud"[..], b"\xff\xfe", &[b'a'; 5000]] {
                fs::write(dir.join(FILE), content).unwrap();
                for _ in 0..10 {
                    level.look(&board);
                }
            }
            fs::remove_file(dir.join(FILE)).unwrap();
            symlink("/dev/zero", dir.join(FILE)).unwrap();
            level.look(&board);
            tracing::info!("still here");
            assert_eq!(board.read(|view| view.problems.iter().count()), 1);
        });
        assert!(log.contains("still here"), "{log}");
        assert!(log.matches("WARN").count() <= 4, "{log}");
    }

    #[test]
    fn who_asks_for_what_is_no_level_is_told_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(ask(dir.path(), Some("smc_agent=loud")), Err(WriteError::Level(_))));
        assert!(!dir.path().join(FILE).exists());
        let error = ask(&dir.path().join("none"), Some("debug")).unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
    }
}
