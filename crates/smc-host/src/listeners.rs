//! Listening sockets of a pod that are older than its conversion, and whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use smc_abi::diag::{self, IpFamily, SmcState, TcpState};
use smc_model::{Listener, NetnsId, Process, SmcListener, TcpListener, old_listeners};

use crate::HostError;
use crate::netlink::{Connection, Protocol};
use crate::netns::Netns;

/// The pod's listening TCP sockets that are no SMC sockets, with their processes as far as `proc` (the host's `/proc`)
/// shows them.
pub fn old(netns: &Netns, proc: &Path) -> Result<Vec<Listener>, HostError> {
    let mut connection = netns.run(|| Connection::open(Protocol::SockDiag))??;
    let mut listening = tcp(&mut connection, IpFamily::V4)?;
    listening.extend(tcp(&mut connection, IpFamily::V6)?);
    if listening.is_empty() {
        return Ok(Vec::new());
    }
    let old = old_listeners(&listening, &smc(&mut connection)?);
    if old.is_empty() {
        return Ok(Vec::new());
    }
    let inodes = old.iter().map(|listener| listener.inode).collect();
    Ok(with_processes(&old, &holders(proc, netns.id(), &inodes)))
}

/// Who listens on a TCP port in the network namespace of this thread, as far as `proc` shows processes.
pub fn of_port(port: u16, proc: &Path) -> Result<Vec<Process>, HostError> {
    let mut connection = Connection::open(Protocol::SockDiag)?;
    let mut listening = tcp(&mut connection, IpFamily::V4)?;
    listening.extend(tcp(&mut connection, IpFamily::V6)?);
    let inodes = listening.iter().filter(|listener| listener.port == port).map(|listener| listener.inode);
    let holders = holders(proc, Netns::current()?.id(), &inodes.collect());
    let processes: BTreeSet<Process> = holders.into_values().collect();
    Ok(processes.into_iter().collect())
}

fn tcp(connection: &mut Connection, family: IpFamily) -> Result<Vec<TcpListener>, HostError> {
    let attempt = "list the listening TCP sockets";
    let answers = connection.request(&attempt, &diag::tcp_sockets(family, TcpState::Listen.bit()))?;
    let sockets = answers.iter().map(|answer| diag::parse_tcp_socket(&answer.body));
    sockets
        .map(|socket| {
            let socket = socket.map_err(HostError::at(attempt))?;
            let (address, port) = (socket.local.ip(), socket.local.port());
            Ok(TcpListener { address, port, inode: socket.inode.into() })
        })
        .collect()
}

fn smc(connection: &mut Connection) -> Result<Vec<SmcListener>, HostError> {
    let attempt = "list the SMC sockets";
    let mut listening = Vec::new();
    for answer in connection.request(&attempt, &diag::smc_sockets())? {
        let socket = diag::parse_smc_socket(&answer.body).map_err(HostError::at(attempt))?;
        if socket.state == SmcState::Listen {
            listening.push(SmcListener { port: socket.local.port(), inode: socket.inode });
        }
    }
    Ok(listening)
}

/// A port's listeners by the processes that hold them. The TCP socket within an SMC socket is held by none, so it falls
/// away where others of its port are held; where no process can be found, the port is told alone.
fn with_processes(old: &[TcpListener], holders: &BTreeMap<u64, Process>) -> Vec<Listener> {
    let mut ports: BTreeMap<u16, BTreeSet<&Process>> = BTreeMap::new();
    for listener in old {
        ports.entry(listener.port).or_default().extend(holders.get(&listener.inode));
    }
    let of_port = |(port, processes): (u16, BTreeSet<&Process>)| {
        if processes.is_empty() {
            return vec![Listener { port, process: None }];
        }
        processes.into_iter().map(|process| Listener { port, process: Some(process.clone()) }).collect()
    };
    ports.into_iter().flat_map(of_port).collect()
}

/// Which process of the namespace holds which socket. A process that ends meanwhile, or that may not be looked at, is
/// passed over.
pub(crate) fn holders(proc: &Path, netns: NetnsId, inodes: &BTreeSet<u64>) -> BTreeMap<u64, Process> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(proc) else { return found };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let process = entry.path();
        let Ok(namespace) = fs::metadata(process.join("ns/net")) else { continue };
        if (NetnsId { device: namespace.dev(), inode: namespace.ino() }) != netns {
            continue;
        }
        let Ok(files) = fs::read_dir(process.join("fd")) else { continue };
        let held = files.flatten().filter_map(|file| socket_inode(&fs::read_link(file.path()).ok()?));
        for inode in held.filter(|inode| inodes.contains(inode)) {
            found.entry(inode).or_insert_with(|| {
                let name = fs::read(process.join("comm")).unwrap_or_default();
                Process { name: printable(&name), pid }
            });
        }
    }
    found
}

/// A process' name as it may be shown: it is whatever the process says, and goes into Events, logs and terminals. What is not
/// printed as itself is escaped.
fn printable(name: &[u8]) -> String {
    let name = name.strip_suffix(b"\n").unwrap_or(name);
    let shown = |character: char| {
        let escaped = character.escape_debug();
        // It also escapes what is only special within quotation marks.
        if matches!(character, '\'' | '"') { character.to_string() } else { escaped.to_string() }
    };
    String::from_utf8_lossy(name).chars().map(shown).collect()
}

/// Whether a process is in the namespace.
///
/// # Errors
/// When `proc` does not show all processes, and none of those that it shows is in there.
pub fn is_inhabited(proc: &Path, netns: NetnsId) -> Result<bool, HostError> {
    let attempt = format_args!("look for processes of a network namespace in {}", proc.display());
    let mut hidden = None;
    for entry in fs::read_dir(proc).map_err(HostError::at(attempt))? {
        let entry = entry.map_err(HostError::at(attempt))?;
        if !entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            continue;
        }
        match fs::metadata(entry.path().join("ns/net")) {
            Ok(found) if (NetnsId { device: found.dev(), inode: found.ino() }) == netns => return Ok(true),
            Ok(_) => {}
            // It ended meanwhile.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => {}
            Err(error) => hidden = Some(error),
        }
    }
    hidden.map_or(Ok(false), |error| Err(HostError::at(attempt)(error)))
}

/// The inode of `socket:[123]`.
fn socket_inode(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests;
