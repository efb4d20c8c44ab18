//! The network of a rig: a namespace of its own, in which its emulators run and everything that is to reach its nodes.
//!
//! Nothing of it is seen in this machine's own namespace. No name holds it: it goes with the last process in it.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use smc_host::HostError;
use smc_host::netns::Netns;

use super::RigError;
use super::options::Families;
use crate::layout::{
    NodeNumber, OUTSIDE_ADDRESS, OUTSIDE_ADDRESS_V6, RDMA_PREFIX, RDMA_PREFIX_V6, second_family,
};

const BRIDGE: &str = "nodes";
const TUN_DEVICE: &str = "/dev/net/tun";

/// What joins the nodes' RDMA NICs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// A bridge, one tap for each node: whoever enters the rig's network stands on it, too. Needs `/dev/net/tun`.
    Bridge,
    /// A socket between two emulators: nobody else can join.
    Socket,
}

impl Link {
    /// The bridge where this machine lets us have taps.
    pub fn of_this_machine() -> Self {
        let tun = OpenOptions::new().read(true).write(true).open(TUN_DEVICE);
        if tun.is_ok() { Self::Bridge } else { Self::Socket }
    }

    /// An error when this link cannot carry so many nodes.
    pub(crate) fn check(self, nodes: u8) -> Result<(), RigError> {
        if self == Self::Socket && nodes > 2 { Err(RigError::LinkTooSmall(nodes)) } else { Ok(()) }
    }
}

/// A rig's network namespace, held open by this value.
#[derive(Debug)]
pub struct Network {
    netns: Netns,
}

impl Network {
    /// Makes a namespace with what `link` needs in it; with IPv6 on the bridge where it is wanted.
    pub(crate) fn make(link: Link, families: Families) -> Result<Self, RigError> {
        let network = Self { netns: Netns::make()? };
        let lines = match link {
            Link::Bridge if families == Families::Both => bridge_batch() + &bridge_batch_v6(),
            Link::Bridge => bridge_batch(),
            Link::Socket => "link set lo up\n".to_owned(),
        };
        network.configure(&lines)?;
        Ok(network)
    }

    /// The namespace in which a rig's emulator runs.
    pub(crate) fn of(emulator: Pid) -> Result<Self, RigError> {
        Ok(Self { netns: Netns::open(Path::new(&format!("/proc/{emulator}/ns/net")))? })
    }

    /// Starts a program that sees this network and no other.
    pub fn spawn(&self, command: &mut Command) -> Result<io::Result<Child>, HostError> {
        self.netns.run(|| command.spawn())
    }

    /// Does something on this network, such as opening a connection, which stays on it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, HostError> {
        self.netns.run(work)
    }

    /// Runs `ip -batch` on this network.
    fn configure(&self, lines: &str) -> Result<(), RigError> {
        let start_error = |source| RigError::Start { program: "ip".to_owned(), source };
        let mut command = Command::new("ip");
        command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.spawn(&mut command)?.map_err(start_error)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(lines.as_bytes()).map_err(start_error)?;
        }
        let output = child.wait_with_output().map_err(start_error)?;
        if output.status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(RigError::Program { program: "ip -batch".to_owned(), stderr })
    }
}

/// The name of a node's tap on the bridge.
pub(crate) fn tap(node: NodeNumber) -> String {
    format!("node{}", node.get())
}

/// Taps for every node that there could be: one more can then join at any time.
fn bridge_batch() -> String {
    // Without an IPv6 address of its own, nothing of the bridge's is in what the nodes hear.
    let mut lines = format!(
        "link set lo up\n\
         link add {BRIDGE} type bridge forward_delay 0 mcast_snooping 0\n\
         address add {OUTSIDE_ADDRESS}/{RDMA_PREFIX} dev {BRIDGE}\n\
         link set {BRIDGE} up addrgenmode none\n"
    );
    for node in NodeNumber::ALL {
        let tap = tap(node);
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "tuntap add {tap} mode tap");
        let _ = writeln!(lines, "link set {tap} master {BRIDGE} up addrgenmode none");
        let _ = writeln!(lines, "route add {} via {} dev {BRIDGE}", node.pod_network(), node.address());
    }
    lines
}

/// What the second family needs on the bridge.
fn bridge_batch_v6() -> String {
    let mut lines = format!("address add {OUTSIDE_ADDRESS_V6}/{RDMA_PREFIX_V6} dev {BRIDGE} nodad\n");
    for node in NodeNumber::ALL {
        let (pods, node) = (node.pod_network_v6(), second_family(node.address()));
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "route add {pods} via {node} dev {BRIDGE}");
    }
    lines
}

#[cfg(test)]
mod tests;
