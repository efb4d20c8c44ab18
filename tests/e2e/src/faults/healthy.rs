//! A healthy rig with the traffic of a cluster's everyday: nothing may be reported.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use manifests::Promtool;
use rig::counters::Counters;
use rig::host::{Node, RunningCommand};

use super::alerts::Timeline;
use super::poll::Poller;
use super::sighting::{Kind, Seen, news};
use super::stage::{Stage, annotated, visiting};
use crate::{PATIENCE, TestPod, server, start, start_both, wait_until_served};

/// What a healthy time brought.
#[derive(Debug, Clone)]
pub struct Health {
    /// How many looks there were at the nodes.
    pub looks: usize,
    /// How many alert rules were evaluated at each look.
    pub rules: usize,
    /// New SMC-R connections between the two nodes, as the client's kernel counted.
    pub smcr: u64,
    /// Connections of the server that fell back: probes, scrapes, same-node and in-pod ones.
    pub tcp: u64,
    /// Every alarm, with when it came.
    pub alarms: Vec<String>,
}

impl Health {
    /// No alarm, and traffic that would have led to some.
    pub fn is_well(&self) -> bool {
        self.alarms.is_empty() && self.looks > 0 && self.smcr > 0 && self.tcp > 0
    }
}

/// The everyday's traffic besides the server's and client's own; it ends with the value.
struct Everyday<'a> {
    _pods: Vec<TestPod<'a>>,
    _loops: Vec<RunningCommand>,
}

/// Runs a loop on a node, in a pod's network namespace or in the host's.
#[track_caller]
fn keep_visiting(node: &Node<'_>, netns: &str, url: &str) -> RunningCommand {
    let netns = format!("--net={netns}");
    let script = visiting(5, "", url);
    let spawned = node.command(&["nsenter", &netns, "sh", "-c", &script]).spawn();
    spawned.unwrap_or_else(|error| panic!("{error}"))
}

impl<'a> Everyday<'a> {
    #[track_caller]
    fn start(stage: &Stage<'a>) -> Self {
        let (one, two) = (stage.node(1), stage.node(2));
        let served = stage.server();
        let url = format!("http://{}/small", served.ip);
        let slow = |name: &str| {
            let script = visiting(5, "", &url);
            rig::host::PodSpec::new(&format!("{name}-{}", std::process::id()), &["sh", "-c", &script])
        };
        let (same_node, [neighbour, scraper]) = thread::scope(|scope| {
            let same_node = scope.spawn(|| start(two, &annotated(slow("healthy-same-node"))));
            let others =
                start_both((one, &annotated(server("healthy-neighbour"))), (two, &slow("healthy-plain")));
            (same_node.join().expect("the pod starts"), others)
        });
        wait_until_served(&neighbour);
        let of_neighbour = format!("http://{}/small", neighbour.ip);
        let host = "/proc/1/ns/net";
        let loops = vec![
            // Health probes, as the kubelet makes them.
            keep_visiting(one, host, &of_neighbour),
            keep_visiting(two, host, &url),
            // A scrape from elsewhere, by a host.
            keep_visiting(one, host, &url),
            // Sidecar hops.
            keep_visiting(two, &served.netns_path(), "http://127.0.0.1/small"),
            keep_visiting(two, &served.netns_path(), &url),
        ];
        Self { _pods: vec![neighbour, scraper, same_node], _loops: loops }
    }
}

/// Lets the everyday's traffic run for `time` and takes down every alarm.
pub fn healthy(stage: &Stage<'_>, poller: &Poller, time: Duration, say: &dyn Fn(&str)) -> Result<Health> {
    let promtool = Promtool::find().context("promtool is not there: run hack/setup")?;
    let rules = manifests::alert_rules().context("read the alert rules")?;
    let everyday = Everyday::start(stage);
    let before: Seen = poller.fresh(stage.nodes.len()).iter().flat_map(|look| (*look.seen).clone()).collect();
    let before: Seen = before.into_iter().filter(|(seen, _)| seen.kind == Kind::Happened).collect();
    let (server, client) = (stage.server(), stage.client());
    let smcr = || Counters::of(client).map(|counters| counters.client.smcr);
    let tcp = || Counters::of(server).map(|counters| counters.server.fallbacks());
    let (smcr_before, tcp_before) = (smcr()?, tcp()?);
    let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut timeline = Timeline::new(rules, epoch);
    let begun = Instant::now();
    let first = poller.from(0).len();
    let (mut alarms, mut looks) = (Vec::new(), 0);
    while begun.elapsed() < time {
        thread::sleep(Duration::from_millis(500));
        for look in poller.from(first + looks) {
            looks += 1;
            let at = look.ended - begun;
            timeline.add(look.node, at, &look.answers.metrics);
            let told = news(&look.seen, &before);
            let told =
                told.keys().filter(|seen| seen.kind.is_alarm()).map(|s| format!("{} {}", s.place, s.name));
            for alarm in told {
                let alarm = format!("{:.0} s, node {}: {alarm}", at.as_secs_f32(), look.node);
                say(&alarm);
                look.answers.words().iter().for_each(|words| say(&format!("    {words}")));
                alarms.push(alarm);
            }
        }
        assert!(looks > 0 || begun.elapsed() < 2 * PATIENCE, "the nodes are not looked at");
    }
    let fired = timeline.alarms(&promtool)?;
    for alarm in &fired {
        say(alarm);
    }
    alarms.extend(fired);
    let health = Health {
        looks,
        rules: timeline.rules(),
        smcr: smcr()? - smcr_before,
        tcp: tcp()? - tcp_before,
        alarms,
    };
    drop(everyday);
    Ok(health)
}
