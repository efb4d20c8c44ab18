//! Addresses of a node's pods: one file per address, named after it and holding its owner.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// Why no address was given or released.
#[derive(Debug, thiserror::Error)]
pub enum IpamError {
    /// A file operation failed.
    #[error("{action} {path:?}")]
    File {
        /// What was attempted.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Every address of the node is in use.
    #[error("all pod addresses of this node are in use")]
    Exhausted,
    /// The wanted address belongs to another container.
    #[error("{address} belongs to container {owner}")]
    Taken {
        /// The wanted address.
        address: Ipv4Addr,
        /// The container that has it.
        owner: String,
    },
    /// The wanted address is not one of the node's.
    #[error("{0} is not an address for pods of this node")]
    Foreign(Ipv4Addr),
}

/// The addresses recorded in one directory.
#[derive(Debug)]
pub struct Ipam {
    directory: PathBuf,
    pool: Vec<Ipv4Addr>,
}

impl Ipam {
    /// Hands out addresses of `pool`; `directory` is made when it is needed.
    pub fn new(directory: impl Into<PathBuf>, pool: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        Self { directory: directory.into(), pool: pool.into_iter().collect() }
    }

    /// Gives `owner` the wanted address, or one of the pool; the address it has already when it has one.
    ///
    /// Addresses go round: one that was just released is the last to be given again.
    pub fn allocate(&self, owner: &str, wanted: Option<Ipv4Addr>) -> Result<Ipv4Addr, IpamError> {
        let _lock = self.lock()?;
        if let Some(address) = self.address_of(owner) {
            return Ok(address);
        }
        let address = match wanted {
            Some(address) if !self.pool.contains(&address) => return Err(IpamError::Foreign(address)),
            Some(address) => match self.owner(address) {
                Some(owner) => return Err(IpamError::Taken { address, owner }),
                None => address,
            },
            None => self.next_free()?,
        };
        self.write(&address.to_string(), owner)?;
        self.write("last", &address.to_string())?;
        Ok(address)
    }

    /// Takes the address back from `owner`; nothing happens when it has none.
    pub fn release(&self, owner: &str) -> Result<(), IpamError> {
        let _lock = self.lock()?;
        let Some(address) = self.address_of(owner) else { return Ok(()) };
        let path = self.directory.join(address.to_string());
        fs::remove_file(&path).map_err(|source| IpamError::File { action: "remove", path, source })
    }

    fn next_free(&self) -> Result<Ipv4Addr, IpamError> {
        let last = fs::read_to_string(self.directory.join("last")).ok();
        let last = last.and_then(|text| text.parse::<Ipv4Addr>().ok());
        let after = self.pool.iter().position(|address| Some(*address) == last).map_or(0, |index| index + 1);
        let candidates = self.pool.iter().cycle().skip(after).take(self.pool.len());
        candidates.copied().find(|address| self.owner(*address).is_none()).ok_or(IpamError::Exhausted)
    }

    fn owner(&self, address: Ipv4Addr) -> Option<String> {
        fs::read_to_string(self.directory.join(address.to_string())).ok()
    }

    fn address_of(&self, owner: &str) -> Option<Ipv4Addr> {
        self.pool.iter().copied().find(|address| self.owner(*address).as_deref() == Some(owner))
    }

    fn write(&self, name: &str, content: &str) -> Result<(), IpamError> {
        let path = self.directory.join(name);
        fs::write(&path, content).map_err(|source| IpamError::File { action: "write", path, source })
    }

    fn lock(&self) -> Result<Flock<File>, IpamError> {
        lock(&self.directory)
    }
}

fn lock(directory: &Path) -> Result<Flock<File>, IpamError> {
    let path = directory.join("lock");
    let error = |action, source| IpamError::File { action, path: path.clone(), source };
    fs::create_dir_all(directory).map_err(|source| error("make the directory of", source))?;
    let file = File::create(&path).map_err(|source| error("create", source))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| error("lock", errno.into()))
}

#[cfg(test)]
mod tests;
