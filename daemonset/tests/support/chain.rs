//! A node's directories for the chain's tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cni_spec::PLUGIN_TYPE;
use cni_spec::conflist::{self, Entry};
use smc_agent::chain::{ChainThread, FightLimits, Mode, NoRuntime, Options, Runtime, Status};

/// Much longer than anything takes: each write is synced to the disk, which may be busy with others' work.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A program that answers as the plugin does when it is asked for its versions.
pub(crate) const PLUGIN: &str =
    "#!/bin/sh\necho '{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"1.0.0\"]}'\n";

/// Directories that are gone with the value.
pub(crate) struct TestNode {
    pub(crate) dir: tempfile::TempDir,
}

impl TestNode {
    pub(crate) fn new() -> Self {
        let node = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(node.conf_dir()).unwrap();
        fs::write(node.dir.path().join("plugin"), PLUGIN).unwrap();
        node
    }

    pub(crate) fn conf_dir(&self) -> PathBuf {
        self.dir.path().join("net.d")
    }

    pub(crate) fn list(&self) -> PathBuf {
        self.conf_dir().join("10-terway.conflist")
    }

    pub(crate) fn provenance_dir(&self) -> PathBuf {
        self.dir.path().join("provenance")
    }

    pub(crate) fn bin_dir(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    pub(crate) fn options(&self, mode: Mode) -> Options {
        Options {
            mode,
            plugin: self.dir.path().join("plugin"),
            bin_dir: self.bin_dir(),
            conf_dir: self.conf_dir(),
            provenance_dir: self.provenance_dir(),
            entry: Entry::default(),
            runtime: None,
            fight: FightLimits::default(),
        }
    }

    pub(crate) fn keep(&self, mode: Mode) -> ChainThread {
        keep(self.options(mode), NoRuntime)
    }

    /// Names of everything in the configuration directory.
    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.conf_dir())
    }
}

pub(crate) fn keep<R: Runtime + Send + 'static>(options: Options, runtime: R) -> ChainThread {
    ChainThread::start(options, runtime).unwrap()
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A list with our entry put in.
pub(crate) fn with_entry(list: &str) -> String {
    String::from_utf8(conflist::insert(list.as_bytes(), &Entry::default()).unwrap().bytes).unwrap()
}

pub(crate) fn has_entry(path: &Path) -> bool {
    fs::read(path).is_ok_and(|list| conflist::find(&list, PLUGIN_TYPE).is_ok_and(|found| found.is_some()))
}

/// Waits until the file is so.
pub(crate) fn wait_for_content(path: &Path, expected: &str) {
    wait(|| {
        let content = fs::read_to_string(path).unwrap_or_default();
        if content == expected { Ok(()) } else { Err(content) }
    });
}

/// Waits until the status is so, and gives it.
pub(crate) fn wait_for_status(chain: &ChainThread, accept: impl Fn(&Status) -> bool) -> Status {
    let status = chain.status();
    wait(|| {
        let status = status.borrow().clone();
        if accept(&status) { Ok(status) } else { Err(format!("{status:#?}")) }
    })
}

pub(crate) fn wait<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) => assert!(Instant::now() < end, "not within {PATIENCE:?}: {seen}"),
        }
        sleep(Duration::from_millis(2));
    }
}
