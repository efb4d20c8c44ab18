//! The thread's work: takes in what came, looks at who is due, tells and publishes.

mod hearing;
mod looking;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use smc_host::with_causes;
use smc_model::{Conversion, Growth, NodeFacts, Reason, SmcPeers, Verdict, standing_cause};
use smc_state::{AttachmentId, LivePod, Phase};

use told::{announce, is_by_us, set_up_again};

use super::devices::Devices;
use super::pod::{EXPLAINED_FOR, Pod};
use super::timed_out::SameNodePeers;
use super::{Inbox, Tools, Traffic, report, wall};
use crate::node::bpf::{BpfError, FallbackEvents};
use crate::pods::records::Change;

/// How often the attached program is checked, or attached anew where it could not be.
const CHECK_EVENTS_EVERY: Duration = Duration::from_secs(30);
/// How many looks are compared: the one that is judged, the one before, and the one after.
const ROUNDS: usize = 3;
/// The longest rest.
const REST: Duration = Duration::from_secs(60);
/// The file is written anew at least this often, so that its readers see that the agent lives.
const WRITE_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Watch {
    tools: Tools,
    start: Instant,
    /// By container.
    pods: BTreeMap<String, Pod>,
    facts: Option<NodeFacts>,
    peers: SmcPeers,
    same_node_peers: SameNodePeers,
    /// What fell back at the last looks, by container, the newest last.
    rounds: VecDeque<BTreeMap<String, Growth>>,
    events: Option<FallbackEvents>,
    no_events: Option<String>,
    /// Events that were lost by the last look.
    events_lost: u64,
    events_checked: Option<Duration>,
    devices: Devices,
    /// Addresses of nodes from which connections stay plain TCP by our doing.
    stripped_nodes: BTreeSet<IpAddr>,
    /// What an earlier run published, until its pods are seen.
    before: BTreeMap<AttachmentId, LivePod>,
    /// Whether the peers were let go that an agent before this one kept from SMC.
    forgot_former: bool,
    published: Option<(smc_state::Traffic, Duration)>,
}

impl Watch {
    pub(super) fn new(tools: Tools) -> Self {
        let before = match tools.store.read_document::<smc_state::Traffic>() {
            Ok(file) => file.map(|file| file.pods).unwrap_or_default(),
            Err(error) => {
                tracing::warn!("{}; live verdicts start anew", error.with_cause());
                Vec::new()
            }
        };
        Self {
            tools,
            start: Instant::now(),
            pods: BTreeMap::new(),
            facts: None,
            peers: SmcPeers::default(),
            same_node_peers: SameNodePeers::default(),
            rounds: VecDeque::new(),
            events: None,
            no_events: Some("the node was not looked at yet".to_owned()),
            events_lost: 0,
            events_checked: None,
            devices: Devices::default(),
            stripped_nodes: BTreeSet::new(),
            before: before.into_iter().map(|pod| (pod.attachment.clone(), pod)).collect(),
            forgot_former: false,
            published: None,
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// How long nothing need be done.
    pub(super) fn rest(&self) -> Duration {
        let next = self.pods.values().map(Pod::next_look).chain(self.same_node_peers.next()).min();
        next.map_or(REST, |next| next.saturating_sub(self.now())).min(REST)
    }

    pub(super) fn turn(&mut self, inbox: Inbox, ear: &Traffic) {
        let Inbox { changes, facts, events, overflowed, .. } = inbox;
        for change in changes {
            self.record_changed(change);
        }
        if let Some(facts) = facts {
            self.node_is(facts);
        }
        self.keep_events(ear);
        self.take_events(&events);
        self.forget_same_node_peers();
        // Counters are judged where the kernel could not tell of everything.
        let lost = self.events.as_ref().map_or(0, FallbackEvents::lost);
        let by_events = self.events.is_some() && !overflowed && lost == self.events_lost;
        self.events_lost = lost;
        self.look(by_events);
        self.count_devices();
        self.publish();
    }

    fn record_changed(&mut self, change: Change) {
        let now = self.now();
        match change {
            Change::Seen(record) => {
                let set_up = record.verdict.as_ref().is_some_and(Verdict::is_set_up);
                match record.phase {
                    // What is known of a pod that is set up again stays known.
                    Phase::Intent => return,
                    Phase::Settled if set_up => {}
                    Phase::Settled | Phase::Tombstone => return self.ended(&record.attachment),
                }
                let container = record.attachment.container().to_owned();
                let pod = self.pods.entry(container).or_insert_with(|| Pod::new(now));
                if let Some(before) = self.before.remove(&record.attachment) {
                    pod.resume(before, now);
                }
                pod.records.insert(record.attachment.clone(), record);
                pod.suspected.clear();
                pod.look_now(now);
            }
            Change::Ended(attachment) => self.ended(&attachment),
        }
    }

    fn ended(&mut self, attachment: &AttachmentId) {
        if let Some(pod) = self.pods.get_mut(attachment.container()) {
            pod.records.remove(attachment);
            if pod.records.is_empty() {
                self.pods.remove(attachment.container());
            }
        }
    }

    /// What is wrong with the node is told at once, not at the pods' next looks.
    fn node_is(&mut self, facts: NodeFacts) {
        let now = self.now();
        for pod in self.pods.values_mut() {
            let addresses = pod.addresses().collect();
            let cause = pod.record().and_then(|record| standing_cause(&record.plan, &facts, &addresses));
            let Some(cause) = cause else { continue };
            if set_up_again(&self.tools, pod, &cause) {
                if is_by_us(&self.tools, &cause) {
                    continue;
                }
                // Nothing lasts of it, unless the next look still finds it. Where the port had none, it has this from us.
                let restored = self.tools.board.read(|view| view.losses.restored(wall(), EXPLAINED_FOR));
                let bare = restored.iter().find(|reason| matches!(reason, Reason::PnetidMissing { .. }));
                let why = bare.unwrap_or(&cause);
                let told = pod.record().and_then(|record| report::node_changed(record, why));
                self.tools.announcer.announce(told);
            } else if pod.node_has(cause, now) {
                announce(&self.tools, pod);
            }
        }
        self.facts = Some(facts);
    }

    /// Attaches the program that tells of fallbacks, anew when the map of namespaces is another one.
    fn keep_events(&mut self, ear: &Traffic) {
        let now = self.now();
        let Some(facts) = &self.facts else { return };
        if self.events_checked.is_some_and(|checked| now.saturating_sub(checked) < CHECK_EVENTS_EVERY) {
            return;
        }
        self.events_checked = Some(now);
        let Conversion::Bpf { map, .. } = &facts.conversion else {
            self.events = None;
            self.no_events = Some("sockets of this node are not converted by BPF".to_owned());
            return;
        };
        let Some(pins) = map.parent() else { return };
        if self.events.as_ref().is_some_and(|events| events.is_current(pins)) {
            return;
        }
        let ear = ear.clone();
        match FallbackEvents::watch(pins, move |event| ear.fell_back(event)) {
            Ok(events) => {
                if self.events.is_none() {
                    tracing::info!("the kernel tells of each fallback when it happens");
                }
                (self.events, self.no_events, self.events_lost) = (Some(events), None, 0);
            }
            Err(error) => {
                let why = format!("{}; {}", with_causes(&error), BpfError::remedy(&error));
                if self.no_events.as_ref() != Some(&why) {
                    tracing::warn!("fallbacks are judged by counters, without their peers: {why}");
                }
                (self.events, self.no_events) = (None, Some(why));
            }
        }
    }
}

#[cfg(test)]
mod tests;
