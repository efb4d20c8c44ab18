//! Network namespaces: opening one, telling it from another, and working inside it.

use std::fs::{File, OpenOptions};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::statfs::{FsType, fstatfs};
use smc_model::{NetnsCookie, NetnsId};

use crate::namespace_kind::namespace_kind;
use crate::netlink::{Connection, Protocol};
use crate::sockopt::new_tcp_sockets_are_smc;
use crate::{Cause, HostError};

/// `NSFS_MAGIC` of uapi/linux/magic.h.
const NSFS: FsType = FsType(0x6e73_6673);

/// An open network namespace. Held only for one operation: it keeps the namespace, and with it the pod's address,
/// alive.
#[derive(Debug)]
pub struct Netns {
    file: File,
    id: NetnsId,
    shown: PathBuf,
    /// Where a visit on the caller's own thread comes back to.
    home: Option<File>,
}

impl Netns {
    /// Opens the namespace at `path`.
    ///
    /// # Errors
    /// When the path is gone, or is not a network namespace (a bind mount that was undone leaves a plain file).
    pub fn open(path: &Path) -> Result<Self, HostError> {
        let attempt = format_args!("open the network namespace {}", path.display());
        let opened = Self::open_unexamined(path).map_err(HostError::at(attempt))?;
        let file_system = fstatfs(&opened.file).map_err(HostError::at(attempt))?;
        if file_system.filesystem_type() != NSFS {
            return Err(HostError::new(attempt, Cause::Unexpected("it is not a namespace".to_owned())));
        }
        if namespace_kind(&opened.file).map_err(HostError::at(attempt))? != libc::CLONE_NEWNET {
            let problem = "it is a namespace, but not a network namespace".to_owned();
            return Err(HostError::new(attempt, Cause::Unexpected(problem)));
        }
        Ok(opened)
    }

    /// Opens what is a network namespace by the kernel's own word.
    fn open_unexamined(path: &Path) -> io::Result<Self> {
        // Not to wait for a writer where a FIFO stands in the namespace's place.
        let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
        Self::of_file(OpenOptions::new().read(true).custom_flags(flags).open(path)?, path)
    }

    fn of_file(file: File, shown: &Path) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let id = NetnsId { device: metadata.dev(), inode: metadata.ino() };
        Ok(Self { file, id, shown: shown.to_owned(), home: None })
    }

    /// Makes a network namespace, which goes with this value unless something else holds it by then.
    pub fn make() -> Result<Self, HostError> {
        let attempt = "make a network namespace";
        let maker = thread::Builder::new().name("new-netns".to_owned()).spawn(move || {
            #[expect(clippy::disallowed_methods, reason = "this thread ends at once")]
            nix::sched::unshare(CloneFlags::CLONE_NEWNET).map_err(HostError::at(attempt))?;
            Self::current()
        });
        let made = maker.map_err(HostError::at(attempt))?.join();
        made.unwrap_or_else(|_| {
            Err(HostError::new(attempt, Cause::Unexpected("its maker panicked".to_owned())))
        })
    }

    /// A path by which other functions of this process can open the namespace while this value lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// From now on [`Self::run`] visits the namespace on the caller's own thread and comes back to `home`, the caller's
    /// namespace. For a process that does one thing and ends: it saves making a thread for every visit. Should there be
    /// no way back, the process ends, so that nothing is ever done in the wrong namespace.
    #[must_use]
    pub fn visited_from(self, home: Self) -> Self {
        Self { home: Some(home.file), ..self }
    }

    /// The calling thread's own namespace (`/proc/self` would be the main thread's).
    pub fn current() -> Result<Self, HostError> {
        let path = Path::new("/proc/thread-self/ns/net");
        Self::open_unexamined(path).map_err(HostError::at("open the network namespace of the own thread"))
    }

    /// The namespace that `connection` was opened in: the calling thread's own, when that opened it and stayed. Cheaper
    /// than [`Self::current`], for which procfs has to show a process that it never showed before.
    pub fn of(connection: &Connection) -> Result<Self, HostError> {
        let attempt = "open the network namespace of a netlink socket";
        let file = connection.namespace().map_err(HostError::at(attempt))?;
        Self::of_file(file, Path::new("of a netlink socket")).map_err(HostError::at(attempt))
    }

    /// The namespace's identity.
    pub fn id(&self) -> NetnsId {
        self.id
    }

    /// Runs `work` inside the namespace, on a thread of its own that ends afterwards: there is no way back to fail.
    /// (But see [`Self::visited_from`].) Sockets that `work` opens stay in the namespace and may be returned.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, HostError> {
        let attempt = format_args!("enter the network namespace {}", self.shown.display());
        if let Some(home) = &self.home {
            enter(&self.file).map_err(HostError::at(attempt))?;
            let _back = WayBack { home };
            return Ok(work());
        }
        thread::scope(|scope| {
            let worker = thread::Builder::new()
                .name("in-netns".to_owned())
                .stack_size(256 * 1024)
                .spawn_scoped(scope, || enter(&self.file).map(|()| work()))
                .map_err(HostError::at(attempt))?;
            match worker.join() {
                Ok(result) => result.map_err(HostError::at(attempt)),
                Err(_) => {
                    Err(HostError::new(attempt, Cause::Unexpected("the work in it panicked".to_owned())))
                }
            }
        })
    }

    /// Enters the namespace once and brings out what is needed to work on it from outside.
    pub fn connect(&self) -> Result<Inside, HostError> {
        self.run(|| {
            let route = Connection::open(Protocol::Route)?;
            Ok(Inside {
                cookie: route.netns_cookie()?,
                route,
                generic: Connection::open(Protocol::Generic)?,
                converts: new_tcp_sockets_are_smc()?,
            })
        })?
    }
}

impl AsRawFd for Netns {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.file.as_raw_fd()
    }
}

/// Runs `work` on a thread of its own that may go from one namespace to the next, and ends afterwards. For many
/// namespaces, where a thread for each would cost more than the look at it.
pub fn visit<T: Send>(work: impl FnOnce(&Visitor) -> T + Send) -> Result<T, HostError> {
    let attempt = "start a thread to look into network namespaces";
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("in-netns".to_owned())
            .stack_size(256 * 1024)
            .spawn_scoped(scope, || work(&Visitor(PhantomData)))
            .map_err(HostError::at(attempt))?;
        worker.join().map_err(|_| HostError::new(attempt, Cause::Unexpected("it panicked".to_owned())))
    })
}

/// A thread that may change its namespace; it cannot be given to another.
#[derive(Debug)]
pub struct Visitor(PhantomData<Rc<()>>);

impl Visitor {
    /// Goes into a namespace, and stays there until the next; only so long it is kept alive.
    pub fn enter(&self, netns: &Netns) -> Result<(), HostError> {
        let attempt = format_args!("enter the network namespace {}", netns.shown.display());
        enter(&netns.file).map_err(HostError::at(attempt))
    }
}

fn enter(namespace: &File) -> Result<(), Errno> {
    #[expect(clippy::disallowed_methods, reason = "the one place; see `Netns::run`")]
    nix::sched::setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)
}

/// Leads the thread home when dropped, also after a panic.
struct WayBack<'a> {
    home: &'a File,
}

impl Drop for WayBack<'_> {
    fn drop(&mut self) {
        if enter(self.home).is_err() {
            std::process::abort();
        }
    }
}

/// Connections into a namespace, and what can be learned only inside it.
#[derive(Debug)]
pub struct Inside {
    /// For links, addresses and routes.
    pub route: Connection,
    /// For the SMC families.
    pub generic: Connection,
    /// The namespace's cookie; `None` where the kernel gives none.
    pub cookie: Option<NetnsCookie>,
    /// Whether a new TCP socket there is an SMC socket: what the kernel really gives to the pod's programs.
    pub converts: bool,
}

impl Inside {
    /// The cookie, for what cannot be done without.
    pub(crate) fn needed_cookie(&self) -> Result<NetnsCookie, HostError> {
        self.cookie.ok_or_else(|| {
            let problem = "this kernel gives none (SO_NETNS_COOKIE is of Linux 5.14)".to_owned();
            HostError::new("tell the pod's network namespace by its cookie", Cause::Unexpected(problem))
        })
    }
}

#[cfg(test)]
mod tests;
