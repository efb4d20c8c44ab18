//! Pinned BPF objects: maps that are looked up, changed and listed, and programs that are attached.
//!
//! The plugin needs a few commands of bpf(2) and no more, so it does not carry a BPF library.
#![allow(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use crate::{Cause, HostError};

// enum bpf_cmd of uapi/linux/bpf.h.
const MAP_LOOKUP_ELEM: libc::c_long = 1;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const MAP_DELETE_ELEM: libc::c_long = 3;
const MAP_GET_NEXT_KEY: libc::c_long = 4;
const OBJ_GET: libc::c_long = 7;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
/// `BPF_NOEXIST`.
const NO_EXIST: u64 = 1;
// enum bpf_map_type.
pub(crate) const MAP_TYPE_HASH: u32 = 1;
pub(crate) const MAP_TYPE_ARRAY: u32 = 2;
pub(crate) const MAP_TYPE_LPM_TRIE: u32 = 11;
/// enum bpf_prog_type: `BPF_PROG_TYPE_SCHED_CLS`.
const PROG_TYPE_SCHED_CLS: u32 = 3;

/// The part of `union bpf_attr` that map element commands use.
#[repr(C)]
#[derive(Default)]
struct ElementAttr {
    map_fd: u32,
    _padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The part of `union bpf_attr` that `BPF_OBJ_GET` uses.
#[repr(C)]
#[derive(Default)]
struct ObjectAttr {
    path: u64,
    fd: u32,
    file_flags: u32,
}

/// The part of `union bpf_attr` that `BPF_OBJ_GET_INFO_BY_FD` uses.
#[repr(C)]
#[derive(Default)]
struct InfoAttr {
    fd: u32,
    length: u32,
    info: u64,
}

/// The beginning of `struct bpf_map_info` and, as far as `id`, of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default)]
struct Info {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
}

/// What a map must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// enum bpf_map_type.
    pub(crate) map_type: u32,
    /// Bytes of a key.
    pub(crate) key: usize,
    /// Bytes of a value.
    pub(crate) value: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of type {} from {}-byte keys to {}-byte values", self.map_type, self.key, self.value)
    }
}

/// An open pinned map.
#[derive(Debug)]
pub(crate) struct PinnedMap {
    map: OwnedFd,
    shape: Shape,
    shown: String,
}

impl PinnedMap {
    /// Opens the map pinned at `path`.
    pub(crate) fn open(path: &Path, shape: Shape) -> Result<Self, HostError> {
        let shown = path.display().to_string();
        let attempt = format_args!("open the BPF map {shown}");
        let map = open(path).map_err(HostError::at(attempt))?;
        let info = info(&map).map_err(HostError::at(attempt))?;
        let [key, value] = [info.key_size, info.value_size].map(|size| size as usize);
        let found = Shape { map_type: info.kind, key, value };
        if found != shape {
            let problem = format!("it is a map {found}, not {shape}");
            return Err(HostError::new(attempt, Cause::Unexpected(problem)));
        }
        Ok(Self { map, shape, shown })
    }

    /// Where it is pinned.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// The value of a key; `None` where the map has none.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
        let mut value = vec![0; self.shape.value];
        match self.element(MAP_LOOKUP_ELEM, key, &mut value, 0) {
            Ok(()) => Ok(Some(value)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Gives a key a value, unless it has one: EEXIST.
    pub(crate) fn put_new(&self, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        self.element(MAP_UPDATE_ELEM, key, &mut value.to_vec(), NO_EXIST)
    }

    /// Gives a key a value, whatever it had.
    pub(crate) fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        self.element(MAP_UPDATE_ELEM, key, &mut value.to_vec(), 0)
    }

    /// Takes a key out; fine when it is not there.
    pub(crate) fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        match self.element(MAP_DELETE_ELEM, key, &mut vec![0; self.shape.value], 0) {
            Err(Errno::ENOENT) => Ok(()),
            result => result,
        }
    }

    /// Every key. One that is put in or taken out meanwhile may be missing, or make another come twice.
    pub(crate) fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        loop {
            let mut next = vec![0_u8; self.shape.key];
            let mut attr = ElementAttr {
                map_fd: number(&self.map),
                key: keys.last().map_or(0, |key| key.as_ptr() as u64),
                value: next.as_mut_ptr() as u64,
                ..ElementAttr::default()
            };
            match bpf(MAP_GET_NEXT_KEY, &mut attr) {
                Ok(_) => keys.push(next),
                Err(Errno::ENOENT) => return Ok(keys),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// The kernel reads and writes as many bytes as the map's keys and values have.
    fn element(&self, command: libc::c_long, key: &[u8], value: &mut [u8], flags: u64) -> Result<(), Errno> {
        if (key.len(), value.len()) != (self.shape.key, self.shape.value) {
            return Err(Errno::EINVAL);
        }
        let mut attr = ElementAttr {
            map_fd: number(&self.map),
            key: key.as_ptr() as u64,
            value: value.as_mut_ptr() as u64,
            flags,
            ..ElementAttr::default()
        };
        // Which has no value.
        if command == MAP_DELETE_ELEM {
            attr.value = 0;
        }
        bpf(command, &mut attr).map(drop)
    }
}

/// An open pinned program for traffic control.
#[derive(Debug)]
pub(crate) struct PinnedProgram {
    program: OwnedFd,
    id: u32,
}

impl PinnedProgram {
    /// Opens the program pinned at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, HostError> {
        let attempt = format_args!("open the BPF program {}", path.display());
        let program = open(path).map_err(HostError::at(attempt))?;
        let info = info(&program).map_err(HostError::at(attempt))?;
        if info.kind != PROG_TYPE_SCHED_CLS {
            let problem = format!("it is a program of type {}, not for traffic control", info.kind);
            return Err(HostError::new(attempt, Cause::Unexpected(problem)));
        }
        Ok(Self { program, id: info.id })
    }

    /// The kernel's number of it, while it lives.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Its descriptor, as netlink attributes have it.
    pub(crate) fn number(&self) -> u32 {
        number(&self.program)
    }
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let c_path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let mut attr = ObjectAttr { path: c_path.as_ptr() as u64, ..ObjectAttr::default() };
    let fd = i32::try_from(bpf(OBJ_GET, &mut attr)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel just made this descriptor for us and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn info(object: &OwnedFd) -> Result<Info, Errno> {
    let mut info = Info::default();
    let mut attr = InfoAttr {
        fd: number(object),
        length: u32::try_from(size_of::<Info>()).map_err(|_| Errno::EOVERFLOW)?,
        info: (&raw mut info) as u64,
    };
    bpf(OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info)
}

#[expect(clippy::cast_sign_loss, reason = "an open descriptor is not negative")]
fn number(object: &OwnedFd) -> u32 {
    object.as_raw_fd() as u32
}

/// Calls bpf(2). Private to this module, where every pointer in `attr` points to live memory of the size that the
/// command and the checked map call for.
fn bpf<A>(command: libc::c_long, attr: &mut A) -> Result<libc::c_long, Errno> {
    // SAFETY: `attr` is as long as the size given, the kernel treats what lies beyond as zero, and the addresses in
    // it are of locals that outlive the call (see above).
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<A>()) };
    Errno::result(result)
}
