//! What kind of namespace an open file of nsfs is.
#![allow(unsafe_code, reason = "ioctl(2) has no safe wrapper")]

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// `NS_GET_NSTYPE` of uapi/linux/nsfs.h (Linux 4.11): `_IO(0xb7, 0x3)`.
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;

/// The `CLONE_NEW*` flag of the namespace that `file` is. Only for files of nsfs: elsewhere the number may mean
/// something else.
pub(crate) fn namespace_kind(file: &File) -> Result<libc::c_int, Errno> {
    // SAFETY: this ioctl takes no argument and writes to no memory; the descriptor is open while `file` is borrowed.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    Errno::result(kind)
}
