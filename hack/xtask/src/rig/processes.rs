//! Finds and ends a rig's emulators.
//!
//! A process is a rig's when it is QEMU and its working directory is the rig's state directory. That needs no file of
//! process ids, which could be missing or stale, and cannot hit anything else.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// First 15 bytes of `qemu-system-x86_64`, as the kernel keeps a process's name.
pub(crate) const EMULATOR_COMM: &str = "qemu-system-x86";

/// Process ids of the emulators whose working directory is `directory`, even when it was removed since.
pub(crate) fn emulators_in(directory: &Path) -> Vec<Pid> {
    let deleted = format!("{} (deleted)", directory.display());
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let belongs = |process: &Path| {
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        name.trim_end() == EMULATOR_COMM
            && fs::read_link(process.join("cwd"))
                .is_ok_and(|cwd| cwd == directory || cwd.as_os_str() == deleted.as_str())
    };
    entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(_, path)| belongs(path))
        .map(|(pid, _)| Pid::from_raw(pid))
        .collect()
}

/// Ends them all and waits until they are gone, at most some seconds; returns how many there were.
pub(crate) fn end_emulators_in(directory: &Path) -> usize {
    let emulators = emulators_in(directory);
    for pid in &emulators {
        // Nothing in a node outlives it, so there is nothing to end in order.
        let _ = kill(*pid, Signal::SIGKILL);
    }
    let end = Instant::now() + Duration::from_secs(5);
    while !emulators_in(directory).is_empty() && Instant::now() < end {
        sleep(Duration::from_millis(10));
    }
    emulators.len()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_in_the_directory_that_is_not_the_emulator_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("60").current_dir(directory.path()).spawn().unwrap();
        assert_eq!(end_emulators_in(directory.path()), 0);
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn an_emulator_in_the_directory_is_found_even_when_the_directory_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("qemu-system-x86_64");
        // A link: a copy would be "text file busy" while another test's child still holds its descriptor.
        symlink("/bin/sleep", &program).unwrap();
        let mut child = Command::new(&program).arg("60").current_dir(directory.path()).spawn().unwrap();
        let path = directory.path().to_owned();
        let pid = Pid::from_raw(child.id().cast_signed());
        // The kernel lets a spawning parent go on before it has renamed the child.
        let end = Instant::now() + Duration::from_secs(10);
        while emulators_in(&path) != [pid] && Instant::now() < end {
            sleep(Duration::from_millis(1));
        }
        drop(directory);
        assert_eq!(emulators_in(&path), [pid]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(end_emulators_in(&path), 0);
    }
}
