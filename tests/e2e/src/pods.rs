//! Pods that are gone with their value, and their records.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::thread;

use rig::host::{Node, Pod, PodSpec, RigError};
use smc_model::{Reason, Verdict};
use smc_state::{AttachmentId, DEFAULT_STATE_DIR, Record, Store};

use crate::{PATIENCE, eventually, shell};

/// A running pod; dropping it removes it.
#[derive(Debug)]
pub struct TestPod<'a> {
    pod: Pod<'a>,
    removed: bool,
}

/// Starts a pod as the kubelet would.
#[track_caller]
pub fn start<'a>(node: &Node<'a>, spec: &PodSpec) -> TestPod<'a> {
    TestPod::try_start(node, spec).unwrap_or_else(|error| panic!("{error}"))
}

/// Starts two pods at the same time.
#[track_caller]
pub fn start_both<'a>(one: (&Node<'a>, &PodSpec), other: (&Node<'a>, &PodSpec)) -> [TestPod<'a>; 2] {
    thread::scope(|scope| {
        let other = scope.spawn(|| start(other.0, other.1));
        [start(one.0, one.1), other.join().unwrap()]
    })
}

impl<'a> TestPod<'a> {
    /// Starts a pod that may be refused.
    pub fn try_start(node: &Node<'a>, spec: &PodSpec) -> Result<Self, RigError> {
        Ok(Self { pod: node.run_pod(spec)?, removed: false })
    }

    /// The key of the pod's record.
    pub fn attachment(&self) -> AttachmentId {
        AttachmentId::new(&self.sandbox_id, "eth0").unwrap()
    }

    /// Where the pod's record is on the node.
    pub fn record_path(&self) -> PathBuf {
        Store::new(DEFAULT_STATE_DIR).pods_dir().join(format!("{}.json", self.attachment()))
    }

    /// The pod's record, byte for byte; `None` when there is none.
    pub fn record_bytes(&self) -> Option<Vec<u8>> {
        let output = self.node().exec(&["cat", &self.record_path().display().to_string()]).unwrap();
        output.status.success().then_some(output.stdout)
    }

    /// The pod's record.
    #[track_caller]
    pub fn record(&self) -> Record {
        let bytes = self.record_bytes().unwrap_or_else(|| panic!("{} has no record", self.name));
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Fails unless the pod was set up for SMC-R; returns its record.
    #[track_caller]
    pub fn configured(&self) -> Record {
        let record = self.record();
        assert_eq!(record.verdict, Some(Verdict::Configured), "{}", self.name);
        record
    }

    /// The pod's record once it is as `wanted` says.
    #[track_caller]
    pub fn record_once(&self, wanted: impl Fn(&Record) -> bool) -> Record {
        eventually(PATIENCE, || {
            let bytes = self.record_bytes().ok_or_else(|| format!("{} has no record", self.name))?;
            let record: Record = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
            if wanted(&record) { Ok(record) } else { Err(format!("{record:?}")) }
        })
    }

    /// The pod's record once it is set up for SMC-R.
    #[track_caller]
    pub fn configured_once(&self) -> Record {
        self.record_once(|record| record.verdict == Some(Verdict::Configured))
    }

    /// The process ids of everything that runs in the pod's network namespace.
    #[track_caller]
    pub fn processes(&self) -> String {
        shell(self.node(), r#"ip netns pids "$(basename "$1")" | sort -n"#, &[&self.netns_path()])
    }

    /// The reason for which the pod runs on TCP; fails when it was set up.
    #[track_caller]
    pub fn refused(&self) -> Reason {
        match self.record().verdict {
            Some(Verdict::Refused { reason }) => reason,
            other => panic!("{}: {other:?}", self.name),
        }
    }

    /// The inode of the pod's network namespace.
    pub fn netns_inode(&self) -> String {
        shell(self.node(), r#"stat -Lc %i "$1""#, &[&self.netns_path()])
    }

    /// Path of the pod's network namespace on the node.
    pub fn netns_path(&self) -> String {
        Path::display(&self.netns).to_string()
    }

    /// Stops and removes the pod, as the kubelet would.
    #[track_caller]
    pub fn remove(&mut self) {
        self.removed = true;
        self.pod.remove().unwrap_or_else(|error| panic!("{error}"));
    }
}

impl<'a> Deref for TestPod<'a> {
    type Target = Pod<'a>;

    fn deref(&self) -> &Pod<'a> {
        &self.pod
    }
}

impl Drop for TestPod<'_> {
    fn drop(&mut self) {
        if !self.removed {
            // Also while a failing test unwinds, whose own panic says more.
            let _ = self.pod.remove();
        }
    }
}
