//! A real network namespace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A named network namespace; gone when dropped.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    path: PathBuf,
}

impl Namespace {
    /// Makes one, or tells a person that the test was skipped because this user cannot.
    ///
    /// # Panics
    /// When `CI` is set and none can be made: a test that silently proves nothing is worse than a failing one.
    pub(crate) fn new() -> Option<Self> {
        let name = format!("smctest-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let problem = match ip(&["netns", "add", &name]) {
            Ok(()) => return Some(Self { path: Path::new("/run/netns").join(&name), name }),
            Err(problem) => problem,
        };
        assert!(std::env::var_os("CI").is_none(), "CI must run this as root with iproute2: {problem}");
        eprintln!("SKIPPED: needs a network namespace (root, iproute2): {problem}");
        None
    }

    /// The path by which a runtime would name it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Gone already in the tests that remove it themselves.
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
