//! What tests of every crate share.
//!
//! A test that cannot run here says so and passes, for whoever works without root; where `CI` is set it fails, so that coverage
//! never goes silently. `hack/test` sets `CI` unless it is told `--may-skip`.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "helpers of tests fail as tests do"
)]

use std::env;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Set to 1 where a kernel that lacks something is a failure, as on the rig's nodes, on which tests of the kernel run again.
const REQUIRE_KERNEL: &str = "KUBE_SMC_REQUIRE_KERNEL";

/// Says why a test does not run; fails where it must run.
#[track_caller]
pub fn cannot_run(why: &str) {
    let ci = env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!ci, "CI is set, and this test cannot run: {why}");
    eprintln!("not run: {why}");
}

/// Says what this machine's kernel or devices lack for a test; fails on a node that must have it.
#[track_caller]
pub fn kernel_lacks(what: &str) {
    let required = env::var_os(REQUIRE_KERNEL).is_some_and(|value| value == "1");
    assert!(!required, "{REQUIRE_KERNEL}=1, but {what}");
    eprintln!("not run: {what}; hack/rig-tests two_nodes runs this on a node");
}

/// Whether the tests run as root; [`cannot_run`] where they do not.
#[track_caller]
pub fn as_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        cannot_run("it needs root");
    }
    root
}

/// A named network namespace, gone when dropped.
#[derive(Debug)]
pub struct TestNetns {
    name: String,
    path: PathBuf,
}

impl TestNetns {
    /// Makes one; [`cannot_run`] where this user may not.
    #[track_caller]
    pub fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("smctest-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        match try_ip(&["netns", "add", &name]) {
            Ok(()) => Some(Self { path: Path::new("/run/netns").join(&name), name }),
            Err(problem) => {
                cannot_run(&format!("it needs a network namespace (root, iproute2): {problem}"));
                None
            }
        }
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path by which a runtime would name it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// With its loopback up.
    #[must_use]
    pub fn with_loopback(self) -> Self {
        ip(&["-n", &self.name, "link", "set", "lo", "up"]);
        self
    }

    /// Takes its name away; it is gone when nobody is in it any more.
    pub fn delete(&self) {
        // Gone already where the test did that.
        let _ = try_ip(&["netns", "delete", &self.name]);
    }
}

impl Drop for TestNetns {
    fn drop(&mut self) {
        self.delete();
    }
}

/// Runs iproute2, which must succeed.
#[track_caller]
pub fn ip(arguments: &[&str]) {
    let done = try_ip(arguments);
    // Also called while a failing test unwinds, where a second panic would hide the first.
    assert!(done.is_ok() || std::thread::panicking(), "ip {arguments:?}: {done:?}");
}

fn try_ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Looks until there is what is looked for; fails with what was seen last when `limit` is over.
#[track_caller]
pub fn eventually<T, E: Display>(limit: Duration, mut look: impl FnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + limit;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < end, "not within {limit:?}: {seen}"),
        }
        sleep(Duration::from_millis(200));
    }
}
