//! Socket options that nix does not know.
#![allow(unsafe_code, reason = "getsockopt of options without a safe wrapper")]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use smc_model::NetnsCookie;

use crate::HostError;

/// `SO_NETNS_COOKIE` of asm-generic/socket.h (Linux 5.14).
const SO_NETNS_COOKIE: libc::c_int = 71;
/// The option level of SMC sockets (`SOL_SMC` of linux/socket.h).
const SOL_SMC: libc::c_int = 286;
/// `SMC_LIMIT_HS` of linux/smc.h (Linux 5.18 and Alibaba's 5.10).
const SMC_LIMIT_HS: libc::c_int = 1;
/// `IPPROTO_SMC` of mainline (6.11 and newer) and of Alibaba's 5.10 kernel.
pub const SMC_PROTOCOLS: [u16; 2] = [256, 263];

fn tcp_socket() -> Result<OwnedFd, HostError> {
    socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .map_err(HostError::at("make a TCP socket"))
}

/// The cookie of the network namespace that `socket` was made in; `None` before Linux 5.14, so on Alibaba's 5.10.
pub(crate) fn netns_cookie(socket: &impl AsFd) -> Result<Option<NetnsCookie>, HostError> {
    match get::<u64>(socket, libc::SOL_SOCKET, SO_NETNS_COOKIE) {
        Ok(cookie) => Ok(Some(NetnsCookie(cookie))),
        Err(Errno::ENOPROTOOPT) => Ok(None),
        Err(errno) => Err(HostError::new("read the namespace's cookie", errno)),
    }
}

/// Whether a program of the calling thread's network namespace that makes a TCP socket gets an SMC socket.
///
/// Only SMC sockets answer an option of SMC's own. `SO_PROTOCOL` does not tell: on Alibaba's 5.10 it reads 6 of a converted
/// socket, too (`smc_inet_init_sock` sets it back). It is asked where the kernel is too old to know that option.
pub fn new_tcp_sockets_are_smc() -> Result<bool, HostError> {
    is_smc(&tcp_socket()?)
}

fn is_smc(socket: &impl AsFd) -> Result<bool, HostError> {
    if get::<u32>(socket, SOL_SMC, SMC_LIMIT_HS).is_ok() {
        return Ok(true);
    }
    let protocol: u32 = get(socket, libc::SOL_SOCKET, libc::SO_PROTOCOL)
        .map_err(HostError::at("read SO_PROTOCOL of a TCP socket"))?;
    Ok(SMC_PROTOCOLS.iter().any(|number| u32::from(*number) == protocol))
}

/// Has a listener keep the SYN of each connection until somebody asks for it.
pub(crate) fn save_syn(listener: &impl AsFd) -> Result<(), HostError> {
    const SIZE: libc::socklen_t = 4;
    let on: [u8; SIZE as usize] = libc::c_int::to_ne_bytes(1);
    // SAFETY: `on` lives during the call, which reads as many bytes as it has. The descriptor is open while `listener` is
    // borrowed.
    let status = unsafe {
        libc::setsockopt(
            listener.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_SAVE_SYN,
            on.as_ptr().cast(),
            SIZE,
        )
    };
    Errno::result(status).map(drop).map_err(HostError::at("have a listener keep SYNs"))
}

/// The SYN of an accepted connection, with its IP header; empty when it was not kept.
pub(crate) fn saved_syn(accepted: &impl AsFd) -> Result<Vec<u8>, HostError> {
    // IPv6 and TCP headers with all options have 100 bytes.
    const SIZE: libc::socklen_t = 256;
    let mut bytes = [0_u8; SIZE as usize];
    let mut length = SIZE;
    // SAFETY: the kernel writes at most `length` bytes, which is how many `bytes` has. The descriptor is open while
    // `accepted` is borrowed.
    let status = unsafe {
        libc::getsockopt(
            accepted.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_SAVED_SYN,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Errno::result(status).map_err(HostError::at("read a kept SYN"))?;
    Ok(bytes.get(..length as usize).unwrap_or_default().to_vec())
}

/// Types that any bit pattern of their size is a value of.
trait Plain: Default + Copy {}
impl Plain for u32 {}
impl Plain for u64 {}

fn get<T: Plain>(socket: &impl AsFd, level: libc::c_int, option: libc::c_int) -> Result<T, Errno> {
    let mut value = T::default();
    let size = size_of::<T>();
    let mut length = libc::socklen_t::try_from(size).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: `value` is `length` bytes long, the kernel writes at most `length` bytes into it, and every bit
    // pattern is a `T` (`Plain`). The descriptor is open while `socket` is borrowed.
    let status = unsafe {
        libc::getsockopt(socket.as_fd().as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut length)
    };
    Errno::result(status)?;
    if length as usize == size { Ok(value) } else { Err(Errno::EPROTO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tcp_socket_of_an_ordinary_namespace_is_tcp() {
        assert!(!new_tcp_sockets_are_smc().unwrap());
    }

    #[test]
    fn the_cookie_of_a_namespace_does_not_change() {
        let cookie = || netns_cookie(&tcp_socket().unwrap()).unwrap();
        assert_eq!(cookie(), cookie());
        assert!(cookie().is_some_and(|NetnsCookie(number)| number > 0));
    }
}
