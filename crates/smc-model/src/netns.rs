//! Identities of a network namespace.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A network namespace as the file system names it; unique among living namespaces only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetnsId {
    /// Device number of nsfs.
    pub device: u64,
    /// Inode number within nsfs.
    pub inode: u64,
}

/// A network namespace's cookie (`SO_NETNS_COOKIE`): never used again while the kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetnsCookie(pub u64);

impl fmt::Display for NetnsCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
