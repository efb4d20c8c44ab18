//! `smc-agent run`: prepare the node, publish it, keep it so, and follow the pods' records.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use notify::{RecursiveMode, Watcher as _};
use smc_host::kernel;
use smc_model::NodeFacts;
use smc_state::{NODE_FILE_VERSION, NodeFile, Store};
use smc_verbs::DeviceLimits;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::chain::{self, ChainThread, Mode, NoRuntime};
use crate::node::{self, Options, Prepared};
use crate::records::Records;

/// How often the node is looked at again: what was lost is made anew, and a port that came or went is published.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT, which leave the node working: pods, plugin and kernel state stay as they are.
pub async fn run(options: &Options, chain: chain::Options, store: &Store) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let boot_id = kernel::boot_id().map_err(anyhow::Error::from)?;
    store.create()?;

    let mut node = Node { store, boot_id, published: None, told: Vec::new() };
    node.look(options).await?;
    let chain = match chain.mode {
        Mode::Off => None,
        _ => Some(ChainThread::start(chain, NoRuntime).context("cannot start keeping the CNI chain")?),
    };
    tracing::info!(state = %store.dir().display(), "the node is prepared; watching pods");

    // One pending wake-up is enough: a look sees everything that happened before it.
    let (wake, mut changed) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |_: notify::Result<notify::Event>| {
        let _ = wake.try_send(());
    })
    .context("cannot watch directories")?;
    watcher
        .watch(&store.pods_dir(), RecursiveMode::NonRecursive)
        .with_context(|| format!("cannot watch {}", store.pods_dir().display()))?;

    let mut records = Records::default();
    records.look(store);
    let mut again = tokio::time::interval(LOOK_AGAIN);
    again.tick().await;
    loop {
        // Every branch only waits; what it leads to is done after the select, so nothing is ever cut off half way.
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = changed.recv() => {}
            _ = again.tick() => node.look(options).await?,
        }
        records.look(store);
    }
    if let Some(chain) = chain {
        chain.stop();
    }
    tracing::info!("ending; the node stays as it is");
    Ok(())
}

struct Node<'a> {
    store: &'a Store,
    boot_id: String,
    published: Option<NodeFacts>,
    told: Vec<String>,
}

impl Node<'_> {
    /// Prepares the node and publishes its facts when they changed. Problems are logged when they come and go.
    async fn look(&mut self, options: &Options) -> Result<()> {
        let Prepared { facts, devices, problems, notes } = node::prepare(options).await?;
        for note in notes {
            tracing::info!("{note}");
        }
        for problem in problems.iter().filter(|problem| !self.told.contains(problem)) {
            tracing::warn!("{problem}");
        }
        for problem in self.told.iter().filter(|problem| !problems.contains(problem)) {
            tracing::info!("no longer: {problem}");
        }
        self.told = problems;
        if self.published.as_ref() == Some(&facts) {
            return Ok(());
        }
        log(&facts);
        let written = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let file = NodeFile {
            version: NODE_FILE_VERSION,
            boot_id: self.boot_id.clone(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            written,
            facts: facts.clone(),
        };
        self.store.write_node(&file).context("cannot publish the node's facts")?;
        if self.published.is_none() {
            for device in devices {
                log_limits(&device);
            }
        }
        self.published = Some(facts);
        Ok(())
    }
}

fn log(facts: &NodeFacts) {
    for port in &facts.ports {
        let netdev = port.netdev.as_ref().map_or("none", |netdev| netdev.name.as_str());
        let pnetid = port.pnetid.as_ref().map_or("none", |id| id.as_str());
        let state = if port.active { "ACTIVE" } else { "not ACTIVE" };
        tracing::info!(%port, netdev, pnetid, state, "RDMA port");
    }
    match facts.obstacle() {
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
