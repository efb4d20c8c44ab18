//! Writes Events.

use std::pin::pin;
use std::time::{Duration, Instant};

use kube::runtime::utils::Backoff;
use tokio::sync::mpsc;

use smc_surfaces::Subject;

use super::announcement::Announcement;
use super::api::{ApiClient, Fault, Pace, Source, create, explain_connect, fault, patch};
use super::event_queue::{EventQueue, Job, Outcome, Turn};
use crate::board::{Board, EventCounts, wall};

const SUBJECT: Subject = Subject::Events;

/// Writes what comes, for as long as somebody may send. Trouble is told on the board; meanwhile the queue fills, drops
/// and counts.
pub async fn publish(
    source: &Source,
    announcements: mpsc::Receiver<Announcement>,
    queue: EventQueue,
    board: &Board,
    mut backoff: impl Backoff,
) {
    let mut publisher = Publisher { source, announcements, queue, board, api: None };
    while publisher.open() {
        let turn = publisher.queue.next(Instant::now(), wall());
        publisher.put_counts();
        match turn {
            Turn::Idle => publisher.rest().await,
            Turn::Wait(time) => publisher.pause(time).await,
            Turn::Write(job) => {
                if let Some(wait) = publisher.write(*job, &mut backoff).await {
                    publisher.pause(wait).await;
                }
            }
        }
    }
}

struct Publisher<'a> {
    source: &'a Source,
    announcements: mpsc::Receiver<Announcement>,
    queue: EventQueue,
    board: &'a Board,
    api: Option<ApiClient>,
}

impl Publisher<'_> {
    /// Takes in what has come; whether more may come or something waits.
    fn open(&mut self) -> bool {
        while let Ok(announcement) = self.announcements.try_recv() {
            self.queue.offer(announcement, Instant::now());
        }
        !(self.announcements.is_closed() && self.queue.is_empty())
    }

    /// Waits for the next announcement.
    async fn rest(&mut self) {
        if let Some(announcement) = self.announcements.recv().await {
            self.queue.offer(announcement, Instant::now());
        }
    }

    /// Waits for all of `time`, taking in what comes meanwhile.
    async fn pause(&mut self, time: Duration) {
        let mut end = pin!(tokio::time::sleep(time));
        loop {
            tokio::select! {
                Some(announcement) = self.announcements.recv() => self.queue.offer(announcement, Instant::now()),
                () = &mut end => return,
            }
            self.put_counts();
        }
    }

    /// Writes one; returns how long to wait when the server is in trouble.
    async fn write(&mut self, job: Job, backoff: &mut impl Backoff) -> Option<Duration> {
        let api = match &self.api {
            Some(api) => api,
            None => match ApiClient::connect(self.source, Pace::OFTEN).await {
                Ok(api) => self.api.insert(api),
                Err(error) => {
                    self.board.problem(SUBJECT, Some(explain_connect(&error)));
                    self.queue.done(job, Outcome::Failed, Instant::now());
                    return Some(next(backoff));
                }
            },
        };
        let path = format!("/api/v1/namespaces/{}/events", job.namespace);
        let request = match &job.patches {
            None => create(&path, &job.body),
            Some(name) => patch(&path, name, &job.body),
        };
        let Err(error) = api.write(request).await else {
            self.board.problem(SUBJECT, None);
            self.queue.done(job, Outcome::Written, Instant::now());
            backoff.reset();
            return None;
        };
        let (fault, why) = (fault(&error), api.explain(&error));
        let outcome = outcome(fault, job.patches.is_some());
        let mut wait = None;
        match outcome {
            Outcome::Failed => wait = Some(api.asked_to_wait().max(next(backoff))),
            Outcome::Written | Outcome::Expired => self.board.problem(SUBJECT, None),
            Outcome::Gone => {}
            Outcome::Rejected => {
                tracing::warn!(event = %job.body, "an event was refused: {why}");
            }
        }
        if wait.is_some() {
            self.board.problem(SUBJECT, Some(format!("cannot write events: {why}")));
        }
        if fault == Fault::Unauthenticated {
            self.api = None;
        }
        self.queue.done(job, outcome, Instant::now());
        wait
    }

    fn put_counts(&self) {
        let counts = self.queue.counts();
        self.board.update(|view| {
            view.events = EventCounts { dropped_before_queue: view.events.dropped_before_queue, ..counts };
        });
    }
}

/// What a fault means for an Event that was to be created or, having been written before, patched.
fn outcome(fault: Fault, patched: bool) -> Outcome {
    match fault {
        Fault::AlreadyExists => Outcome::Written,
        Fault::NotFound if patched => Outcome::Expired,
        Fault::NotFound | Fault::Terminating => Outcome::Gone,
        Fault::Invalid => Outcome::Rejected,
        Fault::Unreachable
        | Fault::Conflict
        | Fault::Unauthenticated
        | Fault::Forbidden
        | Fault::NoResource
        | Fault::Expired => Outcome::Failed,
    }
}

fn next(backoff: &mut impl Backoff) -> Duration {
    backoff.next().unwrap_or(Duration::from_secs(300))
}

#[cfg(test)]
mod tests;
