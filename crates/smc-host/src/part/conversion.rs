//! The two ways in which new TCP sockets of a pod become SMC sockets.

use std::path::{Path, PathBuf};

use smc_model::NetnsCookie;

use crate::HostError;
use crate::bpf::{MAP_TYPE_HASH, PinnedMap, Shape};
pub use crate::sockopt::{SMC_PROTOCOLS, new_tcp_sockets_are_smc};

/// The sysctl by which MPTCP is on in a network namespace, on kernels that have it.
pub const MPTCP_ENABLED: &str = "net.mptcp.enabled";

/// The sysctl of Alibaba's 5.10 kernel that converts all new TCP sockets of a network namespace.
pub const TCP2SMC: &str = "net.smc.tcp2smc";

/// Where the agent pins the BPF program's link and map unless told otherwise; the bpffs is mounted at `/sys/fs/bpf`.
pub const DEFAULT_PIN_DIR: &str = "/sys/fs/bpf/kube-smc";
/// File name of the pinned map of namespaces.
pub const MAP_NAME: &str = "converting_netns";
/// File name of the pinned link.
pub const LINK_NAME: &str = "smcify_link";

/// What a namespace's value says: that its TCP sockets are converted, and those that are asked for as MPTCP, too, unless
/// `KEEPS_MPTCP` (`smcify.bpf.c`).
const CONVERTS: u8 = 1;
const KEEPS_MPTCP: u8 = 2;

/// What becomes of sockets that are asked for as MPTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mptcp {
    /// They are converted like others.
    Converted,
    /// They stay as they are.
    Kept,
}

impl Mptcp {
    /// As a pod's owner says it.
    pub fn keep(keep: bool) -> Self {
        if keep { Self::Kept } else { Self::Converted }
    }
}

/// Cookie in, one byte out.
const SHAPE: Shape = Shape { map_type: MAP_TYPE_HASH, key: size_of::<u64>(), value: 1 };

/// The BPF program's open map of namespaces.
#[derive(Debug)]
pub(crate) struct CookieMap(PinnedMap);

impl CookieMap {
    /// Opens the map pinned at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, HostError> {
        PinnedMap::open(path, SHAPE).map(Self)
    }

    /// What becomes of the MPTCP sockets of a namespace; `None` when `cookie` is not in the map.
    pub(crate) fn get(&self, cookie: NetnsCookie) -> Result<Option<Mptcp>, HostError> {
        let attempt = format_args!("look {cookie} up in {}", self.0.shown());
        let found = self.0.get(&cookie.0.to_ne_bytes()).map_err(HostError::at(attempt))?;
        Ok(found.map(|value| Mptcp::keep(value.first().is_some_and(|value| value & KEEPS_MPTCP != 0))))
    }

    /// Puts `cookie` into the map, or says anew what becomes of its MPTCP sockets.
    pub(crate) fn insert(&self, cookie: NetnsCookie, mptcp: Mptcp) -> Result<(), HostError> {
        let attempt = format_args!("add namespace cookie {cookie} to {}", self.0.shown());
        let value = match mptcp {
            Mptcp::Converted => CONVERTS,
            Mptcp::Kept => CONVERTS | KEEPS_MPTCP,
        };
        self.0.put(&cookie.0.to_ne_bytes(), &[value]).map_err(HostError::at(attempt))
    }

    /// Takes `cookie` out of the map; fine when it is not there.
    pub(crate) fn remove(&self, cookie: NetnsCookie) -> Result<(), HostError> {
        let attempt = format_args!("remove namespace cookie {cookie} from {}", self.0.shown());
        self.0.remove(&cookie.0.to_ne_bytes()).map_err(HostError::at(attempt))
    }

    /// Every cookie in the map.
    pub(crate) fn cookies(&self) -> Result<Vec<NetnsCookie>, HostError> {
        let keys = self.0.keys().map_err(HostError::at(format_args!("list {}", self.0.shown())))?;
        let cookies = keys.iter().filter_map(|key| key.as_slice().try_into().ok());
        Ok(cookies.map(|key| NetnsCookie(u64::from_ne_bytes(key))).collect())
    }
}

/// The BPF program's map, opened when it is first needed.
#[derive(Debug, Default)]
pub struct OpenedMap {
    opened: Option<(PathBuf, CookieMap)>,
}

impl OpenedMap {
    pub(crate) fn open(&mut self, path: &Path) -> Result<&CookieMap, HostError> {
        let opened = match self.opened.take() {
            Some((opened, map)) if opened == path => (opened, map),
            _ => (path.to_owned(), CookieMap::open(path)?),
        };
        Ok(&self.opened.insert(opened).1)
    }
}

/// Whether the namespace is in the BPF program's map.
pub fn is_in_map(map: &Path, cookie: NetnsCookie) -> Result<bool, HostError> {
    Ok(CookieMap::open(map)?.get(cookie)?.is_some())
}

/// The namespaces that are in the BPF program's map.
pub fn in_map(map: &Path) -> Result<Vec<NetnsCookie>, HostError> {
    CookieMap::open(map)?.cookies()
}

/// Puts the namespace into the BPF program's map.
pub fn add_to_map(map: &Path, cookie: NetnsCookie, mptcp: Mptcp) -> Result<(), HostError> {
    CookieMap::open(map)?.insert(cookie, mptcp)
}

/// Takes the namespace out of the BPF program's map; fine when there is no map any more.
pub fn remove_from_map(map: &Path, cookie: NetnsCookie) -> Result<(), HostError> {
    match CookieMap::open(map) {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(()),
        opened => opened?.remove(cookie),
    }
}
