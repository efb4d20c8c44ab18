//! Which Event is to be written next: bounded, rate-limited, counting repetitions instead of writing them anew.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::announcement::Announcement;
use super::{COMPONENT, shortened, timestamp};
use crate::board::EventCounts;
use crate::surfaces::kubernetes::token_bucket::TokenBucket;

/// How many Events may wait: twice the pods that a node usually has.
pub const CAPACITY: usize = 512;
/// How many Events are remembered so that a repetition raises their count.
pub const REMEMBERED: usize = 1024;
/// How long an Event may wait before it is no news any more.
pub const STALE_AFTER: Duration = Duration::from_secs(600);
/// How many Events are written at once, and how often after that.
const BURST: u32 = 25;
const EVERY: Duration = Duration::from_secs(1);
/// The API server's limit on an Event's message.
const MESSAGE_BYTES: usize = 1024;
/// Longest part of a pod's name in an Event's name, which may have 253 characters.
const NAME_BYTES: usize = 220;

/// What waits, what was written, and what became of the rest.
#[derive(Debug)]
pub struct EventQueue {
    waiting: VecDeque<Waiting>,
    written: BTreeMap<Key, Written>,
    bucket: TokenBucket,
    counts: EventCounts,
    /// Who writes: the node's name.
    instance: String,
}

/// Repetitions of the same Event share this.
type Key = (String, String, String, &'static str, &'static str);

#[derive(Debug)]
struct Waiting {
    announcement: Announcement,
    since: Instant,
    /// Set when the Event of the usual name has expired at the server and another name is needed.
    renamed: Option<u64>,
}

#[derive(Debug)]
struct Written {
    name: String,
    count: u32,
    last: Instant,
}

/// What is to be done now.
#[derive(Debug)]
pub enum Turn {
    /// Nothing waits.
    Idle,
    /// Nothing for so long.
    Wait(Duration),
    /// Write this.
    Write(Box<Job>),
}

/// One write.
#[derive(Debug)]
pub struct Job {
    waiting: Waiting,
    name: String,
    count: u32,
    /// The namespace that the Event belongs in.
    pub namespace: String,
    /// Its name when one that was written is to be patched with [`Job::body`]; `None` to create it.
    pub patches: Option<String>,
    /// What to send.
    pub body: Value,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is there; by this or an earlier run.
    Written,
    /// The Event that was to be patched is not there any more.
    Expired,
    /// Its namespace ends, so it makes no sense any more.
    Gone,
    /// The server will never take it as it is.
    Rejected,
    /// It may work later.
    Failed,
}

impl EventQueue {
    /// An empty queue; `instance` is who writes.
    pub fn new(instance: String) -> Self {
        Self {
            waiting: VecDeque::new(),
            written: BTreeMap::new(),
            bucket: TokenBucket::new(BURST, EVERY),
            counts: EventCounts::default(),
            instance,
        }
    }

    /// What became of all so far.
    pub fn counts(&self) -> EventCounts {
        self.counts
    }

    /// Adds an Event. A newer verdict of the same attachment takes the place of one that still waits.
    pub fn offer(&mut self, announcement: Announcement, now: Instant) {
        let older = |waiting: &&mut Waiting| waiting.announcement.gives_way_to(&announcement);
        if let Some(waiting) = self.waiting.iter_mut().find(older) {
            self.counts.superseded += 1;
            *waiting = Waiting { announcement, since: now, renamed: None };
        } else if self.waiting.len() < CAPACITY {
            self.waiting.push_back(Waiting { announcement, since: now, renamed: None });
        } else {
            self.counts.dropped_full += 1;
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What is to be done now; `wall` is the time in seconds since the epoch. Every job is to be given back by
    /// [`EventQueue::done`].
    pub fn next(&mut self, now: Instant, wall: u64) -> Turn {
        let stale = |waiting: &Waiting| now.saturating_duration_since(waiting.since) >= STALE_AFTER;
        while self.waiting.front().is_some_and(stale) {
            self.waiting.pop_front();
            self.counts.dropped_stale += 1;
        }
        if self.waiting.is_empty() {
            return Turn::Idle;
        }
        if let Err(wait) = self.bucket.take(now) {
            return Turn::Wait(wait);
        }
        match self.waiting.pop_front() {
            Some(waiting) => Turn::Write(Box::new(self.job(waiting, wall))),
            None => Turn::Idle,
        }
    }

    /// Takes a job back with what became of it.
    pub fn done(&mut self, job: Job, outcome: Outcome, now: Instant) {
        let key = key(&job.waiting.announcement);
        match outcome {
            Outcome::Written => {
                self.counts.written += 1;
                self.remember(key, Written { name: job.name, count: job.count, last: now });
            }
            Outcome::Expired => {
                self.written.remove(&key);
                let since = job.waiting.since;
                let elapsed = now.saturating_duration_since(since).as_nanos();
                let renamed = Some(u64::try_from(elapsed).unwrap_or(u64::MAX) ^ u64::from(job.count));
                self.waiting.push_front(Waiting { renamed, ..job.waiting });
            }
            Outcome::Gone => self.counts.dropped_gone += 1,
            Outcome::Rejected => self.counts.dropped_rejected += 1,
            Outcome::Failed => self.put_back(job.waiting),
        }
    }

    /// Puts a job back at its place, unless its pod has a newer verdict by now.
    fn put_back(&mut self, waiting: Waiting) {
        let newer = self.waiting.iter().any(|other| waiting.announcement.gives_way_to(&other.announcement));
        if newer {
            self.counts.superseded += 1;
        } else if self.waiting.len() < CAPACITY {
            self.waiting.push_front(waiting);
        } else {
            self.counts.dropped_full += 1;
        }
    }

    fn remember(&mut self, key: Key, written: Written) {
        if self.written.len() >= REMEMBERED && !self.written.contains_key(&key) {
            let oldest =
                self.written.iter().min_by_key(|(_, written)| written.last).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.written.remove(&oldest);
            }
        }
        self.written.insert(key, written);
    }

    fn job(&self, waiting: Waiting, wall: u64) -> Job {
        let announcement = &waiting.announcement;
        let namespace = announcement.pod.namespace.clone();
        let message = shortened(&announcement.message, MESSAGE_BYTES);
        if let Some(written) = self.written.get(&key(announcement)) {
            let (name, count) = (written.name.clone(), written.count.saturating_add(1));
            let body = json!({"count": count, "lastTimestamp": timestamp(wall), "message": message});
            return Job { name: name.clone(), count, namespace, patches: Some(name), body, waiting };
        }
        let name = event_name(announcement, waiting.renamed);
        let mut involved = json!({
            "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": announcement.pod.name,
        });
        if !announcement.pod.uid.is_empty() {
            involved["uid"] = announcement.pod.uid.as_str().into();
        }
        let body = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"namespace": namespace, "name": name},
            "involvedObject": involved,
            "type": if announcement.warning { "Warning" } else { "Normal" },
            "reason": announcement.reason,
            "message": message,
            "count": 1,
            "firstTimestamp": timestamp(wall),
            "lastTimestamp": timestamp(wall),
            "source": {"component": COMPONENT, "host": self.instance},
            "reportingComponent": COMPONENT,
            "reportingInstance": self.instance,
        });
        Job { name, count: 1, namespace, patches: None, body, waiting }
    }
}

fn key(announcement: &Announcement) -> Key {
    let Announcement { pod, interface, reason, topic, .. } = announcement;
    // Without a UID (a runtime that does not tell it) the name has to do.
    let id = if pod.uid.is_empty() { &pod.name } else { &pod.uid };
    (pod.namespace.clone(), id.clone(), interface.clone(), reason, topic)
}

/// The same verdict of the same run has the same name, also after the agent's restart: the server then says that it is
/// there already, and no state is needed to write nothing twice.
fn event_name(announcement: &Announcement, renamed: Option<u64>) -> String {
    let mut hasher = DefaultHasher::new();
    (key(announcement), &announcement.id, renamed).hash(&mut hasher);
    let pod = announcement.pod.name.get(..NAME_BYTES).unwrap_or(&announcement.pod.name);
    format!("{}.{:016x}", pod.trim_end_matches(['.', '-']), hasher.finish())
}

#[cfg(test)]
mod tests;
