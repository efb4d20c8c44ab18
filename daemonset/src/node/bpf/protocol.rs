//! The number under which this kernel makes SMC sockets in the inet families.

use smc_host::conversion::SMC_PROTOCOLS;
use socket2::{Domain, Protocol, Socket, Type};

/// The first of [`SMC_PROTOCOLS`] that this kernel makes a socket for, in the caller's network namespace.
///
/// Makes a socket and closes it; the kernel loads its `smc` module for that if it can. `None` also when the process may
/// not make sockets at all, which the log tells.
pub fn smc_protocol() -> Option<u16> {
    SMC_PROTOCOLS.into_iter().find(|&number| makes_smc_socket(number))
}

fn makes_smc_socket(number: u16) -> bool {
    let protocol = Protocol::from(i32::from(number));
    match Socket::new(Domain::IPV4, Type::STREAM, Some(protocol)) {
        // A kernel that took the number for something else would say so here.
        Ok(socket) => socket.protocol().is_ok_and(|made| made == Some(protocol)),
        Err(error) => {
            tracing::debug!(protocol = number, %error, "no SMC socket under this protocol number");
            false
        }
    }
}
