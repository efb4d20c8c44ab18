//! When repair looks: at the agent's start, when something changed, when the runtime tells of a container, and every 30
//! seconds.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use smc_state::AttachmentId;
use tokio::sync::{Notify, watch};

use super::Repairer;
use super::due::Wanted;
use crate::board::Board;
use crate::cri::Cri;
use crate::mesh::MeshSwitch;

/// How often every pod is looked at without a reason.
const AT_LEAST_EVERY: Duration = Duration::from_secs(30);
/// How long events are gathered before a look: containers come in bursts.
const GATHER: Duration = Duration::from_millis(500);
/// How soon the runtime's events are asked for again when they ended.
const EVENTS_AGAIN: Duration = Duration::from_secs(10);

impl From<MeshSwitch> for Wanted {
    fn from(mesh: MeshSwitch) -> Self {
        match mesh {
            mesh if !mesh.is_known() => Self::Unknown,
            MeshSwitch { on: true, repair, .. } => Self::On { missed: repair },
            _ => Self::Off,
        }
    }
}

/// Pods of whose set-up something was taken away, on their way to repair; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct LostPods {
    pods: Arc<Mutex<BTreeSet<AttachmentId>>>,
    now: Arc<Notify>,
}

impl LostPods {
    /// Asks for a pod to be set up again.
    pub fn tell(&self, attachment: AttachmentId) {
        self.lock().insert(attachment);
        self.now.notify_one();
    }

    fn take(&self) -> BTreeSet<AttachmentId> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<AttachmentId>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that looks. It ends with the runtime, after the pod that it works on.
#[derive(Debug)]
pub struct Looks {
    wanted: watch::Sender<Wanted>,
    lost: LostPods,
}

impl Looks {
    /// Starts the task, and with it the first look.
    pub fn start(repairer: Repairer, wanted: Wanted, board: Board) -> Self {
        let (sender, receiver) = watch::channel(wanted);
        let lost = LostPods::default();
        tokio::spawn(follow_events(repairer.cri.clone(), lost.now.clone()));
        tokio::spawn(look_again_and_again(repairer, receiver, lost.clone(), board));
        Self { wanted: sender, lost }
    }

    /// For whoever finds that something of a pod's set-up was taken away.
    pub fn lost(&self) -> LostPods {
        self.lost.clone()
    }

    /// What is wanted from now on.
    pub fn want(&self, wanted: Wanted) {
        self.wanted.send_replace(wanted);
    }

    /// Looks as soon as the look under way is over.
    pub fn look_now(&self) {
        self.lost.now.notify_one();
    }
}

async fn look_again_and_again(
    mut repairer: Repairer,
    mut wanted: watch::Receiver<Wanted>,
    lost: LostPods,
    board: Board,
) {
    loop {
        let result = {
            let wanted = *wanted.borrow_and_update();
            repairer.look(wanted, &lost.take()).await
        };
        board.problem(
            "repair",
            result.err().map(|error| {
                format!("{error}; pods that started without the plugin are not set up until it answers (--cri-socket)")
            }),
        );
        // Each of these only waits.
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = lost.now.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(AT_LEAST_EVERY) => {}
        }
    }
}

/// Asks for a look at each event, as long as the runtime has events to tell.
async fn follow_events(cri: Cri, now: Arc<Notify>) {
    loop {
        match cri.events().await {
            Ok(mut events) => {
                while let Some(Ok(_)) = events.next().await {
                    now.notify_one();
                }
            }
            Err(error) if error.is_unknown_call() => {
                tracing::debug!("the runtime tells no events; pods are looked at every {AT_LEAST_EVERY:?}");
                return;
            }
            Err(error) => tracing::debug!("{error}"),
        }
        tokio::time::sleep(EVENTS_AGAIN).await;
    }
}
