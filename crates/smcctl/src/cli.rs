//! The command line.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::probe::Stage;

/// Says whether this node's pods speak SMC-R, why not, and what to do.
///
/// Reads the kernel and the files under /run/kube-smc; works without the agent. Run it on the node as root, or in the
/// agent's pod: kubectl exec -n kube-system ds/smc-agent -- /smcctl doctor
#[derive(Debug, Parser)]
#[command(name = "smcctl", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// Where to look, and how to tell it.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 fine, 1 a problem was found, 2 it could not be looked at.

Examples:
  smcctl doctor                          is this node fit for SMC-R? One line for each check, with the fix
  smcctl pods                            every annotated pod of this node, and what its connections became
  smcctl explain 0x03010000              what a fallback code means, its likely causes, and how to tell them apart
  smcctl pods --json | jq '.pods[] | select(.verdict != \"configured\")'";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Print JSON, with stable field names
    #[arg(long, global = true)]
    pub json: bool,
    /// Where agent and plugin keep their state
    #[arg(long, global = true, value_name = "DIR", default_value = smc_state::DEFAULT_STATE_DIR, hide_short_help = true)]
    pub state_dir: PathBuf,
    /// The host's /proc; in the agent's container /host/proc is taken when it is there
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    pub proc: Option<PathBuf>,
    /// The node's CNI configurations
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/etc/cni/net.d",
        env = "SMC_AGENT_CONF_DIR",
        hide_short_help = true
    )]
    pub conf_dir: PathBuf,
    /// The node's CNI programs
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/opt/cni/bin",
        env = "SMC_AGENT_BIN_DIR",
        hide_short_help = true
    )]
    pub bin_dir: PathBuf,
    /// Take what `smcctl facts` printed, on this node or another, instead of looking
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub facts: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the node: kernel, RDMA, SMC, chain, pods; one line each, with the fix
    #[command(after_help = DOCTOR)]
    Doctor,
    /// The node at a glance
    Status,
    /// Every annotated pod: interface, device, PNETID, verdict, connections, top reason
    #[command(after_help = PODS)]
    Pods,
    /// Everything about one pod: verdict, plan with timings, notes, connections, what to do
    #[command(after_help = POD)]
    Pod {
        /// The pod's name, or NAMESPACE/NAME
        name: String,
    },
    /// Each connection of the annotated pods: peers, transport, device, link group, or why it is TCP
    #[command(after_help = CONNS)]
    Conns {
        /// Only this pod's: its name, or NAMESPACE/NAME
        #[arg(long, value_name = "NAME")]
        pod: Option<String>,
    },
    /// What a reason means, its likely causes, and how to tell them apart
    #[command(after_help = EXPLAIN)]
    Explain {
        /// A code, a name, or a constant of the kernel; none lists all
        #[arg(value_name = "CODE|NAME")]
        reason: Option<String>,
    },
    /// How many more peers and connections this node's queue pairs allow
    #[command(after_help = CAPACITY)]
    Capacity {
        /// Accelerated pods of this node to reckon with
        #[arg(long, value_name = "N", requires = "peers")]
        pods: Option<u64>,
        /// Accelerated pods on other nodes that each of them talks to
        #[arg(long, value_name = "M", requires = "pods")]
        peers: Option<u64>,
        /// Connections between each two of them
        #[arg(long, value_name = "K", default_value_t = 1)]
        connections: u64,
    },
    /// Prove it with a connection of an unmodified TCP socket between throw-away namespaces
    #[command(after_help = SELFTEST)]
    Selftest {
        /// What to do; without it both ends are on this node
        #[command(subcommand)]
        side: Option<Side>,
        /// What is sent
        #[command(flatten)]
        load: Load,
    },
    /// Ask this pod's own agent, as its probes do
    #[command(after_help = PROBE)]
    Probe {
        /// What is asked
        stage: Stage,
        /// The UID of the pod whose agent alone is believed
        #[arg(long, value_name = "UID", env = "POD_UID")]
        pod_uid: Option<String>,
    },
    /// Print all that the other commands decide from, as JSON, for a report
    Facts,
    /// Print the completion script for a shell
    #[command(hide = true)]
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man {
        /// The directory
        dir: PathBuf,
    },
}

/// One end of a self-test between two nodes.
#[derive(Debug, Subcommand)]
pub enum Side {
    /// Listen on a throw-away address of the pods' subnet until a test has come
    Serve,
    /// Connect to the address that `selftest serve` printed on the other node
    Connect {
        /// Address, or address:port
        #[arg(value_parser = peer)]
        address: (Ipv4Addr, u16),
    },
}

/// What a self-test sends, and from where.
#[derive(Debug, Clone, Args)]
pub struct Load {
    /// The throw-away namespace's address; otherwise a free one of the pods' subnet is taken
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub ip: Option<Ipv4Addr>,
    /// How much to send in each direction
    #[arg(long, global = true, value_name = "BYTES", default_value_t = 1 << 20)]
    pub bytes: u64,
    /// Give up after this many seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 120)]
    pub timeout: u64,
}

/// The port of a self-test, unless said otherwise.
pub const PORT: u16 = 18_515;

fn peer(text: &str) -> Result<(Ipv4Addr, u16), String> {
    let (address, port) = match text.split_once(':') {
        Some((address, port)) => (address, port.parse().map_err(|_| format!("{port:?} is no port"))?),
        None => (text, PORT),
    };
    let address = address.parse().map_err(|_| format!("{address:?} is no IPv4 address"))?;
    Ok((address, port))
}

const DOCTOR: &str = "\
✓ is fine, ✗ a problem, ? could not be looked at. No module is loaded for it and nothing is left changed: conversion is
tried in a throw-away network namespace, which is registered for that moment.

Examples:
  smcctl doctor
  smcctl doctor --json | jq -r '.checks[] | select(.state == \"problem\") | .fix'";
const PODS: &str = "\
Examples:
  smcctl pods
  smcctl pods --json | jq '.pods[] | {name, verdict, top_reason}'";
const POD: &str = "\
Examples:
  smcctl pod fortio-client
  smcctl pod shop/cart-7d9c8b7d5-x2x9k --json";
const CONNS: &str = "\
Examples:
  smcctl conns
  smcctl conns --pod shop/cart-7d9c8b7d5-x2x9k
  smcctl conns --json | jq '[.connections[] | select(.transport == \"TCP\")] | length'";
const EXPLAIN: &str = "\
Examples:
  smcctl explain 0x03010000
  smcctl explain PeerWithoutSmc
  smcctl explain SMC_CLC_DECL_NOSMCDEV
  smcctl explain                         every reason, a line each";
const CAPACITY: &str = "\
Every two pods that talk SMC-R hold one link group for each direction in which connections are opened, and each link
group holds queue pairs at both ends, for up to 255 connections (32 on Alibaba's kernel).

Examples:
  smcctl capacity
  smcctl capacity --pods 30 --peers 8";
const PROBE: &str = "\
Asked at the agent's socket, which no other program can have, as it could a port. Where POD_UID is set, as in the agent's
container, only the agent of that pod is believed: while a new version waits for the old one to end, the old one answers.

Examples:
  smcctl probe alive
  smcctl probe started                   waits for up to 55 s";
const SELFTEST: &str = "\
A throw-away network namespace is set up exactly as pods are, data is sent through an ordinary TCP socket, and every byte
is compared. On one node SMC-R through one RDMA device cannot work on mainline kernels, so there the test shows that
sockets are converted, that the fallback is the expected one, and that the data is intact.

Examples:
  smcctl selftest                        both ends on this node
  smcctl selftest serve                  on one node: prints the address to connect to
  smcctl selftest connect 10.0.0.190     on the other node";

#[cfg(test)]
mod tests;
