use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::{SmcSocket, SmcState, TcpSocket, TcpState};

/// What an SMC socket without addresses and its internal TCP socket have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ports {
    local: u16,
    remote: u16,
    listening: bool,
}

/// Fills in the addresses of SMC sockets that the kernel reports without (those made with `IPPROTO_SMC`,
/// net/smc/smc_diag.c), from the TCP socket that has the same ports in the same namespace.
///
/// Where several sockets share both ports, it cannot be told which is which: those stay as they are.
pub fn join(smc: &mut [SmcSocket], tcp: &[TcpSocket]) {
    let mut nameless = BTreeMap::<Ports, usize>::new();
    let mut taken = BTreeSet::new();
    for socket in smc.iter() {
        if is_nameless(socket) {
            *nameless.entry(smc_ports(socket)).or_default() += 1;
        } else {
            taken.insert((socket.local, socket.remote));
        }
    }
    let mut addresses = BTreeMap::<Ports, BTreeSet<(SocketAddr, SocketAddr)>>::new();
    for socket in tcp {
        let ports = Ports {
            local: socket.local.port(),
            remote: socket.remote.port(),
            listening: socket.state == TcpState::Listen,
        };
        if nameless.get(&ports) == Some(&1) && !taken.contains(&(socket.local, socket.remote)) {
            addresses.entry(ports).or_default().insert((socket.local, socket.remote));
        }
    }
    for socket in smc.iter_mut().filter(|socket| is_nameless(socket)) {
        let Some(candidates) = addresses.get(&smc_ports(socket)) else { continue };
        if let (1, Some(&(local, remote))) = (candidates.len(), candidates.first()) {
            (socket.local, socket.remote) = (local, remote);
        }
    }
}

fn is_nameless(socket: &SmcSocket) -> bool {
    let unspecified = socket.local.ip().is_unspecified() && socket.remote.ip().is_unspecified();
    unspecified && socket.local.port() != 0
}

fn smc_ports(socket: &SmcSocket) -> Ports {
    Ports {
        local: socket.local.port(),
        remote: socket.remote.port(),
        listening: socket.state == SmcState::Listen,
    }
}

#[cfg(test)]
mod tests;
