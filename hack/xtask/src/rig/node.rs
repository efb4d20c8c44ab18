//! One node of a rig that is up.

use std::net::Ipv4Addr;
use std::process::Output;

use super::session::{Address, NodeCommand};
use super::{Rig, RigError};

/// A node; all its operations block.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    rig: &'a Rig,
    address: Address,
}

impl<'a> Node<'a> {
    pub(crate) fn new(rig: &'a Rig, address: Address) -> Self {
        Self { rig, address }
    }

    /// 1 or 2.
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
}
