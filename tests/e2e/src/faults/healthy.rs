//! A healthy rig with the traffic of a cluster's everyday: nothing may be reported.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rig::counters::Counters;
use rig::host::{Node, RunningCommand};
use rig::manifests::{directory, find, render};
use serde_json::Value;

use super::poll::Poller;
use super::prometheus::{History, Labels, holds, seconds};
use super::sighting::{Kind, Seen, news};
use super::stage::{Stage, annotated, visiting};
use crate::{PATIENCE, TestPod, server, start, start_both, wait_until_served};

/// An alert whose expression holds as long as this is taken for one that fires, also where its rule waits longer.
const ALERT_HOLDS: Duration = Duration::from_secs(60);

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

/// An alert rule.
#[derive(Debug, Clone)]
struct Rule {
    name: String,
    expression: String,
    waits: Duration,
}

/// The committed alert rules.
fn rules() -> Result<Vec<Rule>> {
    let documents = render(&directory().join("monitoring")).context("render the alert rules")?;
    let rules: Value = find(&documents, "PrometheusRule", "kube-smc").context("find the alert rules")?;
    let groups = rules["spec"]["groups"].as_array().into_iter().flatten();
    groups.flat_map(|group| group["rules"].as_array().into_iter().flatten()).map(rule).collect()
}

fn rule(rule: &Value) -> Result<Rule> {
    let text = |field: &str| rule[field].as_str().map(str::to_owned);
    let name = text("alert").context("a rule without a name")?;
    let waits = text("for").unwrap_or_else(|| "0s".to_owned());
    let waits = Duration::from_secs_f64(seconds(&waits)?);
    Ok(Rule { expression: text("expr").with_context(|| format!("{name} has no expression"))?, name, waits })
}

/// Since when which rule's expression has held for which series of which node.
#[derive(Debug, Default)]
struct Alerts {
    rules: Vec<Rule>,
    histories: BTreeMap<u8, History>,
    held: BTreeMap<(u8, String, Labels), Duration>,
}

impl Alerts {
    /// Takes in a look at the time `at` of the run; returns the alerts that fire.
    fn look(&mut self, node: u8, answers: &super::sighting::Answers, at: Duration, wall: f64) -> Vec<String> {
        let mut fire = Vec::new();
        let history = self.histories.entry(node).or_default();
        history.add(wall, answers.metrics.clone());
        for rule in &self.rules {
            let series = match holds(&rule.expression, history) {
                Ok(series) => series,
                Err(error) => {
                    fire.push(format!("alert {}: cannot be evaluated: {error}", rule.name));
                    continue;
                }
            };
            let key = |labels: &Labels| (node, rule.name.clone(), labels.clone());
            let holding: Vec<_> = series.iter().map(key).collect();
            self.held.retain(|held, _| held.0 != node || held.1 != rule.name || holding.contains(held));
            for held in holding {
                let since = *self.held.entry(held.clone()).or_insert(at);
                if at.saturating_sub(since) >= rule.waits.min(ALERT_HOLDS) {
                    fire.push(format!("alert {}: {:?}", rule.name, held.2));
                }
            }
        }
        fire
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
    let mut alerts = Alerts { rules: rules()?, ..Alerts::default() };
    let everyday = Everyday::start(stage);
    let before: Seen = poller.fresh(stage.nodes.len()).iter().flat_map(|look| (*look.seen).clone()).collect();
    let before: Seen = before.into_iter().filter(|(seen, _)| seen.kind == Kind::Happened).collect();
    let (server, client) = (stage.server(), stage.client());
    let smcr = || Counters::of(client).map(|counters| counters.client.smcr);
    let tcp = || Counters::of(server).map(|counters| counters.server.fallbacks());
    let (smcr_before, tcp_before) = (smcr()?, tcp()?);
    let begun = Instant::now();
    let first = poller.from(0).len();
    let (mut alarms, mut looks) = (Vec::new(), 0);
    while begun.elapsed() < time {
        thread::sleep(Duration::from_millis(500));
        for look in poller.from(first + looks) {
            looks += 1;
            let at = look.ended - begun;
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let told = news(&look.seen, &before);
            let told =
                told.keys().filter(|seen| seen.kind.is_alarm()).map(|s| format!("{} {}", s.place, s.name));
            let told: Vec<String> = told.chain(alerts.look(look.node, &look.answers, at, wall)).collect();
            for alarm in told {
                let alarm = format!("{:.0} s, node {}: {alarm}", at.as_secs_f32(), look.node);
                say(&alarm);
                look.answers.words().iter().for_each(|words| say(&format!("    {words}")));
                alarms.push(alarm);
            }
        }
        assert!(looks > 0 || begun.elapsed() < 2 * PATIENCE, "the nodes are not looked at");
    }
    let health = Health {
        looks,
        rules: alerts.rules.len(),
        smcr: smcr()? - smcr_before,
        tcp: tcp()? - tcp_before,
        alarms,
    };
    drop(everyday);
    Ok(health)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::sighting::Answers;

    fn answers(text: &str) -> Answers {
        Answers { metrics: super::super::prometheus::samples(text), ..Answers::default() }
    }

    #[test]
    fn every_committed_rule_can_be_evaluated_and_a_healthy_agent_fires_none() {
        let mut alerts = Alerts { rules: rules().unwrap(), ..Alerts::default() };
        assert!(alerts.rules.len() >= 7, "{:?}", alerts.rules);
        let healthy = answers(
            "kube_smc_node_ready{reason=\"\"} 1\nkube_smc_chain_loaded{state=\"loaded\"} 1\n\
             kube_smc_pods{verdict=\"active\",reason=\"\"} 2\nkube_smc_queue_pairs{device=\"rxe0\"} 1\n",
        );
        for second in [0, 30, 600, 6000] {
            let at = Duration::from_secs(second);
            assert_eq!(alerts.look(1, &healthy, at, 1e9 + at.as_secs_f64()), [""; 0]);
        }
    }

    #[test]
    fn a_rule_fires_when_its_expression_has_held_as_long_as_it_waits() {
        let rule = Rule {
            name: "NotReady".to_owned(),
            expression: "kube_smc_node_ready == 0".to_owned(),
            waits: Duration::from_secs(30),
        };
        let mut alerts = Alerts { rules: vec![rule], ..Alerts::default() };
        let (down, up) = (
            answers("kube_smc_node_ready{reason=\"NoUeid\"} 0"),
            answers("kube_smc_node_ready{reason=\"\"} 1"),
        );
        let mut look = |answers, second| alerts.look(1, answers, Duration::from_secs(second), 0.0).len();
        assert_eq!([look(&down, 0), look(&down, 20), look(&up, 25), look(&down, 30)], [0; 4]);
        assert_eq!((look(&down, 59), look(&down, 60)), (0, 1));
    }
}
