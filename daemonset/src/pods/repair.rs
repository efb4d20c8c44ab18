//! Repair in place: pods that were missed, interrupted or refused are set up where they run; when the feature is switched
//! off, their conversion ends. No pod is ever restarted or deleted.
//!
//! Sandboxes (CRI) and records go into [`due`](due::due), a function; what comes out is worked on one by one. A pod's namespace is opened once, then the CRI
//! must say that its sandbox still runs with that path, and the open file is entered. The switch is a fact of node.json and `SwitchedOff` a
//! reason, so plugin and repair obey it by the same decision; while it is not known, pods that are set up stay so. Records whose sandbox the
//! runtime forgot are released once nothing is left of the pod (`smc_attach::Remains`): its namespace is gone, or was empty for minutes and no
//! way leads into it. A pod of the host's network, for which no plugin is called, gets a record of its refusal here, so everybody who reads
//! records tells it. What the plugin set up for a pod whose runtime gives it a kernel of its own, which CNI does not tell, is undone here: one
//! pod of each of the runtime's handlers is asked for.

pub mod due;
mod looks;
mod obstruction;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use smc_attach::{AttachError, Budget, Job, Outcome, Remains, detach, undo_inside};
use smc_host::HostError;
use smc_host::netns::Netns;
use smc_model::{Reason, Verdict, Wish};
use smc_state::{AttachmentId, AttachmentIdError, Record, RecordCache, StateError, Store};

use crate::cri::{Cri, CriError, PodRuntime, Sandbox};
use crate::surfaces::metrics::{Metrics, Repair as Ended};
use due::{Due, Wanted, Why, due, orphans};

pub use looks::{Looks, LostPods};

/// The budget for one pod; the plugin's own.
const BUDGET: Duration = Duration::from_secs(2);

/// What repair needs to know of the node.
#[derive(Debug, Clone)]
pub struct Repairer {
    /// The runtime.
    pub cri: Cri,
    /// The state directory.
    pub store: Store,
    /// The id of this boot.
    pub boot_id: String,
    /// The host's `/proc`.
    pub proc: PathBuf,
    /// Counts what was done.
    pub metrics: Metrics,
    /// The records that were read, by whomever in this process.
    pub read: RecordCache,
    /// Who had no sandbox at the last look.
    missing: BTreeSet<AttachmentId>,
    /// Whether sandboxes have a kernel of their own, by id.
    own_kernel: BTreeMap<String, bool>,
}

/// Why one pod could not be worked on; it is tried again at the next look.
#[derive(Debug, thiserror::Error)]
enum RepairError {
    #[error(transparent)]
    Runtime(#[from] CriError),
    #[error("the pod's network namespace cannot be opened")]
    Netns(#[source] HostError),
    #[error("what was set up in the pod cannot be undone")]
    Undo(#[source] HostError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error("the runtime's id of the pod cannot name a record")]
    Id(#[from] AttachmentIdError),
    #[error("the thread that worked on the pod ended early")]
    Thread(#[from] tokio::task::JoinError),
}

impl Repairer {
    /// Nothing is asked yet.
    pub fn new(
        cri: Cri,
        store: Store,
        read: RecordCache,
        boot_id: String,
        proc: PathBuf,
        metrics: Metrics,
    ) -> Self {
        Self {
            cri,
            store,
            boot_id,
            proc,
            metrics,
            read,
            missing: BTreeSet::new(),
            own_kernel: BTreeMap::new(),
        }
    }

    /// Looks at every pod of the node once, and works on those that need it; `lost` are those of whose set-up something
    /// was taken away.
    ///
    /// # Errors
    /// When the runtime does not list its pods. What happens to single pods is logged and recorded.
    pub async fn look(&mut self, wanted: Wanted, lost: &BTreeSet<AttachmentId>) -> Result<(), CriError> {
        // The records first: whoever is on record by then and not in the later list is really gone.
        let records = self.store.list_again(&self.read).records;
        let sandboxes = self.cri.sandboxes().await?;
        let missing = orphans(&sandboxes, &records);
        for record in records.iter().filter(|record| self.missing.contains(&record.attachment)) {
            if missing.contains(&record.attachment) && self.is_over(record) {
                self.end_orphan(&record.attachment);
            }
        }
        self.missing = missing;
        self.ask_for_kernels(&sandboxes).await;
        let own_kernel = self.own_kernel.iter().filter(|(_, own)| **own).map(|(id, _)| id.as_str()).collect();
        let due = due(&sandboxes, &records, wanted, lost, &own_kernel, now_ms());
        let many = due.len() > 10;
        if many {
            tracing::info!(pods = due.len(), "setting pods up in place");
        }
        for (done, pod) in due.iter().enumerate() {
            if many && done > 0 && done % 50 == 0 {
                tracing::info!(done, pods = due.len(), "still setting pods up in place");
            }
            self.work_on(pod).await;
        }
        Ok(())
    }

    /// Learns which of the sandboxes that were not listed before have a kernel of their own. Of those with the same handler one
    /// tells: which runtime a handler is changes with the runtime's configuration only.
    async fn ask_for_kernels(&mut self, sandboxes: &[Sandbox]) {
        let listed: BTreeSet<&str> = sandboxes.iter().map(|sandbox| sandbox.id.as_str()).collect();
        self.own_kernel.retain(|id, _| listed.contains(id.as_str()));
        let mut told: BTreeMap<&str, bool> = BTreeMap::new();
        for sandbox in sandboxes.iter().filter(|sandbox| sandbox.ready && sandbox.wish != Wish::Disabled) {
            if self.own_kernel.contains_key(&sandbox.id) {
                continue;
            }
            let own = match told.get(sandbox.handler.as_str()) {
                Some(own) => *own,
                None => match self.cri.network(&sandbox.id).await {
                    Ok(network) if network.netns.is_some() => network.runtime.has_own_kernel(),
                    // Of a pod in the host's network nothing is told, and there is nothing to undo.
                    Ok(_) => {
                        self.own_kernel.insert(sandbox.id.clone(), false);
                        continue;
                    }
                    Err(error) => {
                        tracing::debug!("what runs the pod {}: {error}", sandbox.pod.name);
                        continue;
                    }
                },
            };
            told.insert(&sandbox.handler, own);
            self.own_kernel.insert(sandbox.id.clone(), own);
        }
    }

    /// Whether a living record of a pod that the runtime does not list may be ended.
    fn is_over(&self, record: &Record) -> bool {
        // It has no namespace of its own, and its sandbox stopped or is gone.
        if record.attachment.ifname() == HOST_NETWORK {
            return true;
        }
        let age = Duration::from_millis(now_ms().saturating_sub(record.started_ms));
        match Remains::of(record, &self.proc) {
            Ok(remains) => {
                let over = remains.are_over(age);
                tracing::debug!(attachment = %record.attachment, ?remains, ?age, over, "the runtime does not list this pod");
                over
            }
            Err(error) => {
                tracing::warn!(attachment = %record.attachment, "cannot tell what is left of this pod: {}", error.with_cause());
                false
            }
        }
    }

    fn end_orphan(&self, attachment: &AttachmentId) {
        tracing::info!(%attachment, "the runtime does not know this pod any more and its DEL never came: released");
        for problem in detach(&self.store, attachment, Instant::now() + BUDGET).problems {
            tracing::warn!(%attachment, "{problem}");
        }
    }

    async fn work_on(&mut self, pod: &Due) {
        let name = pod.sandbox.pod.to_string();
        match self.try_work_on(pod).await {
            Ok(Some(outcome)) => self.count(pod, &outcome),
            Ok(None) => {}
            Err(RepairError::Runtime(error)) if error.is_not_found() => {}
            Err(error) => {
                self.metrics.repair_ended(Ended::Failed);
                let error = anyhow::Error::from(error);
                tracing::warn!(pod = name, why = ?pod.why, "cannot set this pod up in place: {error:#}");
            }
        }
    }

    fn count(&self, pod: &Due, outcome: &Outcome) {
        if !outcome.changed || pod.why == Why::SwitchedOff {
            return;
        }
        let set_up = outcome.record.verdict.as_ref().is_some_and(Verdict::is_set_up);
        self.metrics.repair_ended(if set_up { Ended::Repaired } else { Ended::Refused });
    }

    /// `None` when the pod ended meanwhile, or somebody works on it: an ADD, perhaps one that the kernel holds.
    async fn try_work_on(&mut self, pod: &Due) -> Result<Option<Outcome>, RepairError> {
        let first = self.cri.network(&pod.sandbox.id).await?;
        if !first.ready {
            return Ok(None);
        }
        let Some(path) = first.netns else {
            return self.refuse_host_network(&pod.sandbox).map(Some);
        };
        let own = first.runtime.has_own_kernel();
        self.own_kernel.insert(pod.sandbox.id.clone(), own);
        if own {
            return self.refuse_own_kernel(pod, path, &first.runtime).await.map(Some);
        }
        if pod.why == Why::OwnKernel {
            return Ok(None);
        }
        let netns = Netns::open(&path).map_err(RepairError::Netns)?;
        // The path may have become another pod's before it was opened; while this sandbox runs with it, it is this one's.
        let again = self.cri.network(&pod.sandbox.id).await?;
        if !again.ready || again.netns.as_deref() != Some(path.as_path()) {
            return Ok(None);
        }
        if let Err(StateError::Locked { .. }) = self.store.lock(&pod.attachment, Instant::now()) {
            return Ok(None);
        }
        let job = job(&pod.sandbox, pod.attachment.clone(), pod.network.clone(), path);
        let (store, boot_id, proc) = (self.store.clone(), self.boot_id.clone(), self.proc.clone());
        let work = move || in_place(&store, &boot_id, &job, &netns, &proc);
        Ok(Some(tokio::task::spawn_blocking(work).await??))
    }

    /// No plugin is ever called for such a pod, so nobody else puts it on record.
    fn refuse_host_network(&self, sandbox: &Sandbox) -> Result<Outcome, RepairError> {
        let attachment = AttachmentId::new(&sandbox.id, HOST_NETWORK)?;
        let job = job(sandbox, attachment, String::new(), PathBuf::new());
        Ok(smc_attach::refuse(&self.store, &job, Reason::HostNetworkPod, budget())?)
    }

    /// The plugin is not told what will run the pod, and has set it up.
    async fn refuse_own_kernel(
        &self,
        pod: &Due,
        netns: PathBuf,
        runtime: &PodRuntime,
    ) -> Result<Outcome, RepairError> {
        let job = job(&pod.sandbox, pod.attachment.clone(), pod.network.clone(), netns);
        let reason = Reason::OwnKernel { runtime: runtime.to_string() };
        let (store, proc) = (self.store.clone(), self.proc.clone());
        let work = move || -> Result<Outcome, RepairError> {
            if let Some(record) = store.read(&job.attachment)?.filter(Record::is_live) {
                undo_inside(&record, &proc).map_err(RepairError::Undo)?;
                for problem in detach(&store, &job.attachment, Instant::now() + BUDGET).problems {
                    tracing::warn!(attachment = %job.attachment, "{problem}");
                }
            }
            Ok(smc_attach::refuse(&store, &job, reason, budget())?)
        };
        tokio::task::spawn_blocking(work).await?
    }
}

fn job(sandbox: &Sandbox, attachment: AttachmentId, network: String, netns: PathBuf) -> Job {
    let (pod, wish) = (sandbox.pod.clone(), sandbox.wish.clone());
    Job { id: call_id(), attachment, network, pod, netns, wish, particulars: sandbox.particulars.clone() }
}

fn budget() -> Budget {
    Budget { deadline: Instant::now() + BUDGET, started_ms: now_ms() }
}

/// The interface under which a pod of the host's network is on record: it has none of its own.
pub(crate) const HOST_NETWORK: &str = "host";

fn in_place(
    store: &Store,
    boot_id: &str,
    job: &Job,
    netns: &Netns,
    proc: &Path,
) -> Result<Outcome, AttachError> {
    smc_attach::repair(store, boot_id, job, budget(), netns, proc)
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn now_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

/// An id of the plugin's form: the time and the process.
fn call_id() -> String {
    format!("{:x}-{:x}", since_epoch().as_micros(), std::process::id())
}
