//! The pin directory on the bpffs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use libbpf_rs::query::{LinkInfo, LinkInfoIter, LinkTypeInfo, ProgInfoIter};
use libbpf_rs::{Link, MapCore, MapHandle, MapType, Object};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use smc_host::guard::peers::PEERS_NAME;
use smc_host::guard::{COUNTS_NAME, PROGRAM_NAME, SOURCES_NAME, SPARED_NAME};

use super::error::BpfError;
use super::{LINK_NAME, MAP_NAME, Removed};

/// A new link before it takes the old one's name. No dot: bpffs reserves names with one (kernel/bpf/inode.c).
const NEXT_LINK_NAME: &str = "smcify_link_next";
/// A new program before it takes the old one's name.
pub(super) const NEXT_PROGRAM_NAME: &str = "strip_offer_next";
/// Everything of the guard that is pinned.
const GUARD_NAMES: [&str; 6] =
    [NEXT_PROGRAM_NAME, PROGRAM_NAME, SOURCES_NAME, SPARED_NAME, PEERS_NAME, COUNTS_NAME];
/// Cookie in, one byte out: see `converting_netns` in `bpf/smcify.bpf.c`.
const KEY_BYTES: u32 = 8;
const VALUE_BYTES: u32 = 1;

/// Many times what an idle or a busy machine takes.
const DETACH_LIMIT: Duration = Duration::from_secs(2);
const DETACH_POLL: Duration = Duration::from_millis(5);

/// The pin directory, locked against other agents until dropped.
pub(super) struct Pins {
    directory: PathBuf,
    /// Holds the flock.
    _lock: File,
}

impl Pins {
    /// Creates `directory` if its parent is on a bpffs, and locks it. Mounts nothing.
    pub(super) fn lock(directory: &Path) -> Result<Self, BpfError> {
        if !directory.exists() {
            let parent = directory.parent().unwrap_or(Path::new("/"));
            require_bpffs(parent)?;
            if let Err(source) = fs::create_dir(directory)
                && source.kind() != io::ErrorKind::AlreadyExists
            {
                return Err(BpfError::Pin { operation: "create", path: directory.into(), source });
            }
        }
        require_bpffs(directory)?;
        let locked = File::open(directory).and_then(|file| file.lock().map(|()| file));
        let lock =
            locked.map_err(|source| BpfError::Pin { operation: "lock", path: directory.into(), source })?;
        Ok(Self { directory: directory.into(), _lock: lock })
    }

    /// Where something of this name is pinned.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(super) fn map(&self) -> PathBuf {
        self.directory.join(MAP_NAME)
    }

    pub(super) fn link(&self) -> PathBuf {
        self.directory.join(LINK_NAME)
    }

    fn next_link(&self) -> PathBuf {
        self.directory.join(NEXT_LINK_NAME)
    }

    /// An agent that died while replacing left two links, or one under the temporary name. Whichever name the survivor
    /// has, at no time is there none.
    pub(super) fn finish_interrupted_replacement(&self) -> Result<(), BpfError> {
        if is_there(&self.next_link())? {
            if is_there(&self.link())? {
                unpin(&self.next_link())?;
            } else {
                rename(&self.next_link(), &self.link())?;
            }
        }
        Ok(())
    }

    /// The pinned map, if there is one.
    pub(super) fn open_map(&self) -> Result<Option<MapHandle>, BpfError> {
        open_map(&self.map())
    }

    pub(super) fn pin_map(&self, object: &mut Object) -> Result<(), BpfError> {
        let mut map = object
            .maps_mut()
            .find(|map| map.name() == OsStr::new(MAP_NAME))
            .ok_or(BpfError::Object("map converting_netns"))?;
        map.pin(self.map()).map_err(|source| failed("pin", &self.map(), &source))
    }

    /// Kernel id of the program that the pinned link holds, if there is a link.
    pub(super) fn attached_program(&self) -> Result<Option<u32>, BpfError> {
        Ok(self.link_info()?.map(|info| info.prog_id))
    }

    pub(super) fn link_info(&self) -> Result<Option<LinkInfo>, BpfError> {
        let path = self.link();
        if !is_there(&path)? {
            return Ok(None);
        }
        let foreign = |found: String| BpfError::ForeignLink { path: path.clone(), found };
        let link = Link::open(&path).map_err(|source| failed("open", &path, &source))?;
        // The kernel describes any BPF object when asked for a link's description, and libbpf-rs follows pointers in it.
        let kind = object_kind(link.as_fd())?;
        if !["anon_inode:bpf_link", "anon_inode:bpf-link"].contains(&kind.as_str()) {
            return Err(foreign(kind));
        }
        let info = link.info().map_err(|error| foreign(error.to_string()))?;
        match info.info {
            LinkTypeInfo::Tracing(_) => Ok(Some(info)),
            other => Err(foreign(format!("{other:?}"))),
        }
    }

    /// Pins an attached link. One that was there before is detached by losing its name, after the new one is attached.
    pub(super) fn pin_link(&self, mut link: Link) -> Result<(), BpfError> {
        let next = self.next_link();
        link.pin(&next).map_err(|source| failed("pin", &next, &source))?;
        rename(&next, &self.link())
    }
}

/// Opens a pinned map of namespaces: `None` when nothing is pinned there.
pub(super) fn open_map(path: &Path) -> Result<Option<MapHandle>, BpfError> {
    if !is_there(path)? {
        return Ok(None);
    }
    let map = MapHandle::from_pinned_path(path).map_err(|source| failed("open", path, &source))?;
    if (map.map_type(), map.key_size(), map.value_size()) == (MapType::Hash, KEY_BYTES, VALUE_BYTES) {
        return Ok(Some(map));
    }
    let found = format!(
        "{:?} with keys of {} and values of {} bytes",
        map.map_type(),
        map.key_size(),
        map.value_size()
    );
    Err(BpfError::IncompatibleMap { path: path.into(), found })
}

/// Removes everything under `directory` that is ours, and the directory.
pub(super) fn remove(directory: &Path) -> Result<Removed, BpfError> {
    if !is_there(directory)? {
        return Ok(Removed { link: false, map: false, guard: false });
    }
    let pins = Pins::lock(directory)?;
    pins.finish_interrupted_replacement()?;
    let attached = match pins.link_info() {
        // Not ours, but under our name: it goes with the directory.
        Err(BpfError::ForeignLink { .. }) => None,
        info => info?,
    };
    // First the link: a program whose map has no name any more could never be told to stop.
    let link = unpin(&pins.link())?;
    if let Some(info) = attached {
        await_detached(&info)?;
    }
    let map = unpin(&pins.map())?;
    let mut guard = false;
    for name in GUARD_NAMES {
        guard |= unpin(&pins.at(name))?;
    }
    match fs::remove_dir(directory) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {}
        Err(source) => return Err(BpfError::Pin { operation: "remove", path: directory.into(), source }),
    }
    Ok(Removed { link, map, guard })
}

/// The kernel drops a link some time after its last name is gone (an RCU grace period, kernel/bpf/inode.c): first its
/// id, then the attachment, then its hold on the program (`bpf_link_free`, kernel/bpf/syscall.c).
fn await_detached(link: &LinkInfo) -> Result<(), BpfError> {
    if !within_limit(|| LinkInfoIter::default().all(|info| info.id != link.id)) {
        return Err(BpfError::StillAttached { link: link.id });
    }
    // Whoever else holds the program keeps it from going, not attached.
    within_limit(|| ProgInfoIter::default().all(|info| info.id != link.prog_id));
    Ok(())
}

fn within_limit(done: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > DETACH_LIMIT {
            return false;
        }
        thread::sleep(DETACH_POLL);
    }
    true
}

/// The kernel's name for what an open descriptor is; bpf(2) itself does not tell.
fn object_kind(object: BorrowedFd<'_>) -> Result<String, BpfError> {
    let path = PathBuf::from(format!("/proc/thread-self/fd/{}", object.as_raw_fd()));
    match fs::read_link(&path) {
        Ok(kind) => Ok(kind.display().to_string()),
        Err(source) => Err(BpfError::Pin { operation: "look at", path, source }),
    }
}

fn require_bpffs(path: &Path) -> Result<(), BpfError> {
    let found = statfs(path)
        .map_err(|errno| BpfError::Pin { operation: "look at", path: path.into(), source: errno.into() })?
        .filesystem_type();
    if found == BPF_FS_MAGIC { Ok(()) } else { Err(BpfError::NotBpffs { path: path.into(), found: found.0 }) }
}

pub(super) fn is_there(path: &Path) -> Result<bool, BpfError> {
    path.try_exists().map_err(|source| BpfError::Pin { operation: "look for", path: path.into(), source })
}

/// Whether there was anything to unpin.
pub(super) fn unpin(path: &Path) -> Result<bool, BpfError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(BpfError::Pin { operation: "unpin", path: path.into(), source }),
    }
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), BpfError> {
    fs::rename(from, to).map_err(|source| BpfError::Pin { operation: "replace", path: to.into(), source })
}

/// libbpf-rs shows the errno in its text only, so the text is what is kept.
pub(super) fn failed(operation: &'static str, path: &Path, error: &libbpf_rs::Error) -> BpfError {
    BpfError::Pin { operation, path: path.into(), source: io::Error::other(format!("{error:#}")) }
}

#[cfg(test)]
mod tests;
