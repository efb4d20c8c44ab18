//! Socket options that nix does not know.
#![allow(unsafe_code, reason = "getsockopt of options without a safe wrapper")]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use smc_model::NetnsCookie;

use crate::HostError;

/// `SO_NETNS_COOKIE` of asm-generic/socket.h (Linux 5.14).
const SO_NETNS_COOKIE: libc::c_int = 71;

fn tcp_socket() -> Result<OwnedFd, HostError> {
    socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .map_err(HostError::at("make a TCP socket"))
}

/// The cookie of the network namespace that `socket` was made in; `None` before Linux 5.14, so on Alibaba's 5.10.
pub(crate) fn netns_cookie(socket: &impl AsFd) -> Result<Option<NetnsCookie>, HostError> {
    match get::<u64>(socket, SO_NETNS_COOKIE) {
        Ok(cookie) => Ok(Some(NetnsCookie(cookie))),
        Err(Errno::ENOPROTOOPT) => Ok(None),
        Err(errno) => Err(HostError::new("read the namespace's cookie", errno)),
    }
}

/// `SO_PROTOCOL` of a new TCP socket of the calling thread's network namespace.
pub fn protocol_of_a_new_tcp_socket() -> Result<u16, HostError> {
    let protocol: u32 =
        get(&tcp_socket()?, libc::SO_PROTOCOL).map_err(HostError::at("read SO_PROTOCOL of a TCP socket"))?;
    Ok(u16::try_from(protocol).unwrap_or(u16::MAX))
}

/// Types that any bit pattern of their size is a value of.
trait Plain: Default + Copy {}
impl Plain for u32 {}
impl Plain for u64 {}

fn get<T: Plain>(socket: &impl AsFd, option: libc::c_int) -> Result<T, Errno> {
    let mut value = T::default();
    let size = size_of::<T>();
    let mut length = libc::socklen_t::try_from(size).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: `value` is `length` bytes long, the kernel writes at most `length` bytes into it, and every bit
    // pattern is a `T` (`Plain`). The descriptor is open while `socket` is borrowed.
    let status = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    Errno::result(status)?;
    if length as usize == size { Ok(value) } else { Err(Errno::EPROTO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tcp_socket_of_an_ordinary_namespace_is_tcp() {
        assert_eq!(protocol_of_a_new_tcp_socket().unwrap(), 6);
    }

    #[test]
    fn the_cookie_of_a_namespace_does_not_change() {
        let cookie = || netns_cookie(&tcp_socket().unwrap()).unwrap();
        assert_eq!(cookie(), cookie());
        assert!(cookie().is_some_and(|NetnsCookie(number)| number > 0));
    }
}
