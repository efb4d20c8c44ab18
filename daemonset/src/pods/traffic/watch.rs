//! The thread's work: takes in what came, looks at who is due, tells and publishes.

mod hearing;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use smc_host::guard::Taken;
use smc_host::netns::{Netns, visit};
use smc_host::traffic::{self, Visit, Want};
use smc_host::{guard, observe, with_causes};
use smc_model::{
    Conversion, Elsewhere, Growth, HostState, Known, NodeFacts, Reason, SmcPeers, StripCause, Verdict,
    diagnose, standing_cause,
};
use smc_state::{AttachmentId, LivePod, Phase};

use told::{announce, is_by_us, set_up_again};

use super::devices::Devices;
use super::pod::{COUNTERS_EXPLAINED_FOR, EXPLAINED_FOR, Pod};
use super::set_up::{has_new_interface, lost};
use super::timed_out::SameNodePeers;
use super::{Inbox, Tools, Traffic, tell, wall};
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
                let told = pod.record().and_then(|record| tell::happened(record, why));
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

    fn look(&mut self, by_events: bool) {
        let now = self.now();
        let is_due = |pod: &Pod| pod.next_look() <= now;
        if !self.pods.values().any(is_due) {
            return;
        }
        // Where counters are judged, a pod's are compared with all others', so all are looked at.
        let due = self.pods.iter().filter(|(_, pod)| !by_events || is_due(pod));
        let due: Vec<String> = due.map(|(container, _)| container.clone()).collect();
        self.peers.forget(now);
        let same_node = self.same_node();
        let pins = self.facts.as_ref().and_then(|facts| facts.guard_pins.as_deref());
        let guard_program = pins.and_then(|pins| guard::pinned_program(pins).ok().flatten());
        let pods = &self.pods;
        let visits = traffic::families().and_then(|families| {
            let Some(families) = families else { return Ok(Vec::new()) };
            visit(|visitor| {
                let look = |container: &String| {
                    let pod = pods.get(container)?;
                    let record = pod.record()?;
                    let netns = Netns::open(&record.netns).ok()?;
                    // The path may be another pod's by now.
                    if Some(netns.id()) != record.netns_id {
                        return None;
                    }
                    visitor.enter(&netns).ok()?;
                    let want = |counters: &_| Want {
                        connections: pod.wants_connections(counters, by_events, now),
                        set_up: pod.check_is_due(now),
                        guard_program,
                    };
                    traffic::visit(families, want, &same_node).ok()
                };
                due.iter().map(|container| (container.clone(), look(container))).collect()
            })
        });
        let visits: Vec<(String, Option<Visit>)> = match visits {
            Ok(visits) => visits,
            Err(error) => {
                tracing::debug!("{}", error.with_cause());
                due.iter().map(|container| (container.clone(), None)).collect()
            }
        };
        // Where there is no smc, there is nothing to look at, but causes to tell.
        if visits.is_empty() {
            for pod in self.pods.values_mut() {
                pod.not_looked(now);
            }
        }
        let host = self.host_state(&visits);
        if let Some(host) = &host {
            self.stripped_nodes.clone_from(&host.stripped_nodes);
        }
        self.remember(&visits);
        if let Some(taken) = self.taken_out() {
            for (container, _) in visits.iter().filter(|(_, visit)| visit.is_some()) {
                if let Some(pod) = self.pods.get_mut(container) {
                    pod.taken_out(&taken);
                }
            }
        }
        for (container, visit) in visits {
            self.looked(&container, visit, by_events, host.as_ref(), now);
        }
    }

    /// Keeps what fell back of each pod at the last looks.
    fn remember(&mut self, visits: &[(String, Option<Visit>)]) {
        let growth = |(container, visit): &(String, Option<Visit>)| {
            let growth = self.pods.get(container)?.growth(&visit.as_ref()?.counters);
            growth.has_failing().then(|| (container.clone(), growth))
        };
        let round = visits.iter().filter_map(growth).collect();
        self.rounds.push_back(round);
        if self.rounds.len() > ROUNDS {
            self.rounds.pop_front();
        }
    }

    /// What fell back of all pods but this one at the last looks.
    fn elsewhere(&self, container: &str) -> Elsewhere {
        let growths = self.rounds.iter().flatten().filter(|(other, _)| other.as_str() != container);
        growths.fold(Elsewhere::default(), |sum, (_, growth)| sum.and(growth))
    }

    /// What the guard's program took out of SYNs to pods; `None` where that cannot be read.
    fn taken_out(&self) -> Option<BTreeMap<IpAddr, BTreeMap<StripCause, Taken>>> {
        let pins = self.facts.as_ref().and_then(|facts| facts.guard_for_pods())?;
        guard::Guard::open_if_there(pins).ok().flatten()?.taken().ok()
    }

    fn host_state(&self, visits: &[(String, Option<Visit>)]) -> Option<HostState> {
        let checked =
            |(_, visit): &(String, Option<Visit>)| visit.as_ref().is_some_and(|v| v.set_up.is_some());
        let facts = self.facts.as_ref().filter(|_| visits.iter().any(checked))?;
        observe::host_state(facts).inspect_err(|error| tracing::debug!("{}", error.with_cause())).ok()
    }

    fn looked(
        &mut self,
        container: &str,
        visit: Option<Visit>,
        by_events: bool,
        host: Option<&HostState>,
        now: Duration,
    ) {
        let elsewhere = self.elsewhere(container);
        let Some(pod) = self.pods.get_mut(container) else { return };
        let Some(visit) = visit else { return pod.not_looked(now) };
        let mut found = Vec::new();
        if let (Some(inside), Some(host), Some(facts)) = (&visit.set_up, host, &self.facts) {
            pod.was_checked(now);
            let missing = pod.records.values().map(|record| (record, lost(record, facts, inside, host)));
            let missing: Vec<_> = missing.filter(|(_, lost)| !lost.is_empty()).collect();
            found = missing.iter().flat_map(|(_, lost)| lost.clone()).collect();
            // A pod's end, and the switch, take things away too, in a moment between two looks.
            for record in pod.records.values().filter(|record| has_new_interface(record, inside)) {
                self.tools.lost.tell(record.attachment.clone());
            }
            let again = !found.is_empty() && found == pod.suspected;
            if again {
                for (record, lost) in &missing {
                    self.tools.announcer.announce(tell::lost(record, lost));
                    self.tools.lost.tell(record.attachment.clone());
                }
                for reason in &found {
                    self.tools.board.lost(reason.name(), reason.to_string());
                }
            }
            pod.suspected = if again { Vec::new() } else { found.clone() };
        }
        let addresses = pod.addresses().collect();
        let missing = pod.missing_then(&found, by_events, now);
        let explained_for = if by_events { EXPLAINED_FOR } else { COUNTERS_EXPLAINED_FOR };
        let restored = self.tools.board.read(|view| view.losses.restored(wall(), explained_for));
        let plan = pod.record().map(|record| record.plan.clone()).unwrap_or_default();
        let known = self.facts.as_ref().map(|node| Known {
            node,
            plan: &plan,
            addresses: &addresses,
            lost: &missing,
            restored: &restored,
            queue_pairs: self.devices.queue_pairs(),
        });
        let cause = known.and_then(|known| standing_cause(known.plan, known.node, known.addresses));
        if let Some(cause) = &cause {
            set_up_again(&self.tools, pod, cause);
        }
        let fault = |failure: &_| known.and_then(|known| diagnose(failure, &known));
        let news = pod.looked(&visit, by_events, elsewhere, cause, fault, &mut self.peers, now);
        if news.verdict {
            announce(&self.tools, pod);
        }
        for entry in news.programs {
            self.tools.announcer.announce(pod.record().and_then(|record| tell::program(record, entry)));
        }
    }
}

#[cfg(test)]
mod tests;
