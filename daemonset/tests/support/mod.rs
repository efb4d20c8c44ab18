//! What tests against a real kernel share.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use test_support::{TestNetns, as_root};

/// The hook of the kernel is one for all tests, and a cargo test runs them side by side.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A network namespace with its loopback up.
pub(crate) fn netns() -> TestNetns {
    TestNetns::new().expect("root makes network namespaces").with_loopback()
}

/// A bpffs of one test, with a directory for pins on it.
pub(crate) struct BpfFs(tempfile::TempDir);

impl BpfFs {
    pub(crate) fn mount() -> Option<Self> {
        if !as_root() {
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
