//! The node's first process: sets the node up, starts its services, and then only collects ended processes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::reboot::RebootMode;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::wait;
use nix::unistd::{Pid, sync};

use super::{GuestError, conversion, mounts, network, run, runtime, write_file};
use crate::layout::{BootWords, FAILED_LINE, GUEST_PROGRAM};

/// How long processes may take to end by themselves before a reboot.
const GRACE: Duration = Duration::from_secs(3);

/// Reads what the rig told this node at boot. `/proc` must be mounted.
pub fn boot_words() -> Result<BootWords, GuestError> {
    let path = "/proc/cmdline";
    let line = fs::read_to_string(path).map_err(|source| GuestError::File {
        action: "read",
        path: path.into(),
        source,
    })?;
    Ok(BootWords::parse(&line)?)
}

/// Runs as the first process of a node; returns only when the node could not be set up.
///
/// The reason is printed on the console before, where the rig reads it. A first process that ends makes the kernel
/// panic, and `-no-reboot` makes that the end of the emulator.
pub fn run_as_first_process() -> GuestError {
    let error = match set_up() {
        Ok(()) => collect_ended_processes(),
        Err(error) => error,
    };
    let message = format!("{FAILED_LINE} {}\n", smc_host::with_causes(&error));
    let _ = fs::write("/dev/console", message);
    error
}

fn set_up() -> Result<(), GuestError> {
    mounts::mount_proc()?;
    let words = boot_words()?;
    mounts::mount_all(&words)?;
    write_file("/proc/sys/kernel/hostname", words.node.host_name())?;
    write_resolver_files(&words)?;
    conversion::prepare(&words)?;
    runtime::write_configuration(&words)?;
    start_self(&["services"])?;
    run("modprobe", &["-a", "virtio_net", "virtio_rng", "rdma_rxe"], "")?;
    network::set_up(&words)?;
    start_self(&["serve"])
}

/// Ends everything on the node in order and boots it again; with `-no-reboot`, that is the end of its emulator.
pub fn reboot() -> GuestError {
    // Everybody but the first process and this one. Who is gone already needs no signal.
    let everybody = Pid::from_raw(-1);
    let _ = kill(everybody, Signal::SIGTERM);
    sleep(GRACE);
    let _ = kill(everybody, Signal::SIGKILL);
    sync();
    let Err(error) = nix::sys::reboot::reboot(RebootMode::RB_AUTOBOOT);
    GuestError::Start { program: "the next boot".to_owned(), source: error.into() }
}

/// Starts this program a second time, so that the first process is free to wait for all children of the node.
fn start_self(arguments: &[&str]) -> Result<(), GuestError> {
    let program = Path::new(GUEST_PROGRAM);
    let child = Command::new(program).args(arguments).spawn();
    child.map(drop).map_err(|source| GuestError::Start { program: program.display().to_string(), source })
}

/// containerd copies these into every pod; they need not exist on this machine.
fn write_resolver_files(words: &BootWords) -> Result<(), GuestError> {
    let hosts = format!("127.0.0.1 localhost\n{} {}\n", words.node.address(), words.node.host_name());
    write_file("/etc/hosts", hosts)?;
    write_file("/etc/hostname", words.node.host_name() + "\n")?;
    // It may be a link into the /run of this machine's own services.
    let _ = fs::remove_file("/etc/resolv.conf");
    write_file("/etc/resolv.conf", "")?;
    let _ = symlink("/proc/self/mounts", "/etc/mtab");
    Ok(())
}

fn collect_ended_processes() -> GuestError {
    loop {
        match wait() {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                let source = std::io::Error::from(error);
                return GuestError::Start { program: "a process to wait for".to_owned(), source };
            }
        }
    }
}
