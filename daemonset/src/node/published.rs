//! The node as it was last seen, and as it is published to the plugin.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use smc_attach::{Anew, Mended, Mender};
use smc_host::HostError;
use smc_host::guard::former;
use smc_model::{Guard, Missing, NodeFacts, Reason, Verdict};
use smc_state::{Made, NODE_FILE_VERSION, NodeFile, Record, RecordCache, StateError, Store};
use smc_surfaces::Subject;
use smc_verbs::DeviceLimits;
use tokio::sync::watch;

use crate::board::Board;
use crate::node::{self, Asked, LastLook, Options, Prepared};
use crate::settings::Wishes;

/// A node that is kept prepared.
#[derive(Debug)]
pub struct PublishedNode<'a> {
    store: &'a Store,
    board: Board,
    boot_id: String,
    last: LastLook,
    /// As it was last seen.
    seen: Option<NodeFacts>,
    /// What is in node.json.
    published: Option<NodeFacts>,
    /// What was made and is not on record yet.
    made: Made,
    told: Vec<String>,
    mender: Mender,
    read: RecordCache,
    former_guard_is_gone: bool,
    /// The addresses of the cluster's nodes.
    node_addresses: watch::Receiver<Option<BTreeSet<IpAddr>>>,
}

impl<'a> PublishedNode<'a> {
    /// A node that was not looked at yet.
    pub fn new(
        store: &'a Store,
        read: RecordCache,
        board: Board,
        boot_id: String,
        last: LastLook,
        node_addresses: watch::Receiver<Option<BTreeSet<IpAddr>>>,
    ) -> Self {
        let (seen, published, made, told, mender, former_guard_is_gone) = Default::default();
        Self {
            store,
            board,
            boot_id,
            last,
            seen,
            published,
            made,
            told,
            mender,
            read,
            former_guard_is_gone,
            node_addresses,
        }
    }

    /// The node as the plugin knows it.
    pub fn facts(&self) -> Option<&NodeFacts> {
        self.published.as_ref()
    }

    /// Whether the plugin knows the node as it was last seen.
    pub fn is_published(&self) -> bool {
        self.published.is_some() && self.published == self.seen
    }

    /// Prepares the node and publishes its facts when they changed, and says whether they did. Problems are logged when
    /// they come and go; a state directory that cannot be written is one, and is tried again at the next look.
    ///
    /// # Errors
    /// When the node cannot be looked at at all.
    pub async fn look(&mut self, options: &Options, wishes: Wishes) -> Result<bool, HostError> {
        let node_addresses = self.node_addresses.borrow().clone();
        let asked = Asked::new(wishes, node_addresses.as_ref(), options);
        let prepared = node::prepare(options, asked, &mut self.last, self.seen.as_ref()).await?;
        let Prepared { facts, devices, mut problems, notes, losses, renamed, made, map_is_new, guard_is_new } =
            prepared;
        for note in notes {
            tracing::info!("{note}");
        }
        // Also at the agent's start, when nobody knows what came before.
        let map = self.seen.is_none() || map_is_new;
        self.tell_losses(losses, renamed);
        problems.extend(self.mend(&facts, Anew { map, guard: guard_is_new }));
        self.tell_problems(problems);
        self.made.extend(made);
        let first = self.seen.is_none();
        if self.seen.as_ref() != Some(&facts) {
            log(&facts);
            self.seen = Some(facts.clone());
        }
        if first {
            for device in &devices {
                log_limits(device);
            }
        }
        let changed = self.write(facts);
        let problem = changed.as_ref().err().map(|error| {
            let room = if error.is_for_want_of_room() {
                format!("; is there room in {}?", self.store.dir().display())
            } else {
                String::new()
            };
            format!(
                "{}; until that can be done pods are set up by what was known before{room}",
                error.with_cause()
            )
        });
        self.board.problem(Subject::State, problem);
        Ok(changed.unwrap_or(false))
    }

    /// Brings what the host's kernel holds for pods to what the records say, all at once.
    fn mend(&mut self, facts: &NodeFacts, anew: Anew) -> Vec<String> {
        let Mended { put_back, renewed, released, problems } =
            self.mender.mend(self.store, &self.read, facts, anew);
        if renewed > 0 {
            tracing::info!(pods = renewed, "gave pods the same-node guard's new program");
        }
        self.remove_former_guard(facts);
        for (count, reason) in lost(&put_back, &facts.kernel.release) {
            tracing::warn!(
                reason = reason.name(),
                count,
                "somebody took this away: {reason}; it was put back"
            );
            self.board.node_lost(reason);
        }
        for stray in released {
            tracing::info!("not of the pod that had it any more, and released: {stray:?}");
        }
        problems
            .into_iter()
            .map(|problem| format!("cannot keep what pods have in the host: {problem}"))
            .collect()
    }

    /// Takes the nftables table of earlier versions away, once every pod has the program instead.
    fn remove_former_guard(&mut self, facts: &NodeFacts) {
        let needs_table = |record: &Record| {
            let set_up = record.verdict.as_ref().is_some_and(Verdict::is_set_up);
            record.is_live() && set_up && record.owned.is_of_earlier_version()
        };
        if self.former_guard_is_gone || !matches!(facts.guard, Guard::Ready | Guard::NotNeeded) {
            return;
        }
        let listing = self.store.list_again(&self.read);
        if !listing.errors.is_empty() || listing.records.iter().any(|record| needs_table(record)) {
            return;
        }
        match former::remove() {
            Ok(removed) => {
                self.former_guard_is_gone = true;
                if removed {
                    tracing::info!("removed the nftables table of an earlier version's same-node guard");
                }
            }
            // At the next look again.
            Err(error) => tracing::debug!("{}", error.with_cause()),
        }
    }

    /// Puts in the state directory what is not there yet, and says whether the published facts changed.
    fn write(&mut self, facts: NodeFacts) -> Result<bool, StateError> {
        if self.store.is_uninstalled() {
            tracing::warn!(
                "somebody left word in {} that kube-smc was uninstalled from this node, for which the plugin hands every pod \
                 through; this agent is installed here: the word is taken back",
                self.store.dir().display()
            );
            self.store.unmark_uninstalled()?;
        }
        // Neither waits for the other.
        let (published, remembered) = (self.publish(facts), self.remember());
        remembered.and(published)
    }

    fn remember(&mut self) -> Result<(), StateError> {
        self.made.remember(self.store)?;
        self.made = Made::default();
        Ok(())
    }

    fn publish(&mut self, facts: NodeFacts) -> Result<bool, StateError> {
        if self.published.as_ref() == Some(&facts) {
            return Ok(false);
        }
        let written = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let file = NodeFile {
            version: NODE_FILE_VERSION,
            boot_id: self.boot_id.clone(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            written,
            facts,
        };
        self.store.write_node(&file)?;
        self.published = Some(file.facts);
        Ok(true)
    }

    fn tell_losses(&self, losses: Vec<Reason>, renamed: Vec<Reason>) {
        for reason in renamed {
            tracing::warn!(reason = reason.name(), "{reason} by somebody else; pods are set up with it");
            self.board.node_lost(reason);
        }
        for reason in losses {
            let name = reason.name();
            tracing::warn!(
                reason = name,
                "somebody took this away since the last look: {reason}; it was put back"
            );
            self.board.node_lost(reason);
        }
    }

    fn tell_problems(&mut self, problems: Vec<String>) {
        for problem in problems.iter().filter(|problem| !self.told.contains(problem)) {
            tracing::warn!("{problem}");
        }
        for problem in self.told.iter().filter(|problem| !problems.contains(problem)) {
            tracing::info!("no longer: {problem}");
        }
        self.told = problems;
    }
}

/// What many pods lacked at once, by how many entries.
fn lost(missing: &Missing, kernel: &str) -> Vec<(usize, Reason)> {
    let entries = |count: usize, of: &str| format!("{count} of the pods' addresses were removed from {of}");
    let mut lost = Vec::new();
    if !missing.anchored.is_empty() {
        let count = missing.anchored.len();
        let why = entries(count, "the link kubesmc0");
        lost.push((count, Reason::SourceAnchorMissing { why }));
    } else if !missing.held.is_empty() {
        let count = missing.held.len();
        let why = format!("{count} of the routes in table local that hold pods' packets were removed");
        lost.push((count, Reason::SourceAnchorMissing { why }));
    }
    if !missing.guarded.is_empty() {
        let count = missing.guarded.len();
        let why = entries(count, "the same-node guard's map");
        lost.push((count, Reason::SameNodeGuardMissing { why }));
    }
    if !missing.peers.is_empty() {
        let count = missing.peers.len();
        let why =
            format!("who may speak SMC with {count} of the pods' addresses was removed from the guard's map");
        lost.push((count, Reason::PeerFilterMissing { why }));
    }
    if !missing.converting.is_empty() {
        let count = missing.converting.len();
        let why = format!("{count} of the pods' namespaces were not in the BPF program's map");
        lost.push((count, Reason::NoConversion { kernel: kernel.to_owned(), why }));
    }
    lost
}

fn log(facts: &NodeFacts) {
    for port in &facts.ports {
        let netdev = port.netdev.as_ref().map_or("none", |netdev| netdev.name.as_str());
        let pnetid = port.pnetid.as_ref().map_or("none", |id| id.as_str());
        let state = if port.active { "ACTIVE" } else { "not ACTIVE" };
        tracing::info!(%port, netdev, pnetid, state, "RDMA port");
    }
    match facts.unfit() {
        None => tracing::info!(kernel = facts.kernel.release, "annotated pods of this node can use SMC-R"),
        Some(reason) => tracing::warn!(
            kernel = facts.kernel.release,
            reason = reason.name(),
            fix = reason.remedy(),
            "annotated pods of this node stay on TCP: {reason}"
        ),
    }
}

fn log_limits(device: &str) {
    match smc_verbs::device_limits(device) {
        DeviceLimits::Known(limits) => tracing::info!(device, max_qp = limits.max_qp, "RDMA device limits"),
        DeviceLimits::Unknown(why) => tracing::info!(device, "RDMA device limits unknown: {why}"),
    }
}

#[cfg(test)]
mod tests;
