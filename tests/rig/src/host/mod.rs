//! The rig as seen from this machine: bring nodes up, run commands and pods on them, take them down.
//!
//! Everything blocks. Do not call it from within an asynchronous runtime.
//!
//! ```no_run
//! use rig::host::{PodSpec, Rig, UpOptions};
//!
//! let rig = Rig::up(&UpOptions { bare: true, ..UpOptions::default() }, &|line| eprintln!("{line}"))?;
//! let server = rig.node(1)?.run_pod(&PodSpec::new("server", &["nginx", "-g", "daemon off;"]))?;
//! let client = rig.node(2)?.run_pod(&PodSpec::new("client", &["sleep", "infinity"]))?;
//! let page = client.exec(&["curl", "-s", &format!("http://{}/", server.ip)])?;
//! assert!(page.status.success());
//! # Ok::<(), rig::host::RigError>(())
//! ```
//!
//! One to three QEMU machines under software emulation, with this machine's own root, read-only over 9p. The emulator is that of Debian's
//! backports (`hack/setup`), on which a container starts in half the time of Debian 12's own. An emulated NIC with soft-RoCE is the RDMA
//! device; containerd and runc are real, and pods go through CRI. In front of `smc-cni` in the chain stands a stand-in for Terway with its
//! documented habits ([`crate::guest::terway`]: `terway-chainer`, version 0.4.0, /32 address, 169.254.1.1, sandbox = container id; with
//! `enable_erdma` also its PNETIDs). `api-server` stands in for kube-apiserver on a node's loopback where requests are counted and the switch is
//! flipped without a cluster: one `ASMMeshConfig`, real watches, every Event kept.
//!
//! A rig's emulators run in a network namespace of its own that no name holds: it goes with the last process in it, and this machine's own
//! namespace never sees any of it. The nodes hang on a bridge there, by taps (`network.rs`), so that whoever enters the namespace reaches nodes
//! and pods: a control plane, `hack/rig network -- curl …`. Where a machine has no `/dev/net/tun`, a socket joins two nodes instead. Each node
//! has a disk for what outlives a reboot (`/var/lib`, `/var/log`, `/etc/cni`, `/opt/cni`); `hack/rig reboot`, in order or by cutting the power,
//! keeps the disk and nothing else. An init of ours starts the node's services, and starts them again when they end.
//!
//! `--conversion sysctl` makes nodes that look like Alibaba's: a module of ours (`hack/guest/tcp2smc`, built by `hack/rig-module`) gives Linux
//! 6.12 `net.smc.tcp2smc`, and hides what that kernel has not. `--kernel-dir` boots any kernel.
//!
//! The agent is a container of `hack/image`'s image. [`manifests`] renders `daemonset/manifests`, and `workload.rs` tells the result to
//! containerd as the kubelet would: security context, mounts, arguments and environment under test are those that README's first command
//! applies to a cluster.

mod agent;
mod boot;
mod cri;
mod disk;
mod error;
mod guard;
mod images;
mod kernel;
mod logs;
mod network;
mod node;
mod options;
mod pod;
mod power;
mod processes;
mod qemu;
mod session;
mod spec;
mod state;
mod uninstall;
mod up;
mod workload;

use std::sync::Arc;

pub use agent::{Agent, Ending};
pub use error::RigError;
pub use logs::ContainerLogs;
pub use network::{Link, Network};
pub use node::Node;
pub use options::{Conversion, Families, Kernel, RigName, UpOptions};
pub use pod::Pod;
pub use power::PowerCut;
pub(crate) use processes::end_named;
pub use session::{NodeCommand, RunningCommand};
pub use spec::{ContainerSpec, MAIN_CONTAINER, Mount, PodSpec};
pub use state::{StateDirectory, repository};
pub use up::Prepare;

use self::guard::Guard;
use self::session::Token;
use self::state::RigState;
use crate::layout::NodeNumber;

/// Told one line for each step of [`Rig::up`].
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// A rig that is up. The process that brought it up takes it down on drop, unless [`Rig::keep`] was called.
#[derive(Debug)]
pub struct Rig {
    name: RigName,
    directory: StateDirectory,
    state: RigState,
    token: Token,
    network: Arc<Network>,
    owned: Option<Owned>,
}

/// What only the process that brought the rig up has.
#[derive(Debug)]
struct Owned {
    guard: Guard,
    emulators: Vec<boot::BootingNode>,
}

impl Rig {
    /// A rig that another process brought up, or this one has kept. Dropping it leaves it up.
    pub fn attach(name: &RigName) -> Result<Self, RigError> {
        let directory = StateDirectory::of(name);
        let state = directory.read(name)?;
        let Some(emulator) = processes::emulators_in(directory.path()).pop() else {
            return Err(RigError::NotUp { name: name.to_string() });
        };
        let network = Arc::new(Network::of(emulator)?);
        let token = directory.token()?;
        Ok(Self { name: name.clone(), directory, state, token, network, owned: None })
    }

    /// Lets the rig outlive this process.
    pub fn keep(&mut self) {
        if let Some(owned) = self.owned.take() {
            owned.guard.dismiss();
        }
    }

    /// Ends the rig of this name and removes its state directory; returns how many nodes there were. There need not be
    /// such a rig.
    pub fn down(name: &RigName) -> Result<usize, RigError> {
        let directory = StateDirectory::of(name);
        let ended = processes::end_all(directory.path());
        directory.remove()?;
        Ok(ended)
    }

    /// The rig's name.
    pub fn name(&self) -> &RigName {
        &self.name
    }

    /// Where its logs are.
    pub fn directory(&self) -> &StateDirectory {
        &self.directory
    }

    /// Whether it was brought up without the agent.
    pub fn is_bare(&self) -> bool {
        self.state.options.bare
    }

    /// What it was brought up with.
    pub fn options(&self) -> &UpOptions {
        &self.state.options
    }

    /// The network that its nodes' emulators are on; with [`Link::Bridge`] whatever runs there reaches nodes and pods.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Node 1, 2 or 3.
    pub fn node(&self, number: u8) -> Result<Node<'_>, RigError> {
        self.nodes().find(|node| node.number() == number).ok_or(RigError::NoNode(number))
    }

    /// All nodes in the order of their numbers.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.state.nodes.iter().filter_map(|state| {
            let number = NodeNumber::new(state.number)?;
            let network = Arc::clone(&self.network);
            Some(Node::new(self, session::Address { node: number, network, token: self.token.clone() }))
        })
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(owned) = self.owned.take() {
            end(&self.directory, owned.guard, owned.emulators);
            let _ = self.directory.remove();
        }
    }
}

/// Ends the emulators and leaves the state directory, for its logs.
fn end(directory: &StateDirectory, guard: Guard, mut emulators: Vec<boot::BootingNode>) {
    processes::end_all(directory.path());
    emulators.iter_mut().for_each(boot::BootingNode::end);
    guard.dismiss();
}
