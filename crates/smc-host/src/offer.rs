//! What this kernel's SMC sockets put into their SYNs to offer SMC.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::time::{TimeVal, TimeValLike as _};
use smc_abi::syn;
use smc_model::SynOption;

use crate::netns::Netns;
use crate::sockopt::{save_syn, saved_syn};
use crate::{HostError, veth};

/// In seconds; it takes less than a thousandth of one.
const LIMIT: i64 = 5;

/// Makes one SYN in a namespace of its own, once `convert` has seen to it that new sockets there are SMC sockets, and returns
/// the option in it that offers SMC; `None` when there is none.
///
/// Nothing leaves the namespace: a plain listener on its loopback keeps the SYN for whoever asks (`TCP_SAVE_SYN`), and the
/// connection falls back.
pub fn of_this_kernel(
    convert: impl FnOnce(&Netns) -> Result<(), HostError>,
) -> Result<Option<SynOption>, HostError> {
    let attempt = "make a connection whose SYN can be looked at";
    let netns = Netns::make()?;
    veth::up(&mut netns.connect()?.route, "lo")?;
    // Before the namespace converts: its SYN-ACK must be plain.
    let listener = netns.run(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = listener.map_err(HostError::at(attempt))?;
    // A client that cannot even connect must not be waited for.
    setsockopt(&listener, ReceiveTimeout, &TimeVal::seconds(LIMIT)).map_err(HostError::at(attempt))?;
    save_syn(&listener)?;
    let address = listener.local_addr().map_err(HostError::at(attempt))?;
    convert(&netns)?;
    let packet = thread::scope(|scope| {
        let client = scope.spawn(|| netns.run(|| TcpStream::connect(address)));
        let (accepted, _) = listener.accept().map_err(HostError::at(attempt))?;
        let packet = saved_syn(&accepted)?;
        // What became of the client is nobody's business any more.
        drop(client.join());
        Ok::<_, HostError>(packet)
    })?;
    let offers = |option: &syn::TcpOption| SynOption::is_experimental(option.kind);
    let found = syn::options(&packet).into_iter().find(offers);
    Ok(found.map(|option| SynOption { kind: option.kind, data: option.data }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_converts_a_syn_offers_nothing() {
        if !test_support::as_root() {
            return;
        }
        assert_eq!(of_this_kernel(|_| Ok(())).unwrap(), None);
    }
}
