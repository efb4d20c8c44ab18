//! The emulator: its command line and its start.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::kernel::BootFiles;
use super::network::{Link, Network, tap};
use super::options::{Families, UpOptions};
use super::state::{StateDirectory, repository};
use super::{RigError, disk};
use crate::layout::{BootWords, MANAGEMENT_ADDRESS, MANAGEMENT_PORT, NodeNumber};

/// Joins two nodes' RDMA NICs; relative to the state directory, because socket paths must be short.
const LINK_SOCKET: &str = "link.sock";
/// On the loopback of the rig's own network.
const FIRST_MANAGEMENT_PORT: u16 = 7000;

/// One node to start.
#[derive(Debug, Clone)]
pub(crate) struct NodePlan<'a> {
    pub(crate) options: &'a UpOptions,
    pub(crate) node: NodeNumber,
    pub(crate) boot: &'a BootFiles,
    pub(crate) guest_program: &'a Path,
    pub(crate) state: &'a StateDirectory,
}

impl NodePlan<'_> {
    /// Starts the emulator in a process group of its own, on the rig's network, with the state directory as its working
    /// directory. The node's disk is made when it has none.
    pub(crate) fn start(&self, network: &Network) -> Result<Child, RigError> {
        let disk = self.state.disk(self.node);
        if !disk.exists() {
            disk::make(&disk)?;
        }
        let log_path = self.state.emulator_log(self.node);
        let log = File::create(&log_path).map_err(RigError::file("create", &log_path))?;
        let error_log = log.try_clone().map_err(RigError::file("create", &log_path))?;
        let mut command = Command::new(&self.boot.emulator);
        command
            .args(self.arguments()?)
            .current_dir(self.state.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(error_log)
            .process_group(0);
        let child = network.spawn(&mut command)?;
        child.map_err(|source| RigError::Start { program: self.boot.emulator.display().to_string(), source })
    }

    /// Whether this node waits for the other's emulator to join the link.
    fn listens(&self) -> bool {
        self.node == NodeNumber::ALL[0]
    }

    fn arguments(&self) -> Result<Vec<OsString>, RigError> {
        let number = self.node.get();
        let words = BootWords {
            node: self.node,
            kubernetes: self.options.kubernetes,
            dual_stack: self.options.families == Families::Both,
            containerd: self.options.containerd.clone(),
            tcp2smc: self.boot.tcp2smc.clone(),
            repository: repository().to_owned(),
            state: self.state.path().to_owned(),
            modules: self.boot.modules.clone(),
        };
        let command_line = format!(
            "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check init_on_alloc=0 \
             rcupdate.rcu_expedited=1 rig.guest={} {}",
            self.guest_program.display(),
            words.to_command_line()?
        );
        let link = match (self.options.link, self.options.nodes, self.listens()) {
            (Link::Bridge, ..) => {
                format!("tap,id=link,ifname={},script=no,downscript=no", tap(self.node))
            }
            (Link::Socket, 1, _) => "hubport,id=link,hubid=0".to_owned(),
            (Link::Socket, _, true) => {
                format!("stream,id=link,server=on,addr.type=unix,addr.path={LINK_SOCKET}")
            }
            (Link::Socket, _, false) => {
                format!("stream,id=link,server=off,addr.type=unix,addr.path={LINK_SOCKET}")
            }
        };
        let management = format!(
            "user,id=management,restrict=on,ipv6=off,net=198.51.100.0/24,host=198.51.100.2,\
             hostfwd=tcp:127.0.0.1:{}-{MANAGEMENT_ADDRESS}:{MANAGEMENT_PORT}",
            management_port(self.node)
        );
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |option: &str, value: OsString| arguments.extend([option.into(), value]);
        add("-name", format!("kube-smc-rig-{}-node{number}", self.options.name).into());
        // Always emulated: the same rig everywhere, also where /dev/kvm is there but does not work.
        if self.options.count_instructions {
            add("-accel", "tcg,thread=single".into());
            add("-icount", "shift=0".into());
        } else {
            add("-accel", "tcg,thread=multi".into());
        }
        // Where its packages' own paths are those of an installation, it finds no firmware beside itself.
        for directory in self.boot.firmware() {
            add("-L", directory.into());
        }
        // Without what only slows the emulation down: five-level page tables, and string instructions that the kernel
        // uses a byte at a time where they are said to be fast. All of these together: Linux 6.1 does not boot with one of them.
        add("-cpu", "max,la57=off,erms=off,fsrm=off,fzrm=off,fsrs=off,fsrc=off".into());
        add("-machine", "q35".into());
        add("-smp", "1".into());
        add("-m", self.options.memory.to_string().into());
        add("-display", "none".into());
        add("-monitor", "none".into());
        add("-serial", format!("file:{}", file_name(&self.state.serial_log(self.node))).into());
        add("-kernel", self.boot.kernel.clone().into());
        add("-initrd", self.boot.initramfs.clone().into());
        add("-append", command_line.into());
        for (tag, path) in [("root", Path::new("/")), ("repository", repository())] {
            add("-fsdev", shared_directory(tag, path));
            add("-device", format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}").into());
        }
        // What the node wrote outlives the emulator's end, but need not outlive this machine's.
        let disk = file_name(&self.state.disk(self.node));
        add("-drive", format!("file={disk},format=raw,if=virtio,cache=unsafe").into());
        add("-netdev", link.into());
        add("-device", nic("link", &self.node.rdma_mac()).into());
        add("-netdev", management.into());
        add("-device", nic("management", &self.node.management_mac()).into());
        add("-device", "virtio-rng-pci".into());
        arguments.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(OsString::from));
        Ok(arguments)
    }
}

/// Where the first node's emulator listens for the second's.
pub(crate) fn link_socket(state: &StateDirectory) -> PathBuf {
    state.path().join(LINK_SOCKET)
}

/// The loopback port, on the rig's network, that leads to a node's server of sessions.
pub(crate) fn management_port(node: NodeNumber) -> u16 {
    FIRST_MANAGEMENT_PORT + u16::from(node.get())
}

fn shared_directory(tag: &str, path: &Path) -> OsString {
    let mut value =
        OsString::from(format!("local,id={tag},security_model=none,readonly=on,multidevs=remap,path="));
    // A comma ends a value of a QEMU option unless it is doubled.
    value.push(path.to_string_lossy().replace(',', ",,"));
    value
}

fn nic(netdev: &str, mac: &str) -> String {
    format!("virtio-net-pci,netdev={netdev},mac={mac},romfile=")
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
