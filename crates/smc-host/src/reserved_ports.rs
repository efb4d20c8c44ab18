//! TCP ports that SMC takes for itself.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::sockopt::Ipv6V6Only;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind, setsockopt, socket,
};
use smc_model::Listener;

use crate::listeners::holders;
use crate::netns::Netns;

/// TCP ports that Alibaba's SMC opens in every network namespace for iWARP eRDMA, for its out-of-band handshake.
pub const RESERVED: RangeInclusive<u16> = 65500..=65515;
/// Where runtimes keep namespaces that may have no process.
const NAMED: &str = "/run/netns";

/// The reserved ports that somebody has, in any network namespace, with who has them as far as `proc` (the host's
/// `/proc`) shows it. To be called while smc is not loaded: later it has them itself.
///
/// Each port is bound for a moment: before Linux 6.8 no list shows a socket that is bound and neither listens nor is
/// connected. A namespace that cannot be entered is passed over.
pub fn taken(proc: &Path) -> Vec<Listener> {
    let mut seen = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for (namespace, process) in namespaces(proc) {
        let Ok(netns) = Netns::open(&namespace) else { continue };
        if !seen.insert(netns.id()) {
            continue;
        }
        let ports = netns.run(|| RESERVED.filter(|port| is_taken(*port)).collect::<Vec<_>>());
        for port in ports.unwrap_or_default() {
            let inodes = process.as_ref().map(|process| inodes(process, port)).unwrap_or_default();
            let holders = holders(proc, netns.id(), &inodes);
            if holders.is_empty() {
                taken.insert(Listener { port, process: None });
            }
            taken.extend(holders.into_values().map(|process| Listener { port, process: Some(process) }));
        }
    }
    taken.into_iter().collect()
}

/// Taken ports in words.
pub fn told(taken: &[Listener]) -> String {
    let told = taken.iter().map(|taken| match taken.process {
        Some(_) => taken.to_string(),
        None => format!("{taken} (by whom, the kernel does not show)"),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Files of namespaces, each with a process in it where there is one. The same namespace comes many times.
fn namespaces(proc: &Path) -> Vec<(PathBuf, Option<PathBuf>)> {
    let processes = fs::read_dir(proc).into_iter().flatten().flatten();
    let processes = processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    let of_processes = processes.map(|entry| (entry.path().join("ns/net"), Some(entry.path())));
    let named = fs::read_dir(NAMED).into_iter().flatten().flatten().map(|entry| (entry.path(), None));
    of_processes.chain(named).collect()
}

/// Whether a port of the calling thread's namespace cannot be had, for IPv4 or for IPv6.
fn is_taken(port: u16) -> bool {
    let v4 = SockaddrIn::from(std::net::SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port));
    let v6 = SockaddrIn6::from(std::net::SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0));
    let flags = SockFlag::SOCK_CLOEXEC;
    let v4 = socket(AddressFamily::Inet, SockType::Stream, flags, None)
        .and_then(|socket| bind(socket.as_raw_fd(), &v4));
    let v6 = socket(AddressFamily::Inet6, SockType::Stream, flags, None).and_then(|socket| {
        setsockopt(&socket, Ipv6V6Only, &true)?;
        bind(socket.as_raw_fd(), &v6)
    });
    [v4, v6].contains(&Err(Errno::EADDRINUSE))
}

/// The sockets of this local port in the namespace of a process, of those that the kernel lists.
fn inodes(process: &Path, port: u16) -> BTreeSet<u64> {
    let tables = ["net/tcp", "net/tcp6"].map(|table| fs::read_to_string(process.join(table)));
    let sockets = tables.iter().flatten().flat_map(|text| sockets(text));
    sockets.filter(|(local, _)| *local == port).map(|(_, inode)| inode).collect()
}

/// Local ports and inodes in `/proc/net/tcp`'s text (Documentation/networking/proc_net_tcp.rst).
fn sockets(table: &str) -> impl Iterator<Item = (u16, u64)> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        Some((port, fields.nth(7)?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests;
