//! Whether an attachment is over whose DEL never came.
//!
//! That its runtime does not list it proves nothing: a sandbox is listed only after its network is set up, which takes long on a
//! loaded node, and a second runtime on the node knows nothing of the first one's pods.

use std::path::Path;
use std::time::Duration;

use smc_host::netlink::{Connection, Protocol};
use smc_host::netns::Netns;
use smc_host::{HostError, listeners, route};
use smc_state::Record;

/// How old a record must be whose namespace is gone: the runtime may be about to send the DEL.
const GONE_FOR: Duration = Duration::from_secs(60);
/// How old one must be whose namespace is there without a process: the kubelet gives a sandbox four minutes.
const EMPTY_FOR: Duration = Duration::from_secs(300);

/// What there is of an attachment besides its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remains {
    /// Its namespace is gone.
    Nothing,
    /// Another namespace has its path.
    Another,
    /// Its namespace.
    Namespace {
        /// Whether a process is in it.
        processes: bool,
        /// Whether the host's way to one of its addresses still leads into it.
        reachable: bool,
    },
}

impl Remains {
    /// Looks, as far as `proc`, the host's `/proc`, shows processes.
    ///
    /// # Errors
    /// When it cannot be told: then nothing is over.
    pub fn of(record: &Record, proc: &Path) -> Result<Self, HostError> {
        let netns = match Netns::open(&record.netns) {
            Ok(netns) => netns,
            Err(error) => {
                // A path that is there, but no namespace (any more), has no number.
                let gone = matches!(error.errno(), None | Some(libc::ENOENT | libc::ENOTDIR));
                return if gone { Ok(Self::Nothing) } else { Err(error) };
            }
        };
        if record.netns_id.is_some_and(|id| id != netns.id()) {
            return Ok(Self::Another);
        }
        let mut inside = netns.connect()?;
        // Inode numbers are given again, cookies never.
        if record.cookie.zip(inside.cookie).is_some_and(|(then, now)| then != now) {
            return Ok(Self::Another);
        }
        let processes = listeners::is_inhabited(proc, netns.id())?;
        Ok(Self::Namespace { processes, reachable: is_reachable(record, &mut inside.route)? })
    }

    /// Whether the attachment may be ended that these are of, so long after its record was begun.
    pub fn are_over(self, age: Duration) -> bool {
        match self {
            Self::Nothing | Self::Another => age >= GONE_FOR,
            Self::Namespace { processes, reachable } => !processes && !reachable && age >= EMPTY_FOR,
        }
    }
}

/// Whether the host sends packets for one of the record's addresses into an interface whose other end is in the namespace, also
/// without the route of ours that holds them.
fn is_reachable(record: &Record, inside: &mut Connection) -> Result<bool, HostError> {
    let mut host = Connection::open(Protocol::Route)?;
    for address in record.owned.addresses() {
        let Some(way) = route::way_to(&mut host, address)?.filter(|way| !way.local) else { continue };
        let Some(interface) = route::interface_without_hold(&mut host, address, &way)? else { continue };
        let Some(peer) = route::link(&mut host, interface)?.and_then(|link| link.peer) else { continue };
        if route::link(inside, peer)?.is_some_and(|link| link.peer == Some(interface)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
