//! Ends nodes' power, and gives it back: reboots, and nodes that join later.

use std::process::Output;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::boot::{self, Parts};
use super::kernel::BootFiles;
use super::state::NodeState;
use super::up::guest_program;
use super::{Node, Progress, Rig, RigError, processes};
use crate::layout::{GUEST_PROGRAM, NodeNumber};

/// How long a node may take from being told to reboot to its emulator's end.
const END_LIMIT: Duration = Duration::from_secs(60);

/// How a node goes down before it boots again. Its disk, and nothing else, outlives either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerCut {
    /// `reboot`: its processes are told to end, what was written is on the disk.
    Orderly,
    /// The emulator is killed: what was not written yet is lost.
    Sudden,
}

impl Rig {
    /// Reboots a node and returns when its containerd answers again.
    pub fn reboot(&self, number: u8, cut: PowerCut, progress: Progress<'_>) -> Result<(), RigError> {
        let node = self.node(number)?;
        let emulator = self.emulator(number)?;
        if cut == PowerCut::Orderly {
            // The session ends with everything else on the node.
            let _: Result<Output, RigError> = node.exec(&[GUEST_PROGRAM, "reboot"]);
            let end = Instant::now() + END_LIMIT;
            while processes::of_rig(self.directory.path()).contains(&emulator) {
                if Instant::now() > end {
                    let what = "its end after it was told to reboot".to_owned();
                    return Err(RigError::Timeout { what, node: number, seconds: END_LIMIT.as_secs() });
                }
                sleep(Duration::from_millis(50));
            }
        }
        processes::end_one(self.directory.path(), emulator);
        progress(&format!("node {number} is down"));
        self.boot_one(node.layout_number(), progress)
    }

    /// Ends a node, and with it its disk: the machine is gone, and another may come under its name ([`Rig::add_node`]).
    pub fn remove_node(&self, number: u8) -> Result<(), RigError> {
        let node = self.node(number)?.layout_number();
        processes::end_one(self.directory.path(), self.emulator(number)?);
        let disk = self.directory.disk(node);
        std::fs::remove_file(&disk).map_err(RigError::file("remove", disk))
    }

    /// Boots a node that the rig does not have, or has no more, and returns when its containerd answers.
    pub fn add_node(&mut self, number: u8, progress: Progress<'_>) -> Result<(), RigError> {
        let node = NodeNumber::new(number).ok_or(RigError::NoNode(number))?;
        let nodes = self.state.options.nodes.max(number);
        self.state.options.link.check(nodes)?;
        if self.emulator(number).is_ok_and(|pid| processes::of_rig(self.directory.path()).contains(&pid)) {
            return Err(RigError::NodeIsThere(number));
        }
        if self.state.nodes.iter().all(|known| known.number != number) {
            self.state.nodes.push(NodeState { number, pid: 0 });
            self.state.nodes.sort_by_key(|node| node.number);
            self.directory.write(&self.state)?;
        }
        self.boot_one(node, progress)
    }

    /// The process id of a node's emulator, which may have ended.
    fn emulator(&self, number: u8) -> Result<Pid, RigError> {
        let state = self.directory.read(&self.name)?;
        let node = state.nodes.iter().find(|node| node.number == number).ok_or(RigError::NoNode(number))?;
        Ok(Pid::from_raw(node.pid.cast_signed()))
    }

    fn boot_one(&self, node: NodeNumber, progress: Progress<'_>) -> Result<(), RigError> {
        let mut state = self.directory.read(&self.name)?;
        let (boot, guest_program) = (BootFiles::find(&state.options)?, guest_program()?);
        self.directory.keep_logs(node)?;
        let parts = Parts {
            boot: &boot,
            guest_program: &guest_program,
            state: &self.directory,
            network: &self.network,
        };
        let booting = boot::start_one(&state.options, &parts, node)?;
        state.nodes.retain(|known| known.number != node.get());
        state.nodes.push(booting.state());
        state.nodes.sort_by_key(|node| node.number);
        self.directory.write(&state)?;
        boot::await_ready(&mut [booting], &self.directory, progress)?;
        let node: Node<'_> = self.node(node.get())?;
        node.await_runtime()?;
        progress(&format!("node {} runs containerd", node.number()));
        Ok(())
    }
}
