//! What a socket that is open already can be asked: the index of a network interface, for which if_nametoindex(3) opens
//! one, and its network namespace, for which procfs would have to show this process.
#![allow(unsafe_code, reason = "ioctl(2) has no safe wrapper")]

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};

use nix::errno::Errno;

// uapi/linux/sockios.h; SIOCGSKNS is of Linux 4.10. The libc crate gives the first another type than ioctl takes on musl.
const SIOCGIFINDEX: libc::Ioctl = 0x8933;
const SIOCGSKNS: libc::Ioctl = 0x894c;

/// The part of `struct ifreq` (uapi/linux/if.h) that `SIOCGIFINDEX` uses, as long as the whole.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    index: libc::c_int,
    _rest: [u8; 20],
}

/// The index of the interface `name` in the namespace of `socket`, which may be of any family; `None` where there is no
/// such interface.
pub(crate) fn link_index(socket: &impl AsFd, name: &str) -> Result<Option<u32>, Errno> {
    let mut request = InterfaceRequest { name: [0; libc::IFNAMSIZ], index: 0, _rest: [0; 20] };
    // A NUL must follow.
    let room = request.name.get_mut(..name.len()).filter(|_| name.len() < libc::IFNAMSIZ);
    room.ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(name.as_bytes());
    // SAFETY: the kernel reads and writes one `struct ifreq`, which `request` is as long as; the descriptor is open while
    // `socket` is borrowed.
    let status = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), SIOCGIFINDEX, &raw mut request) };
    match Errno::result(status) {
        Ok(_) => Ok(u32::try_from(request.index).ok()),
        Err(Errno::ENODEV) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The network namespace that `socket` was opened in. Takes CAP_NET_ADMIN.
pub(crate) fn namespace(socket: &impl AsFd) -> Result<File, Errno> {
    // SAFETY: this ioctl takes no argument; the descriptor is open while `socket` is borrowed.
    let descriptor = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), SIOCGSKNS) };
    let descriptor = Errno::result(descriptor)?;
    // SAFETY: the kernel just made this descriptor for us and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use netlink_sys::Socket;

    use super::*;

    #[test]
    fn a_netlink_socket_tells_indices_as_if_nametoindex_does() {
        let route = Socket::new(0).unwrap();
        let index = nix::net::if_::if_nametoindex("lo").unwrap();
        assert_eq!(link_index(&route, "lo"), Ok(Some(index)));
        assert_eq!(link_index(&route, "smc-not-there"), Ok(None));
        assert_eq!(link_index(&route, "a-name-of-16-chr"), Err(Errno::ENAMETOOLONG));
        assert_eq!(size_of::<InterfaceRequest>(), size_of::<libc::ifreq>());
    }
}
