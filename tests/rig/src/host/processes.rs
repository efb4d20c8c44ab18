//! Finds and ends a rig's processes: its emulators, and the control plane of its cluster.
//!
//! A process is a rig's when it is one of these programs and its working directory is the rig's state directory or below. That
//! needs no file of process ids, which could be missing or stale, and cannot hit anything else.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How much of a program's name the kernel keeps for a process.
const COMM_LENGTH: usize = 15;
/// The first 15 bytes of `qemu-system-x86_64`, as the kernel keeps a process's name.
pub(crate) const EMULATOR: &str = "qemu-system-x86";
/// The names of all programs that a rig starts on this machine.
pub(crate) const PROGRAMS: [&str; 6] =
    [EMULATOR, "etcd", "kube-apiserver", "kube-controller", "kube-scheduler", "coredns"];

/// The rig's emulators.
pub(crate) fn emulators_in(directory: &Path) -> Vec<Pid> {
    named(&[EMULATOR], |cwd| cwd == directory)
}

/// All processes of the rig.
pub(crate) fn of_rig(directory: &Path) -> Vec<Pid> {
    named(&PROGRAMS, |cwd| cwd.starts_with(directory))
}

/// Process ids of programs of these names with such a working directory; it may have been removed since.
fn named(names: &[&str], is_there: impl Fn(&Path) -> bool) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let belongs = |process: &Path| {
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        names.contains(&name.trim_end())
            && fs::read_link(process.join("cwd")).is_ok_and(|cwd| is_there(without_mark(&cwd)))
    };
    entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(_, path)| belongs(path))
        .map(|(pid, _)| Pid::from_raw(pid))
        .collect()
}

/// The kernel marks a directory that was removed.
fn without_mark(cwd: &Path) -> &Path {
    cwd.to_str().and_then(|text| text.strip_suffix(" (deleted)")).map_or(cwd, Path::new)
}

/// Ends all processes of the rig and waits until they are gone, at most some seconds; returns how many nodes there were.
pub(crate) fn end_all(directory: &Path) -> usize {
    let emulators = emulators_in(directory).len();
    for pid in of_rig(directory) {
        // Nothing in a node outlives it, so there is nothing to end in order.
        let _ = kill(pid, Signal::SIGKILL);
    }
    let end = Instant::now() + Duration::from_secs(5);
    while !of_rig(directory).is_empty() && Instant::now() < end {
        sleep(Duration::from_millis(10));
    }
    emulators
}

/// Ends the processes of this name that run in just this directory and waits until they are gone, at most some seconds.
pub(crate) fn end_named(directory: &Path, name: &str) {
    let name = name.get(..COMM_LENGTH).unwrap_or(name);
    for pid in named(&[name], |cwd| cwd == directory) {
        end_one(directory, pid);
    }
}

/// Ends one process of the rig and waits until it is gone, at most some seconds; nothing happens when it is not the rig's.
pub(crate) fn end_one(directory: &Path, pid: Pid) {
    let end = Instant::now() + Duration::from_secs(5);
    while of_rig(directory).contains(&pid) && Instant::now() < end {
        let _ = kill(pid, Signal::SIGKILL);
        sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests;
