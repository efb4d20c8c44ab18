//! A pinned BPF hash map keyed by namespace cookies: look up, insert, delete, list.
//!
//! The plugin needs three commands of bpf(2) and no more, so it does not carry a BPF library.
#![allow(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use smc_model::NetnsCookie;

use crate::{Cause, HostError};

// enum bpf_cmd of uapi/linux/bpf.h.
const MAP_LOOKUP_ELEM: libc::c_long = 1;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const MAP_DELETE_ELEM: libc::c_long = 3;
const MAP_GET_NEXT_KEY: libc::c_long = 4;
const OBJ_GET: libc::c_long = 7;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const MAP_TYPE_HASH: u32 = 1;

/// Room for a value: the kernel copies as many bytes as the map's values have, which is checked on opening.
const VALUE_ROOM: usize = 8;

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

/// The beginning of `struct bpf_map_info`.
#[repr(C)]
#[derive(Default)]
struct MapInfo {
    map_type: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
}

/// An open pinned map from cookies to a mark.
#[derive(Debug)]
pub(crate) struct CookieMap {
    map: OwnedFd,
    shown: String,
}

impl CookieMap {
    /// Opens the map pinned at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, HostError> {
        let shown = path.display().to_string();
        let attempt = format_args!("open the BPF map {shown}");
        let c_path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| HostError::new(attempt, Cause::Unexpected("its path has a NUL byte".to_owned())))?;
        let mut attr = ObjectAttr { path: c_path.as_ptr() as u64, ..ObjectAttr::default() };
        let fd = bpf(OBJ_GET, &mut attr).map_err(HostError::at(attempt))?;
        let fd = i32::try_from(fd).map_err(|_| HostError::new(attempt, Errno::EBADF))?;
        // SAFETY: the kernel just made this descriptor for us and nobody else knows it.
        let map = unsafe { OwnedFd::from_raw_fd(fd) };
        let opened = Self { map, shown: shown.clone() };
        let info = opened.info().map_err(HostError::at(attempt))?;
        if info.map_type != MAP_TYPE_HASH || info.key_size != 8 || info.value_size as usize > VALUE_ROOM {
            let problem = "it is not a hash map from 8-byte keys to values of at most 8 bytes".to_owned();
            return Err(HostError::new(attempt, Cause::Unexpected(problem)));
        }
        Ok(opened)
    }

    /// Whether `cookie` is in the map.
    pub(crate) fn contains(&self, cookie: NetnsCookie) -> Result<bool, HostError> {
        match self.element(MAP_LOOKUP_ELEM, cookie) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(HostError::new(format!("look {cookie} up in {}", self.shown), errno)),
        }
    }

    /// Puts `cookie` into the map; fine when it is there already.
    pub(crate) fn insert(&self, cookie: NetnsCookie) -> Result<(), HostError> {
        self.element(MAP_UPDATE_ELEM, cookie)
            .map_err(HostError::at(format!("add namespace cookie {cookie} to {}", self.shown)))
    }

    /// Takes `cookie` out of the map; fine when it is not there.
    pub(crate) fn remove(&self, cookie: NetnsCookie) -> Result<(), HostError> {
        match self.element(MAP_DELETE_ELEM, cookie) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => {
                Err(HostError::new(format!("remove namespace cookie {cookie} from {}", self.shown), errno))
            }
        }
    }

    /// Every cookie in the map. One that is put in or taken out meanwhile may be missing, or make another come twice.
    pub(crate) fn cookies(&self) -> Result<Vec<NetnsCookie>, HostError> {
        let mut cookies = Vec::new();
        let mut key: Option<u64> = None;
        loop {
            let mut next = 0_u64;
            let mut attr = ElementAttr {
                map_fd: self.fd(),
                key: key.as_ref().map_or(0, |key| std::ptr::from_ref(key) as u64),
                value: (&raw mut next) as u64,
                ..ElementAttr::default()
            };
            match bpf(MAP_GET_NEXT_KEY, &mut attr) {
                Ok(_) => cookies.push(NetnsCookie(next)),
                Err(Errno::ENOENT) => return Ok(cookies),
                Err(errno) => return Err(HostError::new(format!("list {}", self.shown), errno)),
            }
            key = Some(next);
        }
    }

    fn element(&self, command: libc::c_long, cookie: NetnsCookie) -> Result<(), Errno> {
        let key: u64 = cookie.0;
        let mut value: [u8; VALUE_ROOM] = 1_u64.to_ne_bytes();
        let mut attr = ElementAttr {
            map_fd: self.fd(),
            key: (&raw const key) as u64,
            value: if command == MAP_DELETE_ELEM { 0 } else { (&raw mut value) as u64 },
            ..ElementAttr::default()
        };
        bpf(command, &mut attr).map(drop)
    }

    fn info(&self) -> Result<MapInfo, Errno> {
        let mut info = MapInfo::default();
        let mut attr = InfoAttr {
            fd: self.fd(),
            length: u32::try_from(size_of::<MapInfo>()).map_err(|_| Errno::EOVERFLOW)?,
            info: (&raw mut info) as u64,
        };
        bpf(OBJ_GET_INFO_BY_FD, &mut attr)?;
        Ok(info)
    }

    #[expect(clippy::cast_sign_loss, reason = "an open descriptor is not negative")]
    fn fd(&self) -> u32 {
        self.map.as_raw_fd() as u32
    }
}

/// Calls bpf(2). Private to this module, where every pointer in `attr` points to live memory of the size that the
/// command and the checked map call for.
fn bpf<A>(command: libc::c_long, attr: &mut A) -> Result<libc::c_long, Errno> {
    // SAFETY: `attr` is as long as the size given, the kernel treats what lies beyond as zero, and the addresses in
    // it are of locals that outlive the call (see above).
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<A>()) };
    Errno::result(result)
}
