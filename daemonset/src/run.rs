//! `smc-agent run`: prepare the node, publish it, keep it so, and follow the pods' records.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use smc_host::{kernel, memory};
use smc_state::{RecordCache, Store};
use smc_surfaces::Subject;
use tokio::sync::watch;

use crate::chain::{self, ChainThread, Mode, RuntimeVersion, Status};
use crate::cri::{Cri, LoadedByRuntime};
use crate::mesh::MeshSwitch;
use crate::node::published::PublishedNode;
use crate::node::{LastLook, Options};
use crate::pods::records::{self, Records};
use crate::pods::repair::due::Wanted;
use crate::pods::repair::{Looks, Repairer};
use crate::pods::traffic::{Tools, Traffic};
use crate::process::log_level::LogLevel;
use crate::process::shutdown::Shutdown;
use crate::settings::SettingsWatch;
use crate::surfaces::Surfaces;

/// How often the node is looked at again: what was lost is made anew, and a port that came or went is published.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long changes of records are gathered: pods come in bursts, and each of them is written several times.
const GATHER: Duration = Duration::from_millis(50);

/// What to work on.
#[derive(Debug)]
pub struct Work {
    /// The node.
    pub node: Options,
    /// The CNI chain.
    pub chain: chain::Options,
    /// Where the container runtime listens.
    pub cri_socket: PathBuf,
    /// Where the settings are that may change meanwhile.
    pub settings_dir: PathBuf,
}

/// Runs until it shall end, which leaves the node working: pods, plugin and kernel state stay as they are.
pub async fn run(
    work: &Work,
    store: &Store,
    surfaces: &mut Surfaces,
    level: &mut LogLevel,
    shutdown: &mut Shutdown,
) -> Result<()> {
    let Work { node: options, chain, cri_socket, settings_dir } = work;
    let cri = Cri::at(cri_socket.clone());
    let boot_id = kernel::boot_id().map_err(anyhow::Error::from)?;
    store.create()?;
    store.unmark_uninstalled()?;

    let mut mesh = surfaces.mesh();
    let switch = *mesh.borrow_and_update();
    let read = RecordCache::default();
    let repairer = Repairer::new(
        cri.clone(),
        store.clone(),
        read.clone(),
        boot_id.clone(),
        options.proc.clone(),
        surfaces.metrics.clone(),
    );
    let last = LastLook::at_start(store, &boot_id, &options.pin_dir);
    let mut settings = SettingsWatch::new(settings_dir.clone(), store.node_facts(&boot_id).ok().as_ref());
    settings.look(&surfaces.board);
    let (board, addresses) = (surfaces.board.clone(), surfaces.node_addresses());
    let mut node = PublishedNode::new(store, read.clone(), board, boot_id, last, addresses);
    node.look(options, settings.wishes(switch)).await?;
    let wanted = if node.is_published() { switch.into() } else { Wanted::Unknown };
    let repair = Looks::start(repairer, wanted, surfaces.board.clone());
    let (board, announcer) = (surfaces.board.clone(), surfaces.announcer());
    let tools = Tools { store: store.clone(), board, announcer, lost: repair.lost() };
    let traffic = Traffic::start(tools).context("cannot start the thread that looks at traffic")?;
    tell(&node, surfaces, &traffic);
    let kept = if chain.mode == Mode::Off {
        None
    } else {
        let runtime = tokio::select! {
            runtime = runtime_version(&cri) => runtime,
            () = shutdown.wanted() => {
                ended();
                return Ok(());
            }
        };
        Some(keep_chain(chain, &cri, runtime)?)
    };
    tracing::info!(state = %store.dir().display(), "the node is prepared; watching pods");
    let chain = kept.as_ref().map(ChainThread::status);
    let parts = Parts { store, read, options, node, mesh, settings, repair, traffic, chain };
    parts.follow(surfaces, level, shutdown).await?;
    if let Some(kept) = kept {
        kept.stop();
    }
    ended();
    Ok(())
}

/// What the main loop works with.
struct Parts<'a> {
    store: &'a Store,
    read: RecordCache,
    options: &'a Options,
    node: PublishedNode<'a>,
    mesh: watch::Receiver<MeshSwitch>,
    settings: SettingsWatch,
    repair: Looks,
    traffic: Traffic,
    chain: Option<watch::Receiver<Status>>,
}

impl Parts<'_> {
    /// Keeps the node, and follows the pods' records, until the agent shall end.
    async fn follow(
        mut self,
        surfaces: &mut Surfaces,
        level: &mut LogLevel,
        shutdown: &mut Shutdown,
    ) -> Result<()> {
        let mut told = ChainTold::default();
        let mut watch = records::Watch::new(&self.store.pods_dir());
        surfaces.board.problem(Subject::Records, watch.begin().err());

        let mut records = Records::new(self.read.clone());
        let first = records.look(self.store);
        surfaces.records_changed(&first);
        self.traffic.records_changed(&first);
        // Whether pods came or went since memory was given back.
        let mut worked = true;
        let mut again = tokio::time::interval(LOOK_AGAIN);
        again.tick().await;
        loop {
            // Every branch only waits; what it leads to is done after the select, so nothing is ever cut off half way.
            let mut records_changed = false;
            tokio::select! {
                () = shutdown.wanted() => return Ok(()),
                heard = watch.changed() => records_changed = heard,
                Some(status) = next(&mut self.chain) => told.tell(&status, surfaces),
                Ok(()) = self.mesh.changed() => self.look().await?,
                () = self.settings.changed() => {
                    if self.settings.look(&surfaces.board) {
                        self.look().await?;
                    }
                }
                _ = again.tick() => {
                    self.settings.look(&surfaces.board);
                    self.look().await?;
                    level.look(&surfaces.board);
                    surfaces.board.problem(Subject::Records, watch.begin().err());
                    if std::mem::take(&mut worked) {
                        memory::give_back();
                    }
                }
            }
            surfaces.main_loop_turned();
            tell(&self.node, surfaces, &self.traffic);
            if records_changed {
                tokio::time::sleep(GATHER).await;
            }
            if records_changed || records.need_a_look(self.store) {
                let news = records.look(self.store);
                worked |= !news.is_empty();
                self.repair.make_up_for(&news);
                surfaces.records_changed(&news);
                self.traffic.records_changed(&news);
            }
        }
    }

    /// Looks at the node, and has pods repaired by what was published: what pods are told and what is done to them must not
    /// differ.
    async fn look(&mut self) -> Result<()> {
        let switch = *self.mesh.borrow_and_update();
        let changed = self.node.look(self.options, self.settings.wishes(switch)).await?;
        if let Some(facts) = self.node.facts().filter(|_| self.node.is_published())
            && !self.repair.want(switch.into(), facts)
            && changed
        {
            self.repair.look_now();
        }
        Ok(())
    }
}

fn tell(node: &PublishedNode<'_>, surfaces: &Surfaces, traffic: &Traffic) {
    if let Some(facts) = node.facts() {
        surfaces.node_is(facts);
        traffic.node_is(facts);
    }
}

fn ended() {
    tracing::info!("ending; the node stays as it is");
}

/// What the runtime is, which decides how the entry may get into the chain; one that does not answer yet is taken for an
/// old one.
async fn runtime_version(cri: &Cri) -> Option<RuntimeVersion> {
    match cri.version().await {
        Ok((name, version)) => {
            tracing::info!(name, version, "container runtime");
            RuntimeVersion::parse(&name, &version)
        }
        Err(error) => {
            tracing::warn!("{error}");
            None
        }
    }
}

fn keep_chain(chain: &chain::Options, cri: &Cri, runtime: Option<RuntimeVersion>) -> Result<ChainThread> {
    let options = chain::Options { runtime, ..chain.clone() };
    ChainThread::start(options, LoadedByRuntime::at(cri.socket()))
        .context("cannot start keeping the CNI chain")
}

/// The chain's next state; never where nobody keeps it.
async fn next(chain: &mut Option<watch::Receiver<Status>>) -> Option<Status> {
    let Some(receiver) = chain else { return std::future::pending().await };
    if receiver.changed().await.is_err() {
        *chain = None;
        return None;
    }
    Some(receiver.borrow_and_update().clone())
}

/// How much of the chain's counters was told.
#[derive(Debug, Default)]
struct ChainTold {
    insertions: u64,
    exposed: Duration,
}

impl ChainTold {
    fn tell(&mut self, status: &Status, surfaces: &Surfaces) {
        for _ in self.insertions..status.insertions {
            surfaces.metrics.entry_reinserted();
        }
        surfaces.metrics.was_exposed(status.exposed.saturating_sub(self.exposed));
        (self.insertions, self.exposed) = (status.insertions, status.exposed);
        surfaces.chain_is(status.into());
        surfaces
            .board
            .problem(Subject::Chain, status.problem.as_ref().map(|problem| problem.message.clone()));
    }
}
