//! What the agent says to Kubernetes, to metrics and to whoever asks, and what the mesh says to it.
//!
//! It runs on a thread of its own: the main loop works in the kernel and must not keep a probe waiting, nor wait for
//! an API server. The two share the [`Board`] and channels.

pub mod http;
pub mod kubernetes;
pub mod metrics;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use smc_model::NodeFacts;
use smc_state::{Phase, Store};
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use crate::board::{Board, Chain, NodeCheck, PodVerdict, View};
use crate::mesh::{self, MeshMode, MeshSwitch};
use crate::pods::records::Change;
use crate::surfaces::http::Listen;
use crate::surfaces::kubernetes::announcement::Announcement;
use crate::surfaces::kubernetes::api::Source;
use crate::surfaces::kubernetes::condition::{Condition, condition};
use crate::surfaces::kubernetes::event_queue::{CAPACITY, EventQueue};
use crate::surfaces::kubernetes::startup_taint::{self, TaintKey};
use crate::surfaces::kubernetes::{backoff, events, node_addresses, node_status};
use crate::surfaces::metrics::Metrics;

/// After the agent's start, a verdict that is older was announced by an earlier run, or is no news.
const NEWS: Duration = Duration::from_secs(600);
/// How soon the port is tried again when it is taken.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// What the command line says about all of this.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the mesh switch comes from.
    pub mesh: MeshMode,
    /// The API server that has the mesh's object, when it is not the cluster's.
    pub mesh_kubeconfig: Option<PathBuf>,
    /// The API server for events and the node's condition, when it is not the one that the pod is told of.
    pub kubeconfig: Option<PathBuf>,
    /// This node's name in Kubernetes.
    pub node_name: Option<String>,
    /// The taint that nodes join with, to be taken off this one when the agent is ready.
    pub startup_taint: Option<TaintKey>,
    /// Where to serve metrics.
    pub listen: Listen,
    /// The host's /proc.
    pub proc: PathBuf,
    /// The UID of this process's pod.
    pub pod_uid: Option<String>,
}

/// Why nothing was started.
#[derive(Debug, Error)]
pub enum SurfacesError {
    /// No thread.
    #[error("cannot start the thread for metrics, health and the API server")]
    Thread(#[source] io::Error),
    /// No runtime for it.
    #[error("cannot start the runtime for metrics, health and the API server")]
    Runtime(#[source] io::Error),
}

/// The main loop's end of it.
#[derive(Debug)]
pub struct Surfaces {
    /// The board.
    pub board: Board,
    /// The metrics.
    pub metrics: Metrics,
    mesh: watch::Receiver<MeshSwitch>,
    node_addresses: watch::Receiver<Option<BTreeSet<IpAddr>>>,
    announcer: Announcer,
    conditions: watch::Sender<Option<Condition>>,
    first_look: bool,
}

/// Takes Events to whoever writes them; clones do the same.
#[derive(Debug, Clone)]
pub struct Announcer {
    sender: mpsc::Sender<Announcement>,
    board: Board,
}

impl Announcer {
    /// One whose announcements are handed to the receiver.
    #[cfg(test)]
    pub(crate) fn to(board: Board) -> (Self, mpsc::Receiver<Announcement>) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Self { sender, board }, receiver)
    }

    /// Hands an Event over, if there is one. Never waits.
    pub fn announce(&self, announcement: Option<Announcement>) {
        let Some(announcement) = announcement else { return };
        // Closed: there is nobody to write events, and nobody who misses them.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(announcement) {
            self.board.update(|view| view.events.dropped_before_queue += 1);
        }
    }
}

/// The thread's end of it.
struct Ends {
    mesh: watch::Sender<MeshSwitch>,
    node_addresses: watch::Sender<Option<BTreeSet<IpAddr>>>,
    announcements: mpsc::Receiver<Announcement>,
    conditions: watch::Receiver<Option<Condition>>,
}

impl Surfaces {
    /// Starts the thread; it ends with the process. `chain` is how the chain's state begins. The caller has the node.
    pub fn start(options: Options, store: Store, chain: Chain) -> Result<Self, SurfacesError> {
        let mut view = View::new(options.mesh, MeshSwitch::NOT_KNOWN_YET, chain, Instant::now());
        view.started = wall().as_secs();
        view.node_name.clone_from(&options.node_name);
        view.pod_uid.clone_from(&options.pod_uid);
        let board = Board::new(view);
        let switch = match options.mesh {
            MeshMode::Enabled => MeshSwitch::fixed(true),
            MeshMode::Disabled => MeshSwitch::fixed(false),
            MeshMode::Watch => mesh::last_known(&store, &board).unwrap_or(MeshSwitch::NOT_KNOWN_YET),
        };
        board.update(|view| view.mesh = switch);
        let metrics = Metrics::new(board.clone());
        let (mesh_sender, mesh) = watch::channel(switch);
        let (announcements, announced) = mpsc::channel(CAPACITY);
        let (conditions, condition) = watch::channel(None);
        let (addresses, node_addresses) = watch::channel(None);
        let ends = Ends {
            mesh: mesh_sender,
            node_addresses: addresses,
            announcements: announced,
            conditions: condition,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(SurfacesError::Runtime)?;
        let served = (board.clone(), metrics.clone());
        thread::Builder::new()
            .name("surfaces".to_owned())
            .spawn(move || {
                let (board, metrics) = served;
                runtime.block_on(serve(&options, &store, &board, &metrics, ends));
            })
            .map_err(SurfacesError::Thread)?;
        let events = Announcer { sender: announcements, board: board.clone() };
        Ok(Self { board, metrics, mesh, node_addresses, announcer: events, conditions, first_look: true })
    }

    /// The mesh switch, to be read and waited on.
    pub fn mesh(&self) -> watch::Receiver<MeshSwitch> {
        self.mesh.clone()
    }

    /// The addresses of the cluster's nodes, once they are known.
    pub fn node_addresses(&self) -> watch::Receiver<Option<BTreeSet<IpAddr>>> {
        self.node_addresses.clone()
    }

    /// For others who announce.
    pub fn announcer(&self) -> Announcer {
        self.announcer.clone()
    }

    /// Takes in what a look at the node said.
    pub fn node_is(&self, facts: &NodeFacts) {
        let check = NodeCheck { kernel: facts.kernel.release.clone(), obstacle: facts.unfit() };
        self.board.update(|view| {
            view.node = Some(check);
            view.readiness.node_was_checked();
        });
        self.renew_condition();
    }

    /// Takes in what the runtime says of our entry.
    pub fn chain_is(&self, chain: Chain) {
        self.board.update(|view| view.readiness.chain_is(chain, Instant::now()));
        self.renew_condition();
    }

    /// Takes in the mesh switch as it is now, and a sign of life. To be called by the main loop each time around.
    pub fn main_loop_turned(&self) {
        let mesh = *self.mesh.borrow();
        self.board.update(|view| {
            view.readiness.sign_of_life(Instant::now());
            view.mesh = mesh;
        });
        // Also without news: a loss of the chain counts only after a while.
        self.renew_condition();
    }

    /// Takes in what a look at the records found.
    pub fn records_changed(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Seen(record) => {
                    self.board.update(|view| match &record.verdict {
                        Some(verdict) if record.phase == Phase::Settled => {
                            let (pod, id, verdict) = (record.pod.clone(), record.id.clone(), verdict.clone());
                            view.pods.insert(record.attachment.clone(), PodVerdict { pod, id, verdict });
                        }
                        _ => drop(view.pods.remove(&record.attachment)),
                    });
                    // Those that were there at the start were counted by an earlier run.
                    if !self.first_look && record.phase == Phase::Settled {
                        self.metrics.add_ended(record);
                    }
                    if !self.first_look && record.phase == Phase::Tombstone {
                        self.metrics.del_ended(record);
                    }
                    let age = wall().saturating_sub(Duration::from_millis(record.started_ms));
                    if !self.first_look || age < NEWS {
                        self.announcer.announce(Announcement::of(record));
                    }
                }
                Change::Ended(attachment) => self.board.update(|view| drop(view.pods.remove(attachment))),
            }
        }
        self.first_look = false;
    }

    fn renew_condition(&self) {
        let new = self.board.read(|view| {
            let node = view.node.as_ref()?;
            Some(condition(node.obstacle.as_ref(), &view.readiness.standing_chain(Instant::now()), view.mesh))
        });
        self.conditions.send_if_modified(|last| std::mem::replace(last, new.clone()) != new);
    }
}

async fn serve(options: &Options, store: &Store, board: &Board, metrics: &Metrics, ends: Ends) {
    let Ends { mesh, node_addresses: addresses, announcements, conditions } = ends;
    let mesh = async {
        if options.mesh == MeshMode::Watch {
            mesh::follow(&Source::new(options.mesh_kubeconfig.clone()), store, board, &mesh).await;
        }
    };
    let port = async {
        if let Listen::At(address) = options.listen {
            http::keep_port(address, &options.proc, LISTEN_AGAIN, board, metrics).await;
        }
    };
    let socket_path = store.agent_socket_path();
    let socket = http::keep_socket(&socket_path, board, metrics);
    let source = Source::new(options.kubeconfig.clone());
    let kubernetes = async {
        if !source.exists() {
            tracing::info!("not in a cluster and no --kubeconfig: no events on pods, no node condition");
            return;
        }
        let instance = options.node_name.clone().unwrap_or_default();
        let events = events::publish(&source, announcements, EventQueue::new(instance), board, backoff());
        let condition = async {
            if let Some(name) = &options.node_name {
                node_status::publish(&source, name, conditions, store, board, backoff()).await;
            } else {
                tracing::info!("no --node-name: no node condition and no node label");
            }
        };
        let taint = async {
            match (&options.startup_taint, &options.node_name) {
                (Some(key), Some(name)) => {
                    startup_taint::keep_off(&source, name, key, board, backoff()).await;
                }
                (Some(key), None) => {
                    tracing::warn!("no --node-name: the taint {key} stays on the node, and keeps pods away");
                }
                (None, _) => {}
            }
        };
        let addresses = node_addresses::follow(&source, board, backoff(), &addresses);
        tokio::join!(events, condition, taint, addresses);
    };
    // Probes first: making a client of an API server takes a while.
    tokio::join!(socket, port, mesh, kubernetes);
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
