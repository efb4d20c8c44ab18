//! What is known of one pod's traffic, and what each look and each event adds to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use smc_host::guard::Taken;
use smc_host::traffic::Visit;
use smc_model::reasons::{self, Entry};
use smc_model::{
    Connection, Connections, Counters, Elsewhere, Failure, Fallback, Growth, Judgement, LOOK_AGAIN, Live,
    LiveVerdict, Observation, PEER_WITHOUT_SMC, PeersWithoutSmc, Reason, Side, SmcPeers, StripCause,
    TrafficPath, Transport, failed_by_counters,
};
use smc_state::{AttachmentId, LivePod, Record};

use super::offers::Offers;
use super::timed_out::is_timeout;

mod told;

/// How often a pod is looked at whose connections come and go, or whose fallbacks nobody tells of.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often one is that nothing was seen of for [`IDLE_AFTER`].
const LOOK_AT_IDLE_EVERY: Duration = Duration::from_secs(30);
const IDLE_AFTER: Duration = Duration::from_secs(60);
/// Pods without a hurry are looked at together, at multiples of this many seconds.
const TOGETHER: u64 = 5;
/// How soon a pod is looked at of which the kernel told a failure: its successes are then read, too.
const LOOK_AFTER_EVENT: Duration = Duration::from_secs(2);
/// How long what was missing explains fallbacks after it was put back: they are seen a while after they happened.
pub(super) const EXPLAINED_FOR: Duration = Duration::from_secs(15);
/// How long something that was missing explains what counters show: they are read every [`LOOK_EVERY`], and judged at the look
/// after, when it may have been put back.
pub(super) const COUNTERS_EXPLAINED_FOR: Duration = Duration::from_secs(30);
/// How often its set-up is checked.
const CHECK_EVERY: Duration = Duration::from_secs(20);
/// How often connections are listed to learn which peers speak SMC.
const LEARN_EVERY: Duration = Duration::from_secs(60);

/// What of a look is to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct News {
    /// Whether the live verdict is.
    pub(super) verdict: bool,
    /// What the pod's programs do that keeps connections from SMC-R.
    pub(super) programs: Vec<&'static Entry>,
}

/// A pod that is set up: everything in one network namespace.
#[derive(Debug)]
pub(super) struct Pod {
    /// Its attachments.
    pub(super) records: BTreeMap<AttachmentId, Arc<Record>>,
    pub(super) live: Live,
    /// Since when the verdict is what it is, in seconds since the epoch.
    pub(super) since: u64,
    /// Whether it was ever active, as far as this agent knows.
    pub(super) was_active: bool,
    counters: Option<Counters>,
    smcr: u64,
    errors: u64,
    fallbacks: BTreeMap<u32, u64>,
    pub(super) peers: PeersWithoutSmc,
    /// What the guard's program took out of SYNs to the pod.
    offers: Offers,
    /// What failed by the kernel's events since the last look.
    failed: BTreeMap<Failure, u64>,
    /// What the counters showed at the last look, where they alone are judged: with what other pods show until the next one.
    unjudged: Option<(Growth, Vec<Connection>)>,
    /// Fallbacks of which counters alone do not tell whether they left the node.
    unplaced: u64,
    /// What the last check found missing; told only when the next finds the same.
    pub(super) suspected: Vec<Reason>,
    /// What checks found missing, and when, where counters alone are judged: what fell back then is judged later.
    missed: Vec<(Reason, Duration)>,
    /// The reasons that were told of the degradation that lasts.
    told: BTreeSet<&'static str>,
    /// What its programs do that was told.
    told_of_programs: BTreeSet<&'static str>,
    next_look: Duration,
    moved: Duration,
    checked: Option<Duration>,
    learned: Option<Duration>,
}

impl Pod {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            records: BTreeMap::new(),
            live: Live::default(),
            since: super::wall(),
            was_active: false,
            counters: None,
            smcr: 0,
            errors: 0,
            fallbacks: BTreeMap::new(),
            peers: PeersWithoutSmc::default(),
            offers: Offers::default(),
            failed: BTreeMap::new(),
            unjudged: None,
            unplaced: 0,
            suspected: Vec::new(),
            missed: Vec::new(),
            told: BTreeSet::new(),
            told_of_programs: BTreeSet::new(),
            next_look: now,
            moved: now,
            checked: None,
            learned: None,
        }
    }

    /// Takes up what an earlier run of the agent published. The counters go on from what the kernel says.
    pub(super) fn resume(&mut self, before: LivePod, now: Duration) {
        self.was_active = before.live == LiveVerdict::Active;
        self.live = Live::resume(before.live, now);
        self.since = before.since;
        self.told.extend(self.live.verdict().reason());
        self.peers = before.peers_without_smc;
    }

    /// The record that speaks for the pod.
    pub(super) fn record(&self) -> Option<&Record> {
        self.records.values().next().map(AsRef::as_ref)
    }

    /// When it is to be looked at.
    pub(super) fn next_look(&self) -> Duration {
        self.next_look
    }

    /// Looks as soon as possible.
    pub(super) fn look_now(&mut self, now: Duration) {
        self.next_look = now;
    }

    /// Whether the set-up is to be checked at this look: also when something failed, for which it may be the cause.
    pub(super) fn check_is_due(&self, now: Duration) -> bool {
        !self.suspected.is_empty()
            || !self.failed.is_empty()
            || self.live.is_suspicious(now)
            || self.checked.is_none_or(|checked| now.saturating_sub(checked) >= CHECK_EVERY)
    }

    /// Whether the growth calls for a list of the connections.
    pub(super) fn wants_connections(&self, counters: &Counters, by_events: bool, now: Duration) -> bool {
        let growth = self.growth(counters);
        let failed = growth.has_failing();
        let learn =
            growth.smcr > 0 && self.learned.is_none_or(|learned| now.saturating_sub(learned) >= LEARN_EVERY);
        learn || (failed && !by_events)
    }

    /// Takes in a fallback of which the kernel told.
    pub(super) fn fell_back(
        &mut self,
        fallback: &Fallback,
        peers: &mut SmcPeers,
        now: Duration,
    ) -> Judgement {
        if let Some(peer) = fallback.proves_peer() {
            peers.saw(peer, now);
        }
        let speaks_smc = fallback.peer.is_some_and(|peer| peers.speaks(peer, now));
        let judged = fallback.judge(speaks_smc);
        match judged {
            // What the program took out is counted by it.
            Judgement::Local | Judgement::NotAllowed => {}
            Judgement::PeerWithoutSmc => self.peers.count(fallback.peer, 1),
            Judgement::Failed(failure) => {
                if let Failure::PeerLostSmc { peer } = failure {
                    self.peers.count(Some(peer), 1);
                }
                *self.failed.entry(failure).or_default() += 1;
                self.next_look = self.next_look.min(now + LOOK_AFTER_EVENT);
            }
        }
        self.moved = now;
        judged
    }

    /// Takes a handshake that timed out on this side back: it was no failure.
    pub(super) fn forgive_timeout(&mut self, side: Side) {
        let of_it = |failure: &Failure| match *failure {
            Failure::Fallback { code, peer_diagnosis, side: Some(of), .. } => {
                of == side && is_timeout(code, peer_diagnosis)
            }
            _ => false,
        };
        if let Some((_, count)) = self.failed.iter_mut().find(|(failure, _)| of_it(failure)) {
            *count -= 1;
        }
        self.failed.retain(|_, count| *count > 0);
    }

    /// What fell back since the last look.
    pub(super) fn growth(&self, counters: &Counters) -> Growth {
        counters.since(self.counters.as_ref().unwrap_or(&Counters::default()))
    }

    /// Takes in what the guard's program counted for the pod's addresses, before the look at the pod itself.
    pub(super) fn taken_out(&mut self, taken: &BTreeMap<IpAddr, BTreeMap<StripCause, Taken>>) {
        let own: Vec<IpAddr> = self.all_addresses().collect();
        let counted: Vec<_> = own.iter().filter_map(|address| taken.get(address)).collect();
        self.offers.look(&counted);
    }

    /// Takes in a look. `by_events` says whether the kernel told of every fallback since the look before, `elsewhere` what fell
    /// back of the node's other pods from the look before that one on, `cause` what is wrong at this moment, and `diagnose`
    /// which fault is behind a failure.
    #[expect(clippy::too_many_arguments, reason = "all that one look brings")]
    pub(super) fn looked(
        &mut self,
        visit: &Visit,
        by_events: bool,
        elsewhere: Elsewhere,
        cause: Option<Reason>,
        diagnose: impl Fn(&Failure) -> Option<Reason>,
        peers: &mut SmcPeers,
        now: Duration,
    ) -> News {
        let first = self.counters.is_none();
        let growth = self.growth(&visit.counters);
        self.add(&growth);
        self.counters = Some(visit.counters.clone());
        let connections = visit.connections.as_ref().map_or(&[][..], Connections::known);
        if visit.connections.is_some() {
            self.learned = Some(now);
        }
        let mut live = false;
        for connection in connections {
            if let (Transport::SmcR { .. }, TrafficPath::Remote) = (&connection.transport, connection.path) {
                live = true;
                peers.saw(connection.remote.ip(), now);
            }
        }
        let mut failed = std::mem::take(&mut self.failed);
        // Two pods are not looked at in the same instant: what one shows now, the other may show at its next look only.
        if let Some((growth, connections)) = self.unjudged.take() {
            let counted = failed_by_counters(&growth, &connections, elsewhere);
            self.unplaced += counted.unplaced;
            failed.extend(counted.failed);
        }
        // What was counted before the first look fell back at a time that nobody knows.
        if !by_events && !first {
            self.unjudged = growth.has_failing().then(|| (growth.clone(), connections.to_vec()));
            let without_smc = growth.fallbacks.iter().filter(|((_, code), _)| *code == PEER_WITHOUT_SMC);
            let without_smc: u64 = without_smc.map(|(_, count)| count).sum();
            // Whose offer was taken out has SMC.
            self.peers.count(None, without_smc.saturating_sub(self.offers.taken_at_last_look()));
        }
        if !growth.is_zero() {
            self.moved = now;
        }
        let diagnoses: BTreeMap<Failure, Reason> =
            failed.keys().filter_map(|failure| Some((*failure, diagnose(failure)?))).collect();
        let name = |failure| diagnoses.get(failure).map_or_else(|| Failure::label(failure), Reason::name);
        let of_programs = failed.keys().map(name).filter_map(reasons::of_programs);
        let programs = of_programs.filter(|entry| self.told_of_programs.insert(entry.name)).collect();
        let verdict = self.judge(Observation { successes: growth.smcr, live, failed, diagnoses, cause }, now);
        let open = self.unjudged.is_some() || !self.suspected.is_empty();
        self.next_look = if self.live.is_suspicious(now) || open {
            now + LOOK_AGAIN
        } else if by_events && now.saturating_sub(self.moved) >= IDLE_AFTER {
            together(now + LOOK_AT_IDLE_EVERY)
        } else {
            together(now + LOOK_EVERY)
        };
        News { verdict, programs }
    }

    /// What of the set-up was missing when what is judged now fell back; `found` is what this look found missing.
    pub(super) fn missing_then(&mut self, found: &[Reason], by_events: bool, now: Duration) -> Vec<Reason> {
        self.missed.retain(|(_, at)| !by_events && now.saturating_sub(*at) <= COUNTERS_EXPLAINED_FOR);
        let mut missing = found.to_vec();
        for (reason, _) in &self.missed {
            if !missing.contains(reason) {
                missing.push(reason.clone());
            }
        }
        if !by_events {
            self.missed.extend(found.iter().map(|reason| (reason.clone(), now)));
        }
        missing
    }

    /// The pod could not be looked at, most likely because it ends.
    pub(super) fn not_looked(&mut self, now: Duration) {
        self.next_look = together(now + LOOK_EVERY);
    }

    /// Takes in what is wrong with the node between two looks.
    pub(super) fn node_has(&mut self, cause: Reason, now: Duration) -> bool {
        self.judge(Observation { cause: Some(cause), ..Observation::default() }, now)
    }

    /// Its set-up was checked.
    pub(super) fn was_checked(&mut self, now: Duration) {
        self.checked = Some(now);
    }

    /// Whether the verdict is to be told: another, or another reason of a degradation.
    fn judge(&mut self, seen: Observation, now: Duration) -> bool {
        let changed = self.live.look(now, seen);
        if changed {
            self.since = super::wall();
            self.told.clear();
        }
        let another = self.live.verdict().reason().is_some_and(|reason| self.told.insert(reason));
        changed || another
    }

    fn add(&mut self, growth: &Growth) {
        self.smcr += growth.smcr;
        self.errors += growth.errors;
        for (&(_, code), count) in &growth.fallbacks {
            *self.fallbacks.entry(code).or_default() += count;
        }
    }
}

/// The first moment at or after `moment` at which pods are looked at together.
fn together(moment: Duration) -> Duration {
    let seconds = moment.as_secs() + u64::from(moment.subsec_nanos() > 0);
    Duration::from_secs(seconds.next_multiple_of(TOGETHER))
}

#[cfg(test)]
mod tests;
