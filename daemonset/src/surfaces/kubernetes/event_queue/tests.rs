//! The queue, with time as a value.

use smc_model::{Reason, Verdict};

use super::*;
use crate::testing::test_values::announcement;

fn queue() -> EventQueue {
    EventQueue::new("node-1".to_owned())
}

fn configured(pod: &str) -> Announcement {
    announcement(pod, Verdict::Configured)
}

fn refused(pod: &str) -> Announcement {
    announcement(pod, Verdict::refused(Reason::NoRdmaDevice))
}

#[track_caller]
fn job(queue: &mut EventQueue, now: Instant) -> Job {
    match queue.next(now, 60) {
        Turn::Write(job) => *job,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_event_names_the_pod_and_who_reports() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.offer(refused("web-1"), now);
    let job = job(&mut queue, now);
    assert_eq!((job.namespace.as_str(), job.patches.as_deref()), ("shop", None));
    let body = &job.body;
    assert_eq!(
        body["involvedObject"],
        json!({"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "uid-web-1"})
    );
    assert_eq!(body["type"], "Warning");
    assert_eq!(body["reason"], "NoRdmaDevice");
    assert_eq!(body["reportingComponent"], "kube-smc");
    assert_eq!(body["reportingInstance"], "node-1");
    assert_eq!(body["count"], 1);
    assert_eq!(body["firstTimestamp"], "1970-01-01T00:01:00Z");
    let name = body["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("web-1.") && name.len() == "web-1.".len() + 16, "{name}");
}

#[test]
fn the_same_verdict_again_raises_the_count_of_the_event_that_is_there() {
    let (mut queue, now) = (queue(), Instant::now());
    let mut name = None;
    for count in 1..=5 {
        queue.offer(refused("web-1"), now);
        let job = job(&mut queue, now);
        if count == 1 {
            name = Some(job.name.clone());
        } else {
            assert_eq!(job.patches, name);
            assert_eq!(job.body["count"], count);
        }
        queue.done(job, Outcome::Written, now);
    }
    // Another verdict is another event; and the first one's count goes on afterwards.
    queue.offer(configured("web-1"), now);
    let other = job(&mut queue, now);
    assert_eq!(other.patches, None);
    queue.done(other, Outcome::Written, now);
    queue.offer(refused("web-1"), now);
    assert_eq!(job(&mut queue, now).body["count"], 6);
}

#[test]
fn what_happened_is_told_beside_a_verdict_and_each_cause_has_an_event_of_its_own() {
    let (mut queue, now) = (queue(), Instant::now());
    let lost = Announcement { reason: "PnetidLost", ..configured("web-1") }.of_its_own();
    for announcement in [lost.clone(), configured("web-1"), lost.clone(), refused("web-1")] {
        queue.offer(announcement, now);
    }
    let written = [job(&mut queue, now), job(&mut queue, now)];
    assert_eq!(
        written.each_ref().map(|job| job.body["reason"].as_str().unwrap()),
        ["PnetidLost", "NoRdmaDevice"]
    );
    assert!(matches!(queue.next(now, 60), Turn::Idle));
    let names = ["RdmaPortDown", "NoUeid", "NoUeid"].map(|cause| {
        queue.offer(Announcement { reason: "SMCDegraded", ..configured("web-1") }.on(cause), now);
        job(&mut queue, now).name
    });
    assert_ne!(names[0], names[1]);
    assert_eq!(names[1], names[2]);
}

#[test]
fn an_event_that_has_expired_at_the_server_is_made_anew_under_another_name() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.offer(refused("web-1"), now);
    let first = job(&mut queue, now);
    let name = first.name.clone();
    queue.done(first, Outcome::Written, now);
    queue.offer(refused("web-1"), now);
    let patch = job(&mut queue, now);
    assert!(patch.patches.is_some());
    queue.done(patch, Outcome::Expired, now);
    let again = job(&mut queue, now);
    assert_eq!((again.patches.as_deref(), &again.body["count"]), (None, &json!(1)));
    assert_ne!(again.name, name);
}

#[test]
fn the_name_is_the_same_after_a_restart_and_another_for_another_run_of_the_plugin() {
    let name = |announcement: Announcement| {
        let (mut queue, now) = (queue(), Instant::now());
        queue.offer(announcement, now);
        job(&mut queue, now).name
    };
    assert_eq!(name(refused("web-1")), name(refused("web-1")));
    let later = Announcement { id: "id-later".to_owned(), ..refused("web-1") };
    let names = [name(refused("web-1")), name(configured("web-1")), name(later), name(refused("web-2"))];
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    let long = "a".repeat(253);
    assert!(name(refused(&long)).len() <= 253);
}

#[test]
fn a_newer_verdict_takes_the_place_of_one_that_waits() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.offer(refused("web-1"), now);
    queue.offer(configured("web-1"), now);
    assert_eq!(job(&mut queue, now).body["reason"], "SMCConfigured");
    assert!(matches!(queue.next(now, 60), Turn::Idle));
    assert_eq!(queue.counts().superseded, 1);

    // Also when the older one comes back from a server in trouble.
    queue.offer(refused("web-1"), now);
    let older = job(&mut queue, now);
    queue.offer(configured("web-1"), now);
    queue.done(older, Outcome::Failed, now);
    assert_eq!(job(&mut queue, now).body["reason"], "SMCConfigured");
    assert!(matches!(queue.next(now, 60), Turn::Idle));
    assert_eq!(queue.counts().superseded, 2);
}

#[test]
fn two_interfaces_of_a_pod_have_two_events() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.offer(refused("web-1"), now);
    queue.offer(Announcement { interface: "eth1".to_owned(), ..refused("web-1") }, now);
    let (first, second) = (job(&mut queue, now), job(&mut queue, now));
    assert_ne!(first.name, second.name);
}

#[test]
fn a_flood_is_bounded_and_every_drop_is_counted() {
    let (mut queue, now) = (queue(), Instant::now());
    let offered = CAPACITY + 100;
    for pod in 0..offered {
        queue.offer(refused(&format!("web-{pod}")), now);
    }
    assert_eq!(queue.counts().dropped_full, 100);
    let mut written = 0;
    while let Turn::Write(job) = queue.next(now, 60) {
        queue.done(*job, Outcome::Written, now);
        written += 1;
    }
    assert_eq!(written, BURST, "the burst, and then one by one");
    let Turn::Wait(wait) = queue.next(now, 60) else { panic!("no limit") };
    assert!(matches!(queue.next(now + wait, 60), Turn::Write(_)));
}

#[test]
fn what_waited_too_long_is_no_news() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.offer(refused("web-1"), now);
    queue.offer(refused("web-2"), now + STALE_AFTER / 2);
    assert_eq!(job(&mut queue, now + STALE_AFTER).body["involvedObject"]["name"], "web-2");
    assert_eq!(queue.counts().dropped_stale, 1);
}

#[test]
fn a_failed_write_keeps_its_place_and_refused_ones_are_counted() {
    let (mut queue, now) = (queue(), Instant::now());
    for pod in ["web-1", "web-2", "web-3"] {
        queue.offer(refused(pod), now);
    }
    let first = job(&mut queue, now);
    queue.done(first, Outcome::Failed, now);
    let first = job(&mut queue, now);
    assert_eq!(first.body["involvedObject"]["name"], "web-1");
    queue.done(first, Outcome::Gone, now);
    let second = job(&mut queue, now);
    queue.done(second, Outcome::Rejected, now);
    let third = job(&mut queue, now);
    queue.done(third, Outcome::Written, now);
    let counts = queue.counts();
    assert_eq!((counts.written, counts.dropped_gone, counts.dropped_rejected), (1, 1, 1));
    assert!(queue.is_empty());
}

#[test]
fn what_is_remembered_is_bounded() {
    let (mut queue, start) = (queue(), Instant::now());
    for pod in 0..REMEMBERED + 50 {
        let now = start + EVERY * u32::try_from(pod).unwrap();
        queue.offer(refused(&format!("web-{pod}")), now);
        let job = job(&mut queue, now);
        queue.done(job, Outcome::Written, now);
    }
    assert_eq!(queue.written.len(), REMEMBERED);
    // The oldest were forgotten, not the newest.
    let now = start + EVERY * 10_000;
    queue.offer(refused(&format!("web-{}", REMEMBERED + 49)), now);
    assert!(job(&mut queue, now).patches.is_some());
    queue.offer(refused("web-0"), now);
    assert!(job(&mut queue, now).patches.is_none());
}

#[test]
fn a_long_message_fits_what_the_api_server_takes() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.offer(Announcement { message: "ä".repeat(3000), ..refused("web-1") }, now);
    let job = job(&mut queue, now);
    assert!(job.body["message"].as_str().unwrap().len() <= 1024);
}
