//! A temporary place for everything one test's calls may touch.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tempfile::TempDir;
use test_support::TestNetns;

use super::{Call, Conf};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// State, log and working directory of one test, and a container id that no other test has.
#[derive(Debug)]
pub(crate) struct Lab {
    dir: TempDir,
    pub(crate) container: String,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let lab = Self {
            dir: tempfile::tempdir().unwrap(),
            container: format!("smctest-{}-{number}", std::process::id()),
        };
        fs::create_dir(lab.cwd()).unwrap();
        lab
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn cwd(&self) -> PathBuf {
        self.dir.path().join("cwd")
    }

    /// The state directory, which nobody has made yet.
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("run/kube-smc")
    }

    /// The log directory, which nobody has made yet.
    pub(crate) fn logs(&self) -> PathBuf {
        self.dir.path().join("log/kube-smc")
    }

    pub(crate) fn conf(&self, version: &str) -> Conf {
        Conf::new(version, &self.state(), &self.logs())
    }

    /// A call as containerd makes it for a pod, with a namespace that is not there.
    pub(crate) fn call(&self, command: &str, conf: &Conf) -> Call {
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID={};K8S_POD_UID=7f00",
            self.container
        );
        Call::new(&self.cwd(), conf.text().as_bytes())
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", &self.container)
            .env("CNI_NETNS", "/run/netns/smctest-that-is-gone")
            .env("CNI_IFNAME", "eth0")
            .env("CNI_ARGS", args)
            .env("CNI_PATH", "/opt/cni/bin")
            // Where a library would put a temporary file.
            .env("TMPDIR", self.cwd())
    }

    /// ADD of a pod that has this namespace.
    pub(crate) fn add(&self, conf: &Conf, netns: &TestNetns) -> Call {
        self.call("ADD", conf).env("CNI_NETNS", netns.path())
    }

    /// Every file and directory that the calls left, relative to the lab.
    pub(crate) fn files(&self) -> Vec<String> {
        files_below(self.path()).into_iter().filter(|path| path != "cwd").collect()
    }

    /// Nothing was made, here or in the default places.
    #[track_caller]
    pub(crate) fn is_untouched(&self) {
        assert_eq!(self.files(), Vec::<String>::new());
        for dir in ["/run/kube-smc/locks", "/run/kube-smc/pods"] {
            let ours: Vec<_> = files_below(Path::new(dir))
                .into_iter()
                .filter(|path| path.contains(&self.container))
                .collect();
            assert!(ours.is_empty(), "{ours:?} in {dir}");
        }
    }

    pub(crate) fn record_path(&self, container: &str) -> PathBuf {
        self.state().join(format!("pods/{container}-eth0.json"))
    }

    /// The bytes of this container's record.
    #[track_caller]
    pub(crate) fn record_bytes(&self) -> Vec<u8> {
        fs::read(self.record_path(&self.container)).unwrap()
    }

    /// This container's record.
    #[track_caller]
    pub(crate) fn record(&self) -> Value {
        self.record_of(&self.container)
    }

    /// Another container's record.
    #[track_caller]
    pub(crate) fn record_of(&self, container: &str) -> Value {
        serde_json::from_slice(&fs::read(self.record_path(container)).unwrap()).unwrap()
    }

    /// Puts something else in the place of this container's record.
    pub(crate) fn corrupt_record(&self, content: &[u8]) {
        fs::create_dir_all(self.state().join("pods")).unwrap();
        fs::write(self.record_path(&self.container), content).unwrap();
    }

    /// Writes node.json as an agent would.
    pub(crate) fn publish(&self, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.state()).unwrap();
        fs::write(self.state().join("node.json"), content).unwrap();
    }

    /// The lines of a log file, each of which must be one JSON object; none when there is no file.
    #[track_caller]
    pub(crate) fn lines_of(&self, file: &str) -> Vec<Value> {
        let Ok(text) = fs::read_to_string(self.logs().join(file)) else { return Vec::new() };
        assert!(text.is_empty() || text.ends_with('\n'), "{file} ends in half a line");
        let line =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {file}: {line}"));
        text.lines().map(line).inspect(|line: &Value| assert!(line.is_object(), "{line}")).collect()
    }

    /// The lines of the log that is being written.
    #[track_caller]
    pub(crate) fn log_lines(&self) -> Vec<Value> {
        self.lines_of("cni.log")
    }

    /// Permission bits of what a call made.
    pub(crate) fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }
}

/// Every file and directory below `dir`, relative to it, sorted; none when it is not there.
pub(crate) fn files_below(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(next) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            }
            found.push(entry.path().strip_prefix(dir).unwrap().to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}
