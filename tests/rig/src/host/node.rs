//! One node of a rig that is up.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Output;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cri::Cri;
use super::session::{Address, NodeCommand};
use super::{Rig, RigError};
use crate::layout::NodeNumber;

/// How long containerd may take to start after the node has booted.
const RUNTIME_LIMIT: Duration = Duration::from_secs(120);

/// A node; all its operations block.
#[derive(Clone)]
pub struct Node<'a> {
    rig: &'a Rig,
    address: Address,
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({} of rig {:?})", self.number(), self.rig.name().as_str())
    }
}

impl<'a> Node<'a> {
    pub(crate) fn new(rig: &'a Rig, address: Address) -> Self {
        Self { rig, address }
    }

    pub(crate) fn layout_number(&self) -> NodeNumber {
        self.address.node
    }

    /// 1, 2 or 3.
    pub fn number(&self) -> u8 {
        self.address.node.get()
    }

    /// The rig it belongs to.
    pub fn rig(&self) -> &'a Rig {
        self.rig
    }

    /// The node's own address on its RDMA-capable NIC.
    pub fn ip(&self) -> Ipv4Addr {
        self.address.node.address()
    }

    /// A command to be run as root on the node; see [`NodeCommand`] for what can be set.
    pub fn command(&self, argv: &[impl AsRef<str>]) -> NodeCommand {
        NodeCommand::new(self.address.clone(), argv)
    }

    /// Runs a command on the node without input. An unsuccessful end is not an error.
    pub fn exec(&self, argv: &[impl AsRef<str>]) -> Result<Output, RigError> {
        self.command(argv).output()
    }

    /// Files on this machine: what the emulator printed, and the node's serial console.
    pub fn console_logs(&self) -> [PathBuf; 2] {
        let directory = self.rig.directory();
        [directory.emulator_log(self.address.node), directory.serial_log(self.address.node)]
    }

    pub(crate) fn cri(&self) -> Result<Cri, RigError> {
        Cri::connect(&self.address)
    }

    /// Waits until containerd can start pods.
    pub(crate) fn await_runtime(&self) -> Result<(), RigError> {
        let end = Instant::now() + RUNTIME_LIMIT;
        let mut cri = None;
        loop {
            // Until containerd listens, the node refuses the connection.
            if cri.is_none() {
                cri = self.cri().ok();
            }
            match cri.as_ref().map(Cri::is_ready) {
                Some(Ok(true)) => return Ok(()),
                Some(Ok(false)) | None => {}
                Some(Err(_)) => cri = None,
            }
            if Instant::now() > end {
                let what = "containerd's start, with both images (see rig logs),".to_owned();
                return Err(RigError::Timeout {
                    what,
                    node: self.number(),
                    seconds: RUNTIME_LIMIT.as_secs(),
                });
            }
            sleep(Duration::from_millis(200));
        }
    }
}
