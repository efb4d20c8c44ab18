//! A rig's directory on this machine: what later commands need to find and to end it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::options::{RigName, UpOptions};
use super::session::Token;
use super::{RigError, processes};
use crate::layout::{NodeNumber, TOKEN_FILE};

/// This repository, as it was when the program was built.
pub fn repository() -> &'static Path {
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_directory.ancestors().nth(2).unwrap_or(crate_directory)
}

/// Contents of `rig.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RigState {
    /// What was asked for, and what a node that is started again is made of.
    pub options: UpOptions,
    /// In the order of their numbers.
    pub nodes: Vec<NodeState>,
}

/// One node in `rig.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// 1, 2 or 3.
    pub number: u8,
    /// The emulator's process id.
    pub pid: u32,
}

/// Where the state of one rig is: `target/rig/<name>` in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDirectory {
    path: PathBuf,
}

/// Held while a rig is being brought up, so that nobody takes its directory for a dead rig's.
#[derive(Debug)]
pub(crate) struct Claim {
    _lock: Flock<File>,
}

impl StateDirectory {
    /// The directory of the rig of this name, whether it exists or not.
    pub fn of(name: &RigName) -> Self {
        Self { path: Self::parent().join(name.as_str()) }
    }

    /// The directory of all rigs.
    pub fn parent() -> PathBuf {
        repository().join("target/rig")
    }

    /// The names of all rigs that have a directory, up or not.
    pub fn names() -> Result<Vec<RigName>, RigError> {
        let parent = Self::parent();
        let entries = match fs::read_dir(&parent) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(RigError::file("list", parent)(error)),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut names: Vec<RigName> = names.collect();
        names.sort();
        Ok(names)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a node printed on its serial console.
    pub fn serial_log(&self, node: NodeNumber) -> PathBuf {
        self.path.join(format!("node{}.serial.log", node.get()))
    }

    /// What the emulator itself printed.
    pub fn emulator_log(&self, node: NodeNumber) -> PathBuf {
        self.path.join(format!("node{}.qemu.log", node.get()))
    }

    /// Keeps what a node printed before, under another name.
    pub(crate) fn keep_logs(&self, node: NodeNumber) -> Result<(), RigError> {
        for log in [self.serial_log(node), self.emulator_log(node)] {
            if log.exists() {
                let kept = log.with_extension("before.log");
                fs::rename(&log, kept).map_err(RigError::file("rename", log))?;
            }
        }
        Ok(())
    }

    /// A node's disk.
    pub(crate) fn disk(&self, node: NodeNumber) -> PathBuf {
        self.path.join(format!("node{}.disk", node.get()))
    }

    /// Makes the directory anew, with a fresh token; what a dead rig left is removed.
    pub(crate) fn claim(&self, name: &RigName) -> Result<Claim, RigError> {
        let parent = Self::parent();
        fs::create_dir_all(&parent).map_err(RigError::file("make the directory", &parent))?;
        let _one_claim_at_a_time = lock(&parent, FlockArg::LockExclusive)?;
        if self.path.exists() {
            let free = lock(&self.path, FlockArg::LockExclusiveNonblock).is_ok();
            if !free || !processes::of_rig(&self.path).is_empty() {
                return Err(RigError::AlreadyUp { name: name.to_string() });
            }
            self.remove()?;
        }
        // Only this user may read the token, and with it become root in the nodes.
        let made = fs::DirBuilder::new().mode(0o700).create(&self.path);
        made.map_err(RigError::file("make the directory", &self.path))?;
        let claim = Claim { _lock: lock(&self.path, FlockArg::LockExclusiveNonblock)? };
        self.write_token()?;
        Ok(claim)
    }

    /// The secret that sessions with this rig's nodes present.
    pub(crate) fn token(&self) -> Result<Token, RigError> {
        let path = self.path.join(TOKEN_FILE);
        fs::read_to_string(&path).map(Token).map_err(RigError::file("read", path))
    }

    fn write_token(&self) -> Result<(), RigError> {
        let path = self.path.join(TOKEN_FILE);
        let random = File::open("/dev/urandom").and_then(|mut source| {
            let mut bytes = [0; 16];
            io::Read::read_exact(&mut source, &mut bytes)?;
            Ok(u128::from_be_bytes(bytes))
        });
        let random = random.map_err(RigError::file("read", "/dev/urandom"))?;
        let mut file = fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(RigError::file("create", &path))?;
        write!(file, "{random:032x}").map_err(RigError::file("write", path))
    }

    /// Reads `rig.json`.
    pub fn read(&self, name: &RigName) -> Result<RigState, RigError> {
        let path = self.state_file();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| RigError::State { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(RigError::NotUp { name: name.to_string() })
            }
            Err(error) => Err(RigError::file("read", path)(error)),
        }
    }

    /// Writes `rig.json`; readers see the old content or the new.
    pub(crate) fn write(&self, state: &RigState) -> Result<(), RigError> {
        let path = self.state_file();
        let new = self.path.join("rig.json.new");
        let write_error = |error: io::Error| RigError::file("write", &path)(error);
        let bytes = serde_json::to_vec_pretty(state).map_err(|error| write_error(error.into()))?;
        fs::write(&new, bytes).map_err(write_error)?;
        fs::rename(&new, &path).map_err(write_error)
    }

    /// Removes the directory and all in it; nothing happens when there is none.
    pub(crate) fn remove(&self) -> Result<(), RigError> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(RigError::file("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    fn state_file(&self) -> PathBuf {
        self.path.join("rig.json")
    }

    #[cfg(test)]
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }
}

fn lock(directory: &Path, how: FlockArg) -> Result<Flock<File>, RigError> {
    let file = File::open(directory).map_err(RigError::file("open", directory))?;
    Flock::lock(file, how).map_err(|(_, errno)| RigError::file("lock", directory)(errno.into()))
}

#[cfg(test)]
mod tests;
