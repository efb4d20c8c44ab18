//! Advisory locks on files that nobody reads.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::StateError;

/// How often a held lock is tried again.
const RETRY: Duration = Duration::from_millis(5);

/// A held flock; released when dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Takes the lock on `path`, waiting until `deadline` at most.
    pub(crate) fn take(path: &Path, deadline: Instant) -> Result<Self, StateError> {
        let io = StateError::io;
        let mut file = Self::open(path)?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) => {
                    // The sweeper may have removed the file between our open and our lock: then the lock is on a
                    // file that the next process will not find. Nobody gives these files a second name.
                    if held.metadata().map_err(io("examine", path))?.nlink() > 0 {
                        return Ok(Self { _file: held });
                    }
                    file = Self::open(path)?;
                }
                Err((unlocked, Errno::EWOULDBLOCK | Errno::EINTR)) => {
                    if Instant::now() >= deadline {
                        return Err(StateError::Locked { path: path.to_owned() });
                    }
                    thread::sleep(RETRY);
                    file = unlocked;
                }
                Err((_, errno)) => {
                    return Err(StateError::Io {
                        action: "lock",
                        path: path.to_owned(),
                        source: errno.into(),
                    });
                }
            }
        }
    }

    fn open(path: &Path) -> Result<File, StateError> {
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(StateError::io("open", path))
    }
}
