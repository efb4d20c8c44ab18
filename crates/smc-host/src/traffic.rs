//! What the kernel tells of a pod's connections. A look opens sockets in the pod's namespace and closes them again:
//! nothing of it keeps the namespace. It loads no SMC module.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use smc_abi::diag::{self, IpFamily, Mode, SmcSocket, SmcState, TcpSocket, TcpState};
use smc_abi::smc::{FallbackStats, Role, Stats};
use smc_model::{
    Connection, Connections, Counters, PnetId, PodTraffic, Side, SideCounters, TrafficPath, Transport,
};

use crate::genl::SmcFamilies;
use crate::kernel::module_is_loaded;
use crate::listeners::holders;
use crate::netlink::{self, Protocol};
use crate::netns::Netns;
use crate::sockopt::new_tcp_sockets_are_smc;
use crate::{HostError, guard, pnet, route, smc};

/// What is looked for beside the counters, which are cheap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Want {
    /// The connections. For each such look the kernel goes through the sockets of all namespaces.
    pub connections: bool,
    /// What was set up in the namespace.
    pub set_up: bool,
    /// The guard's program that interfaces must have, by the kernel's number of it; else any of ours.
    pub guard_program: Option<u32>,
}

/// What a visit showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The counters.
    pub counters: Counters,
    /// The connections, when they were wanted.
    pub connections: Option<Connections>,
    /// The set-up, when it was wanted.
    pub set_up: Option<SetUp>,
}

/// What is in place in a pod's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetUp {
    /// PNETIDs by interface.
    pub pnetids: BTreeMap<String, PnetId>,
    /// Whether a new TCP socket is an SMC socket.
    pub converts: bool,
    /// Interfaces that carry traffic and have not the same-node guard's program.
    pub unguarded: Vec<String>,
}

/// Counters and connections of the namespace, and what is set up in it, where smc is loaded. `same_node` are the addresses
/// of this node's pods; `proc`, the host's `/proc`, tells which TCP sockets programs have.
pub fn look(netns: &Netns, same_node: &BTreeSet<IpAddr>, proc: &Path) -> Result<PodTraffic, HostError> {
    let held = |inodes: &BTreeSet<u64>| holders(proc, netns.id(), inodes).into_keys().collect();
    netns.run(|| {
        let counted = match families()? {
            Some(families) => counters(&mut netlink::Connection::open(Protocol::Generic)?, families)?,
            None => Counters::default(),
        };
        Ok(PodTraffic { counters: counted, connections: connections(same_node, held)? })
    })?
}

/// What is set up in the namespace that the calling thread is in.
fn set_up(
    generic: &mut netlink::Connection,
    families: SmcFamilies,
    guard_program: Option<u32>,
) -> Result<SetUp, HostError> {
    let entries = pnet::list(generic, families.pnetid)?;
    let pnetids = pnet::netdevs(&entries).into_iter().map(|(netdev, id)| (netdev.to_owned(), id));
    let unguarded = guard::unguarded(&mut netlink::Connection::open(Protocol::Route)?, guard_program)?;
    Ok(SetUp { pnetids: pnetids.collect(), converts: new_tcp_sockets_are_smc()?, unguarded })
}

/// The numbers of SMC's families, where smc is loaded.
pub fn families() -> Result<Option<SmcFamilies>, HostError> {
    if !module_is_loaded("smc") {
        return Ok(None);
    }
    SmcFamilies::find(&mut netlink::Connection::open(Protocol::Generic)?)
}

/// Looks at the namespace that the calling thread is in. `want` says what is looked for beside the counters.
pub fn visit(
    families: SmcFamilies,
    want: impl FnOnce(&Counters) -> Want,
    same_node: &BTreeSet<IpAddr>,
) -> Result<Visit, HostError> {
    let mut generic = netlink::Connection::open(Protocol::Generic)?;
    let counters = counters(&mut generic, families)?;
    let want = want(&counters);
    let set_up = if want.set_up { Some(set_up(&mut generic, families, want.guard_program)?) } else { None };
    // Whether a program has a TCP socket is nothing that judging asks for.
    let connections = if want.connections { Some(connections(same_node, BTreeSet::clone)?) } else { None };
    Ok(Visit { counters, connections, set_up })
}

/// The counters of the namespace that `generic` was opened in.
pub fn counters(generic: &mut netlink::Connection, families: SmcFamilies) -> Result<Counters, HostError> {
    let stats = smc::stats(generic, families.smc)?;
    Ok(counted(&stats, &smc::fallback_stats(generic, families.smc)?))
}

/// The connections of the calling thread's namespace. Without smc all are plain TCP; without `smc_diag` nobody can tell.
/// `held` says which of these inodes are sockets that programs have.
fn connections(
    same_node: &BTreeSet<IpAddr>,
    held: impl FnOnce(&BTreeSet<u64>) -> BTreeSet<u64>,
) -> Result<Connections, HostError> {
    let with_smc = module_is_loaded("smc");
    if with_smc && !module_is_loaded("smc_diag") {
        return Ok(Connections::Unknown { why: "smc_diag is not loaded".to_owned() });
    }
    let mut diagnosis = netlink::Connection::open(Protocol::SockDiag)?;
    // SMC before TCP: a connection that comes in between is plain TCP for once, and none is lost.
    let smc = if with_smc { smc_sockets(&mut diagnosis) } else { Ok(Some(Vec::new())) };
    let Some(mut smc) = smc? else {
        return Ok(Connections::Unknown { why: "the kernel lists no SMC sockets (smc_diag)".to_owned() });
    };
    let tcp = tcp_sockets(&mut diagnosis)?;
    diag::join(&mut smc, &tcp);
    let own = route::addresses(&mut netlink::Connection::open(Protocol::Route)?)?;
    let own = own.into_iter().map(|(_, net)| IpAddr::V4(net.address())).collect();
    let mut joined = joined(&smc, &tcp, &own, same_node);
    let inodes = joined.iter().filter_map(|(_, inode)| *inode).collect::<BTreeSet<_>>();
    if !inodes.is_empty() {
        let held = held(&inodes);
        for (connection, inode) in &mut joined {
            if inode.is_some_and(|inode| !held.contains(&inode)) {
                connection.transport = Transport::NoProgram;
            }
        }
    }
    Ok(Connections::Known(joined.into_iter().map(|(connection, _)| connection).collect()))
}

/// `None` where the kernel does not know SMC sockets.
fn smc_sockets(diagnosis: &mut netlink::Connection) -> Result<Option<Vec<SmcSocket>>, HostError> {
    let attempt = "list the SMC sockets";
    let answers = match diagnosis.request(&attempt, &diag::smc_sockets()) {
        Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(None),
        answers => answers?,
    };
    let sockets = answers.iter().map(|answer| diag::parse_smc_socket(&answer.body));
    sockets.collect::<Result<_, _>>().map(Some).map_err(HostError::at(attempt))
}

/// All TCP sockets but those that wait for nothing but time (`TIME_WAIT` is 6, `CLOSE` 7).
fn tcp_sockets(diagnosis: &mut netlink::Connection) -> Result<Vec<TcpSocket>, HostError> {
    let attempt = "list the TCP sockets";
    let states: u32 = [1, 2, 3, 4, 5, 8, 9, 10, 11].map(|number| TcpState::from(number).bit()).iter().sum();
    let mut sockets = Vec::new();
    for family in [IpFamily::V4, IpFamily::V6] {
        for answer in diagnosis.request(&attempt, &diag::tcp_sockets(family, states))? {
            sockets.push(diag::parse_tcp_socket(&answer.body).map_err(HostError::at(attempt))?);
        }
    }
    Ok(sockets)
}

fn counted(stats: &Stats, fallbacks: &[FallbackStats]) -> Counters {
    let of = |role: Role| {
        let fallbacks = fallbacks.iter().filter(|stats| stats.role == role && stats.count > 0);
        fallbacks.map(|stats| (stats.reason, stats.count)).collect::<BTreeMap<_, _>>()
    };
    Counters {
        client: SideCounters {
            smcr_v1: stats.smcr.client_v1,
            smcr_v2: stats.smcr.client_v2,
            errors: stats.client_handshake_errors,
            fallbacks: of(Role::Client),
        },
        server: SideCounters {
            smcr_v1: stats.smcr.server_v1,
            smcr_v2: stats.smcr.server_v2,
            errors: stats.server_handshake_errors,
            fallbacks: of(Role::Server),
        },
    }
}

/// The connections: SMC sockets that have one, and the TCP sockets that are no part of an SMC socket, with their inodes. `smc`
/// was joined with `tcp` before. On Alibaba's kernel a converted socket is one object, which both lists have with its inode.
fn joined(
    smc: &[SmcSocket],
    tcp: &[TcpSocket],
    own: &BTreeSet<IpAddr>,
    same_node: &BTreeSet<IpAddr>,
) -> Vec<(Connection, Option<u64>)> {
    let listening = tcp.iter().filter(|socket| socket.state == TcpState::Listen);
    let listening: BTreeSet<u16> = listening.map(|socket| socket.local.port()).collect();
    let path =
        |local: SocketAddr, remote: SocketAddr| TrafficPath::between(local.ip(), remote.ip(), own, same_node);
    // Whoever has the port of a listener was accepted by it, or nearly always was.
    let side =
        |local: SocketAddr| Some(if listening.contains(&local.port()) { Side::Server } else { Side::Client });
    let mut connections = Vec::new();
    let (mut inner, mut nameless) = (BTreeSet::new(), BTreeSet::new());
    for socket in smc {
        inner.insert((socket.local, socket.remote));
        if socket.remote.ip().is_unspecified() {
            nameless.insert((socket.local.port(), socket.remote.port()));
        }
        let Some(transport) = transport(socket) else { continue };
        let (local, remote) = (socket.local, socket.remote);
        let side = socket.link.as_ref().map(|link| side_of(link.role)).or_else(|| side(local));
        let (path, ipv6_socket) = (path(local, remote), i32::from(socket.family) == libc::AF_INET6);
        connections.push((Connection { local, remote, side, transport, path, ipv6_socket }, None));
    }
    let of_smc: BTreeSet<u64> = smc.iter().map(|socket| socket.inode).filter(|&inode| inode != 0).collect();
    let plain = tcp.iter().filter(|socket| {
        let (local, remote) = (socket.local, socket.remote);
        socket.state != TcpState::Listen
            && !of_smc.contains(&u64::from(socket.inode))
            && !inner.contains(&(local, remote))
            && !nameless.contains(&(local.port(), remote.port()))
    });
    connections.extend(plain.map(|socket| {
        let connection = Connection {
            local: socket.local,
            remote: socket.remote,
            side: side(socket.local),
            transport: Transport::PlainTcp,
            path: path(socket.local, socket.remote),
            ipv6_socket: false,
        };
        (connection, Some(u64::from(socket.inode)))
    }));
    connections
}

fn side_of(role: Role) -> Side {
    match role {
        Role::Client => Side::Client,
        Role::Server => Side::Server,
    }
}

/// `None` for sockets without a connection.
fn transport(socket: &SmcSocket) -> Option<Transport> {
    if matches!(socket.state, SmcState::Init | SmcState::Listen | SmcState::Closed) {
        return None;
    }
    match socket.mode? {
        Mode::SmcR => {
            let link = socket.link.as_ref();
            Some(Transport::SmcR {
                device: link.map_or_else(String::new, |link| link.device.clone()),
                port: link.map_or(0, |link| link.port),
                link: link.map_or(0, |link| link.link_id),
                gid: link.map_or_else(String::new, |link| link.gid.clone()),
                peer_gid: link.map_or_else(String::new, |link| link.peer_gid.clone()),
            })
        }
        Mode::SmcD => Some(Transport::SmcD),
        Mode::Tcp => {
            let fallback = socket.fallback.as_ref();
            Some(Transport::Fallback {
                reason: fallback.map_or(0, |fallback| fallback.reason),
                peer_diagnosis: fallback.map_or(0, |fallback| fallback.peer_diagnosis),
            })
        }
    }
}

#[cfg(test)]
mod tests;
