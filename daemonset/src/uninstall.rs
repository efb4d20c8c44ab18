//! `smc-agent uninstall`: undo what kube-smc made on this node, and nothing else. Needs no API server and no runtime; where
//! there is an API server, the node's label and condition go, too.
//!
//! Kernel modules stay loaded: other users of SMC may have come. Sockets that are SMC sockets stay so until they close.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use smc_attach::{Shared, detach, unconvert_inside, undo_inside};
use smc_host::genl::SmcFamilies;
use smc_host::guard::former;
use smc_host::netlink::{Connection, Protocol};
use smc_host::{HostError, pnet, smc, with_causes};
use smc_model::Note;
use smc_state::{Record, Store};

use crate::chain;
use crate::node::anchor;
use crate::node::bpf::{ConversionProgram, Removed};
use crate::surfaces::kubernetes::api::Source;
use crate::surfaces::kubernetes::condition::Since;
use crate::surfaces::kubernetes::node_removal::{self, Removal};
use crate::surfaces::kubernetes::{READY_CONDITION, READY_LABEL, backoff};
use smc_state::{BoundPort, Made};

/// Longest wait for one pod's lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the BPF program and its map are pinned.
    pub pin_dir: PathBuf,
    /// The host's `/proc`.
    pub proc: PathBuf,
    /// The node's directory of CNI configurations.
    pub conf_dir: PathBuf,
    /// Where the agent remembers which chain entries it made.
    pub provenance_dir: PathBuf,
    /// The API server that has this node; `None` by hand and outside of a cluster.
    pub api: Option<Source>,
    /// This node's name in Kubernetes.
    pub node_name: Option<String>,
}

/// What was undone, and what could not be.
#[derive(Debug, Default)]
pub struct Undone {
    /// In words, in order.
    pub done: Vec<String>,
    /// In words: what stays because it is not ours alone.
    pub left: Vec<String>,
    /// In words; running it again goes on there.
    pub problems: Vec<String>,
}

impl Undone {
    fn note(&mut self, what: &str, result: Result<(), String>) {
        self.note_if_there(what, result.map(|()| true));
    }

    /// As [`Self::note`], of what may not have been there.
    fn note_if_there(&mut self, what: &str, result: Result<bool, String>) {
        match result {
            Ok(true) => self.done.push(what.to_owned()),
            Ok(false) => {}
            Err(error) => self.problems.push(format!("{what}: {error}")),
        }
    }
}

/// Undoes everything. The chain first, so that no pod is set up meanwhile; what pods need of the node last.
pub async fn uninstall(store: &Store, options: &Options) -> Undone {
    let mut undone = Undone::default();
    // From now on the plugin hands every pod through untouched, also while the runtime still calls it.
    let marked = store.mark_uninstalled().map_err(|error| error.with_cause());
    undone.note("told the plugin to hand every pod through", marked);
    match chain::remove(&options.conf_dir, &options.provenance_dir) {
        Ok(removed) => {
            for file in removed.files {
                undone.done.push(format!("took the entry out of {}", file.display()));
            }
            undone.problems.extend(removed.problems.iter().map(ToString::to_string));
        }
        Err(problem) => undone.problems.push(problem.to_string()),
    }
    let listing = store.list();
    undone.problems.extend(listing.errors.iter().map(smc_state::StateError::with_cause));
    // No pod may offer SMC any more when the first loses its guard.
    for record in listing.records.iter().filter(|record| record.is_live()) {
        if let Err(error) = unconvert_inside(record, &options.proc) {
            undone.problems.push(error.with_cause());
        }
    }
    for record in &listing.records {
        pod(store, record, &options.proc, &mut undone);
    }
    match ConversionProgram::remove(&options.pin_dir) {
        Ok(Removed { link, map, guard }) => {
            undone.note_if_there("detached the BPF program", Ok(link || map));
            undone.note_if_there("removed the same-node guard", Ok(guard));
        }
        Err(error) => undone.problems.push(format!("detach the BPF program: {}", with_causes(&error))),
    }
    let removed = former::remove().map_err(|error| error.with_cause());
    undone.note_if_there("removed the nftables table of an earlier version's same-node guard", removed);
    let removed = anchor::remove().await;
    undone.note_if_there("removed the anchor link", removed.map_err(|error| with_causes(&error)));
    node(store, &mut undone);
    // Also when something above is left: this node accelerates no pod any more.
    in_kubernetes(store, options, &mut undone).await;
    if undone.problems.is_empty() {
        let cleared = store.clear().map_err(|error| error.with_cause());
        undone.note("removed the records", cleared);
    }
    undone
}

fn pod(store: &Store, record: &Record, proc: &Path, undone: &mut Undone) {
    let name = format!("pod {}/{}", record.pod.namespace, record.pod.name);
    if record.is_live() {
        let inside = undo_inside(record, proc).map_err(|error| error.with_cause()).map(|shared| {
            undone.left.extend(shared.iter().map(|shared| format!("inside {name}: {shared}")));
        });
        undone.note(&format!("ended what was ours inside {name}"), inside);
        if record.plan.notes.contains(&Note::ConversionAdopted) {
            undone.left.push(format!("the conversion of {name}, which is somebody else's"));
        }
    }
    let detached = detach(store, &record.attachment, Instant::now() + PATIENCE);
    undone.problems.extend(detached.problems.into_iter().map(|problem| format!("{name}: {problem}")));
}

/// The node's label and condition. That they stay is no failure: it hurts no pod, and trying for ever would keep whoever
/// waits for the uninstalling from its end.
async fn in_kubernetes(store: &Store, options: &Options, undone: &mut Undone) {
    let what = format!("label {READY_LABEL} and condition {READY_CONDITION}");
    let why = match (&options.api, options.node_name.as_deref()) {
        (Some(api), Some(node_name)) => {
            match node_removal::remove(api, node_name, node_removal::PATIENCE, backoff()).await {
                Removal::Removed => {
                    return undone.done.push(format!("removed the {what} of node {node_name}"));
                }
                Removal::NoNode => {
                    let done = format!("the API server has no node {node_name}, so no {what} either");
                    return undone.done.push(done);
                }
                Removal::Left(why) => why,
            }
        }
        (Some(_), None) => "this node's name is not known (--node-name)".to_owned(),
        // Without the agent's note of it there never was anything to write it to.
        (None, _) if matches!(store.read_document::<Since>(), Ok(None)) => return,
        (None, _) => {
            "no API server is known here (this is no pod of the cluster, and there is no --kubeconfig)"
                .to_owned()
        }
    };
    let node_name = options.node_name.as_deref().unwrap_or("NODE");
    undone.left.push(format!(
        "{what} of this node in Kubernetes: {why}. To do: {}",
        node_removal::by_hand(node_name)
    ));
}

/// The RDMA ports' PNETIDs and the enterprise ids, as far as the agent made them.
fn node(store: &Store, undone: &mut Undone) {
    let made = match store.read_document::<Made>() {
        Ok(made) => made.unwrap_or_default(),
        Err(error) => return undone.problems.push(error.with_cause()),
    };
    if made == Made::default() || !smc_host::kernel::module_is_loaded("smc") {
        return;
    }
    match Kernel::connect() {
        Ok(Some(mut kernel)) => {
            for port in &made.ports {
                let what =
                    format!("took PNETID {} from RDMA port {}/{}", port.pnetid, port.device, port.port);
                match kernel.unbind(port) {
                    Ok(None) => undone.done.push(what),
                    Ok(Some(shared)) => undone.left.push(shared.to_string()),
                    Err(error) => undone.problems.push(format!("{what}: {}", error.with_cause())),
                }
            }
            for ueid in &made.ueids {
                let removed = smc::remove_ueid(&mut kernel.generic, kernel.families.smc, ueid);
                undone.note(&format!("removed the UEID {ueid}"), removed.map_err(|error| error.with_cause()));
            }
        }
        Ok(None) => {}
        Err(error) => undone.problems.push(error.with_cause()),
    }
}

struct Kernel {
    generic: Connection,
    families: SmcFamilies,
}

impl Kernel {
    fn connect() -> Result<Option<Self>, HostError> {
        let mut generic = Connection::open(Protocol::Generic)?;
        Ok(SmcFamilies::find(&mut generic)?.map(|families| Self { generic, families }))
    }

    /// The kernel removes every member of a PNETID at once: one that somebody else's device bears too is left, and
    /// returned.
    fn unbind(&mut self, port: &BoundPort) -> Result<Option<Shared>, HostError> {
        let entries = pnet::list(&mut self.generic, self.families.pnetid)?;
        let mut others = pnet::members(&entries, &port.pnetid);
        let ours = format!("{}/{}", port.device, port.port);
        others.retain(|member| *member != ours);
        if !others.is_empty() {
            return Ok(Some(Shared { pnetid: port.pnetid.clone(), others }));
        }
        pnet::delete(&mut self.generic, self.families.pnetid, &port.pnetid).map(|()| None)
    }
}

#[cfg(test)]
mod tests;
