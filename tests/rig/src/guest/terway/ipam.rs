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
mod tests {
    use super::*;

    fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    fn ipam(directory: &Path, last: &[u8]) -> Ipam {
        Ipam::new(directory.join("ipam"), last.iter().copied().map(address))
    }

    #[test]
    fn two_owners_get_two_addresses_and_one_owner_keeps_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let ipam = ipam(directory.path(), &[1, 2]);
        assert_eq!(ipam.allocate("a", None).unwrap(), address(1));
        assert_eq!(ipam.allocate("b", None).unwrap(), address(2));
        assert_eq!(ipam.allocate("a", None).unwrap(), address(1));
    }

    #[test]
    fn an_exhausted_pool_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let ipam = ipam(directory.path(), &[1]);
        ipam.allocate("a", None).unwrap();
        assert!(matches!(ipam.allocate("b", None), Err(IpamError::Exhausted)));
    }

    #[test]
    fn a_released_address_is_the_last_to_be_given_again() {
        let directory = tempfile::tempdir().unwrap();
        let ipam = ipam(directory.path(), &[1, 2, 3]);
        ipam.allocate("a", None).unwrap();
        ipam.release("a").unwrap();
        let next: Vec<_> = ["b", "c", "d"].map(|owner| ipam.allocate(owner, None).unwrap()).into();
        assert_eq!(next, [address(2), address(3), address(1)]);
    }

    #[test]
    fn releasing_twice_or_without_an_address_is_fine() {
        let directory = tempfile::tempdir().unwrap();
        let ipam = ipam(directory.path(), &[1]);
        ipam.release("a").unwrap();
        ipam.allocate("a", None).unwrap();
        ipam.release("a").unwrap();
        ipam.release("a").unwrap();
        assert_eq!(ipam.allocate("b", None).unwrap(), address(1));
    }

    #[test]
    fn a_wanted_address_is_given_unless_taken_or_foreign() {
        let directory = tempfile::tempdir().unwrap();
        let ipam = ipam(directory.path(), &[1, 2]);
        assert_eq!(ipam.allocate("a", Some(address(2))).unwrap(), address(2));
        let taken = ipam.allocate("b", Some(address(2)));
        assert!(matches!(taken, Err(IpamError::Taken { owner, .. }) if owner == "a"));
        assert!(matches!(ipam.allocate("b", Some(address(9))), Err(IpamError::Foreign(_))));
    }

    #[test]
    fn many_owners_at_once_never_share_an_address() {
        let directory = tempfile::tempdir().unwrap();
        let ipam = ipam(directory.path(), &(1..=40).collect::<Vec<_>>());
        let mut addresses: Vec<_> = std::thread::scope(|scope| {
            let ipam = &ipam;
            let threads: Vec<_> = (0..40)
                .map(|owner| scope.spawn(move || ipam.allocate(&owner.to_string(), None).unwrap()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 40);
    }
}
