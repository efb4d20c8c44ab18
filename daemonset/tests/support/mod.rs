//! What tests against a real kernel share.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Set to 1 where a missing kernel feature is a failure, as in continuous integration.
pub(crate) const REQUIRE: &str = "KUBE_SMC_REQUIRE_KERNEL";

/// Says why a test does not run here, or fails where it must run.
pub(crate) fn cannot_run(why: &str) {
    assert!(std::env::var_os(REQUIRE).is_none_or(|value| value != "1"), "{REQUIRE}=1, but {why}");
    eprintln!("not run: {why} (see hack/ for a node in an emulator)");
}

/// The hook of the kernel is one for all tests, and a cargo test runs them side by side.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A network namespace that is gone with its value.
pub(crate) struct TestNetns {
    name: String,
}

impl TestNetns {
    /// Fails the test when the process may not make one.
    pub(crate) fn new(label: &str) -> Self {
        let name = format!("kube-smc-{}-{label}", std::process::id());
        ip(&["netns", "add", &name]);
        ip(&["-n", &name, "link", "set", "lo", "up"]);
        Self { name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }
}

impl Drop for TestNetns {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.name]);
    }
}

pub(crate) fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    // Also called while a failing test unwinds, where a second panic would hide the first.
    let failed = !output.status.success() && !std::thread::panicking();
    assert!(!failed, "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A bpffs of one test, with a directory for pins on it.
pub(crate) struct BpfFs(tempfile::TempDir);

impl BpfFs {
    pub(crate) fn mount() -> Option<Self> {
        if !is_root() {
            cannot_run("loading BPF programs needs root");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        run(&["mount", "-t", "bpf", "bpf", dir.path().to_str().unwrap()]);
        Some(Self(dir))
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.0.path().join("kube-smc")
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        run(&["umount", "--lazy", self.0.path().to_str().unwrap()]);
    }
}

pub(crate) fn run(command: &[&str]) {
    let output = Command::new(command[0]).args(&command[1..]).output().unwrap();
    let failed = !output.status.success() && !std::thread::panicking();
    assert!(!failed, "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
