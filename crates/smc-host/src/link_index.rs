//! The index of a network interface, asked by a socket that is open already: if_nametoindex(3) opens one for it.
#![allow(unsafe_code, reason = "ioctl(2) has no safe wrapper")]

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

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
    let status = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCGIFINDEX, &raw mut request) };
    match Errno::result(status) {
        Ok(_) => Ok(u32::try_from(request.index).ok()),
        Err(Errno::ENODEV) => Ok(None),
        Err(errno) => Err(errno),
    }
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
