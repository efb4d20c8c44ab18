//! Listening sockets that are older than a pod's conversion.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A program's listening TCP socket: what it accepts stays TCP.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// The program's name and process id on the node, where they could be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
}

/// A process of the node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Process {
    /// Its name (`/proc/PID/comm`).
    pub name: String,
    /// Its id in the node's own PID namespace.
    pub pid: u32,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some(Process { name, pid }) => write!(f, "port {} ({name}, process {pid})", self.port),
            None => write!(f, "port {}", self.port),
        }
    }
}

/// A TCP socket that listens, as the kernel lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpListener {
    /// Where it listens.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// Its inode.
    pub inode: u64,
}

/// An SMC socket that listens, as the kernel lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmcListener {
    /// The port.
    pub port: u16,
    /// Its inode.
    pub inode: u64,
}

/// Which listening TCP sockets are the pod's own and no part of an SMC socket.
///
/// On mainline each SMC socket that listens has a TCP socket within, which the kernel lists among the others: where a port has
/// more TCP than SMC listeners, some are old. On Alibaba's kernel a converted socket is one object, which is in both lists with
/// its one inode. Listeners on the loopback never carry RDMA and are left out, except on a port that others share.
pub fn old_listeners(tcp: &[TcpListener], smc: &[SmcListener]) -> Vec<TcpListener> {
    // Nobody's inode is 0.
    let of_smc: BTreeSet<u64> =
        smc.iter().map(|listener| listener.inode).filter(|&inode| inode != 0).collect();
    let of_tcp: BTreeSet<u64> = tcp.iter().map(|listener| listener.inode).collect();
    let mut spare: BTreeMap<u16, usize> = BTreeMap::new();
    for listener in smc.iter().filter(|listener| !of_tcp.contains(&listener.inode)) {
        *spare.entry(listener.port).or_default() += 1;
    }
    let mut by_port: BTreeMap<u16, Vec<TcpListener>> = BTreeMap::new();
    for listener in tcp.iter().filter(|listener| !of_smc.contains(&listener.inode)) {
        by_port.entry(listener.port).or_default().push(*listener);
    }
    let mut old = Vec::new();
    for (port, listeners) in by_port {
        let of_smc = spare.get(&port).copied().unwrap_or_default();
        if listeners.len() > of_smc && !listeners.iter().all(|listener| listener.address.is_loopback()) {
            old.extend(listeners);
        }
    }
    old
}

#[cfg(test)]
mod tests;
