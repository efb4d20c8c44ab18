//! Watches the one object, and nothing else, at an API server.

use std::io::ErrorKind;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
use smc_state::{StateError, Store};
use smc_surfaces::Subject;
use tokio::sync::watch;

use super::{Follower, Input, MeshSwitch};
use crate::board::Board;
use crate::surfaces::kubernetes::api::{
    ApiClient, ConnectError, Fault, Pace, Source, explain, explain_connect, explain_status, fault, fault_of,
};

/// The object's name; ASM ignores all others.
const NAME: &str = "default";
/// What problems are told under.
const SERVER: Subject = Subject::MeshServer;
const OBJECT: Subject = Subject::MeshObject;
const FILE: Subject = Subject::MeshFile;

/// Follows the object for ever and sends the switch whenever it changes. `sender` should hold what
/// [`last_known`] returned. What goes wrong is told on the board; the switch then keeps its last value.
pub async fn follow(source: &Source, store: &Store, board: &Board, sender: &watch::Sender<MeshSwitch>) {
    follow_with(source, store, board, sender, DefaultBackoff::default()).await;
}

/// The switch as the agent's last run left it, to begin with.
pub fn last_known(store: &Store, board: &Board) -> Option<MeshSwitch> {
    match store.read_document() {
        Ok(last) => last,
        Err(error) => {
            board.problem(FILE, Some(error.with_cause()));
            None
        }
    }
}

async fn follow_with(
    source: &Source,
    store: &Store,
    board: &Board,
    sender: &watch::Sender<MeshSwitch>,
    mut backoff: impl Backoff,
) {
    let mut watch = Watch { store, board, sender, follower: Follower::new(Some(*sender.borrow())) };
    loop {
        match ApiClient::connect(source, Pace::SELDOM).await {
            Ok(api) => watch.until_it_fails(&api, &mut backoff).await,
            Err(error) => {
                watch.unreachable(&without_client(&error));
                tokio::time::sleep(next(&mut backoff)).await;
            }
        }
    }
}

fn next(backoff: &mut impl Backoff) -> Duration {
    backoff.next().unwrap_or(Duration::from_secs(30))
}

struct Watch<'a> {
    store: &'a Store,
    board: &'a Board,
    sender: &'a watch::Sender<MeshSwitch>,
    follower: Follower,
}

impl Watch<'_> {
    /// Watches until the server gives no answer that helps: all that leads to it is read anew then, because files with addresses,
    /// tokens and keys are replaced while they are used.
    async fn until_it_fails(&mut self, api: &ApiClient, backoff: &mut impl Backoff) {
        let kind = GroupVersionKind::gvk("istio.alibabacloud.com", "v1beta1", "ASMMeshConfig");
        let resource = ApiResource::from_gvk_with_plural(&kind, "asmmeshconfigs");
        let objects: Api<DynamicObject> = Api::all_with(api.client.clone(), &resource);
        let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        let mut events = pin!(watcher(objects, config));
        let mut listed = None;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                // A watch that is open again says nothing until the object changes; that it was answered is enough.
                () = api.answered() => {
                    self.board.problem(SERVER, None);
                    continue;
                }
            };
            // The stream of a watcher has no end.
            let Some(event) = event else { return };
            let error = match event {
                Ok(event) => {
                    self.event(event, &mut listed);
                    continue;
                }
                Err(error) => error,
            };
            api.forget_answer();
            let (fault, why) = read(&error);
            let lead_nowhere = match error {
                watcher::Error::InitialListFailed(_) => fault != Fault::Expired,
                watcher::Error::WatchStartFailed(_) => fault == Fault::Unreachable,
                // An event that cannot be read is no reason to leave a server that answers.
                _ => false,
            };
            let wait = api.asked_to_wait().max(asked_by(&error)).max(next(backoff));
            match fault {
                // The next list says what was missed.
                Fault::Expired => {}
                Fault::NoResource => {
                    self.hear(&Input::NoResource);
                    self.not_known_there(&api.server);
                }
                _ => self.unreachable(&format!("{}: {why}", api.server)),
            }
            tokio::time::sleep(wait).await;
            if lead_nowhere || fault == Fault::Unauthenticated {
                return;
            }
        }
    }

    fn event(&mut self, event: Event<DynamicObject>, listed: &mut Option<DynamicObject>) {
        let ours = |object: &DynamicObject| object.metadata.name.as_deref() == Some(NAME);
        match event {
            Event::Init => *listed = None,
            Event::InitApply(object) if ours(&object) => *listed = Some(object),
            Event::InitDone => {
                let input = listed.take().map_or(Input::Absent, |object| Input::Found(object.data));
                self.hear(&input);
            }
            Event::Apply(object) if ours(&object) => self.hear(&Input::Found(object.data)),
            Event::Delete(object) if ours(&object) => self.hear(&Input::Absent),
            // A server that does not know the field selector sends others too.
            Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => {}
        }
    }

    fn hear(&mut self, input: &Input) {
        if *input != Input::NoResource {
            self.board.problem(SERVER, None);
        }
        let changed = self.follower.hear(input, Instant::now());
        self.board.problem(OBJECT, self.follower.malformed().map(str::to_owned));
        if changed {
            let switch = self.follower.switch();
            tracing::info!(on = switch.on, repair = switch.repair, "mesh switch: {}", switch.why);
            let kept = self.store.write_document(&switch);
            self.board.problem(FILE, kept.err().map(|error: StateError| error.with_cause()));
            self.sender.send_replace(switch);
        }
    }

    /// Nothing is wrong with the server, and nothing is accelerated: whoever applied the manifests meant something else.
    fn not_known_there(&self, server: &str) {
        let switch = self.follower.switch();
        let effect = if switch.on {
            "; the last known value holds for a moment: on".to_owned()
        } else {
            format!(", so new annotated pods are not accelerated: {}", switch.why)
        };
        self.board.problem(SERVER, Some(format!("{server} has no resource ASMMeshConfig{effect}")));
    }

    fn unreachable(&self, why: &str) {
        let switch = self.follower.switch();
        let holds = match (switch.is_known(), switch.on) {
            (false, _) => "nothing is known of the switch, so new pods are not accelerated",
            (true, true) => "the last known value holds: on",
            (true, false) => "the last known value holds: off",
        };
        self.board.problem(SERVER, Some(format!("cannot watch ASMMeshConfig {NAME}: {why}; {holds}")));
    }
}

/// Why there is nobody to ask. In a cluster, the kubeconfig is a Secret's, which may come later.
fn without_client(error: &ConnectError) -> String {
    let why = explain_connect(error);
    match error {
        ConnectError::ReadKubeconfig { source, .. } if source.kind() == ErrorKind::NotFound => {
            format!(
                "{why}; with overlays/ack-asm it comes from the Secret smc-agent-asm in kube-system, see docs/ack.md"
            )
        }
        _ => why,
    }
}

fn read(error: &watcher::Error) -> (Fault, String) {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => (fault(error), explain(error)),
        watcher::Error::WatchError(status) => (fault_of(status), explain_status(status)),
        watcher::Error::NoResourceVersion => {
            (Fault::Unreachable, "its answer has no resourceVersion".to_owned())
        }
    }
}

/// How long the server's own words in a body asked to wait.
fn asked_by(error: &watcher::Error) -> Duration {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))
    | watcher::Error::WatchError(status)) = error
    else {
        return Duration::ZERO;
    };
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    Duration::from_secs(u64::from(seconds.min(3600)))
}

#[cfg(test)]
mod tests;
