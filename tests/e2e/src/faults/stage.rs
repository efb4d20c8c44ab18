//! What a fault is injected into: nodes, their agents with a stand-in for the API server, and traffic.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rig::host::{Agent, Conversion, Ending, Node, PodSpec, Rig, RunningCommand, repository};
use smc_model::ANNOTATION;

use super::poll::Poller;
use super::sighting::{Kind, Place};
use crate::{PATIENCE, TestPod, agent, eventually, server, shell, start, wait_until_served};

/// The port of the stand-in for the API server on each node's loopback.
pub(super) const EVENTS_PORT: &str = "16444";
/// Where the agent's container sees it; not in its state directory, which a fault empties.
const KUBECONFIG: &str = "/var/lib/kube-smc/faults-kubeconfig";
/// Longer than a degraded pod needs without failures, on slow nodes.
const HEALED: Duration = Duration::from_secs(240);

/// Nodes, agents, traffic.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The nodes, by number.
    pub nodes: Vec<Node<'a>>,
    /// What converts TCP sockets on them.
    pub(super) conversion: Conversion,
    /// How long a second, wrong cause is waited for when the right one was named.
    pub(super) settle: Duration,
    api_servers: Vec<RunningCommand>,
    traffic: Option<Traffic<'a>>,
    /// How many faults want each node's agent ended.
    agents_ended: Vec<Mutex<u32>>,
}

/// An annotated server on node 2, and an annotated client on node 1 that opens a connection to it again and again.
#[derive(Debug)]
struct Traffic<'a> {
    server: TestPod<'a>,
    client: TestPod<'a>,
}

/// A pod that wants SMC-R.
pub(super) fn annotated(spec: PodSpec) -> PodSpec {
    spec.annotate(ANNOTATION, "true")
}

/// A pod whose program fetches from `url` again and again, each time over a new connection.
pub(super) fn visitor(name: &str, options: &str, url: &str) -> PodSpec {
    let script = visiting(1, options, url);
    PodSpec::new(&format!("{name}-{}", std::process::id()), &["sh", "-c", &script])
}

/// The shell's words for fetching from `url` again and again, with as many seconds between.
pub(super) fn visiting(pause: u32, options: &str, url: &str) -> String {
    format!("while :; do curl -sS -m 10 -o /dev/null {options} '{url}'; sleep {pause}; done")
}

impl<'a> Stage<'a> {
    /// Starts the agents of the rig anew, with a stand-in for the API server each.
    #[track_caller]
    pub fn with_events(rig: &'a Rig) -> Self {
        let nodes: Vec<Node<'a>> = rig.nodes().collect();
        let api_servers = nodes.iter().map(start_api_server).collect();
        let stage = Self { settle: Duration::from_secs(10), api_servers, ..Self::as_it_is(nodes, rig) };
        for number in 1..=stage.nodes.len() {
            stage.end_agent(u8::try_from(number).unwrap_or_default()).start();
        }
        stage
    }

    /// The rig as it is: nobody takes the agents' Events. For the short form: wrong causes are not waited for so long.
    pub fn as_it_is(nodes: Vec<Node<'a>>, rig: &Rig) -> Self {
        let conversion = rig.options().conversion;
        let settle = Duration::from_secs(3);
        let agents_ended = nodes.iter().map(|_| Mutex::new(0)).collect();
        Self { nodes, conversion, settle, api_servers: Vec::new(), traffic: None, agents_ended }
    }

    /// Starts the traffic.
    #[track_caller]
    pub fn start_traffic(&mut self) {
        let server = start(self.node(2), &annotated(server("faults-server")));
        wait_until_served(&server);
        let url = format!("http://{}/small", server.ip);
        let client = start(self.node(1), &annotated(visitor("faults-client", "", &url)));
        self.traffic = Some(Traffic { server, client });
    }

    /// A node; a script that asks for one that the rig has not is wrong.
    #[track_caller]
    pub fn node(&self, number: u8) -> &Node<'a> {
        &self.nodes[usize::from(number) - 1]
    }

    /// The annotated server on node 2.
    #[track_caller]
    pub fn server(&self) -> &TestPod<'a> {
        &self.traffic.as_ref().expect("there is traffic").server
    }

    /// The annotated client on node 1.
    #[track_caller]
    pub fn client(&self) -> &TestPod<'a> {
        &self.traffic.as_ref().expect("there is traffic").client
    }

    /// Where Events can be read.
    pub fn events_port(&self) -> Option<&'static str> {
        (!self.api_servers.is_empty()).then_some(EVENTS_PORT)
    }

    /// Where something can be reported.
    pub fn places(&self) -> BTreeSet<Place> {
        let all = [Place::Verdict, Place::Event, Place::Doctor, Place::Metric];
        all.into_iter().filter(|place| *place != Place::Event || self.events_port().is_some()).collect()
    }

    /// A node's agent as it is to run here.
    #[track_caller]
    pub fn agent(&self, number: u8) -> Agent<'a> {
        let agent = self.node(number).agent().unwrap_or_else(|error| panic!("{error}"));
        match self.events_port() {
            Some(_) => agent.with_arguments(&["--kubeconfig", KUBECONFIG]),
            None => agent,
        }
    }

    /// Ends a node's agent; it is started again by the value or with its end: by the last, where faults of one group each ended
    /// it.
    #[track_caller]
    pub fn end_agent(&self, number: u8) -> EndedAgent<'_, 'a> {
        let mut ended = self.agents_ended(number);
        if *ended == 0 {
            self.agent(number).end(Ending::Terminate).unwrap_or_else(|error| panic!("{error}"));
        }
        *ended += 1;
        EndedAgent { stage: self, number, started: false }
    }

    fn agents_ended(&self, number: u8) -> MutexGuard<'_, u32> {
        self.agents_ended[usize::from(number) - 1].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing is wrong and the traffic is SMC-R; else says what still is.
    pub fn heal(&self, poller: &Poller) -> Result<Duration, String> {
        let begun = Instant::now();
        loop {
            let wrong = self.wrong(poller);
            if wrong.is_empty() {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > HEALED {
                return Err(format!("after {} s: {}", HEALED.as_secs(), wrong.join(", ")));
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// What is wrong now, by a look that begins now.
    pub fn wrong(&self, poller: &Poller) -> Vec<String> {
        let mut wrong = Vec::new();
        let looks = poller.fresh(self.nodes.len());
        for look in &looks {
            let standing = look.seen.keys().filter(|seen| seen.kind == Kind::Standing);
            wrong.extend(standing.map(|seen| format!("node {}: {} {}", seen.node, seen.place, seen.name)));
            if look.answers.metrics.is_empty() {
                wrong.push(format!("node {}: the agent does not answer", look.node));
            }
        }
        let pods = self.traffic.iter().flat_map(|traffic| [(2, &traffic.server), (1, &traffic.client)]);
        for (number, pod) in pods {
            let look = looks.iter().find(|look| look.node == number);
            let verdict = look.and_then(|look| look.answers.verdict(&pod.name)).unwrap_or("unknown");
            if verdict != "active" {
                wrong.push(format!("pod {} is {verdict}", pod.name));
            }
        }
        wrong
    }
}

#[track_caller]
fn start_api_server(node: &Node<'_>) -> RunningCommand {
    let program = repository().join("target/debug/api-server").display().to_string();
    shell(node, r#"rm -f "$1""#, &[KUBECONFIG]);
    let running = node.command(&[program.as_str(), EVENTS_PORT, KUBECONFIG]).spawn();
    let running = running.unwrap_or_else(|error| panic!("{error}"));
    eventually(PATIENCE, || {
        let there = node.exec(&["test", "-s", KUBECONFIG]).map_err(|error| error.to_string())?;
        if there.status.success() { Ok(()) } else { Err("the API server did not start".to_owned()) }
    });
    running
}

/// A node without its agent; dropping it starts the agent again.
#[derive(Debug)]
pub struct EndedAgent<'s, 'a> {
    stage: &'s Stage<'a>,
    number: u8,
    started: bool,
}

impl<'a> EndedAgent<'_, 'a> {
    /// Starts the agent and waits until it has prepared the node and the runtime has loaded the plugin's entry.
    #[track_caller]
    pub fn start(&mut self) {
        self.start_as(|agent| agent);
    }

    /// As [`Self::start`], with what `change` makes of the agent.
    #[track_caller]
    pub fn start_as(&mut self, change: impl FnOnce(Agent<'a>) -> Agent<'a>) {
        let agent = change(self.stage.agent(self.number));
        self.start_without_waiting(&agent);
        agent.await_chained().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Starts the agent, also where the runtime will not load the plugin's entry, and waits until it watches pods.
    #[track_caller]
    pub fn start_unchained(&mut self) {
        let node = self.stage.node(self.number);
        let before = agent::log(node);
        self.start_without_waiting(&self.stage.agent(self.number));
        eventually(PATIENCE, || {
            let log = agent::log(node);
            let new = log.strip_prefix(&before).unwrap_or(&log);
            if new.contains("watching pods") { Ok(()) } else { Err(new.to_owned()) }
        });
    }

    #[track_caller]
    fn start_without_waiting(&mut self, agent: &Agent<'a>) {
        self.started = true;
        let mut ended = self.stage.agents_ended(self.number);
        *ended -= 1;
        assert_eq!(*ended, 0, "another fault wants the agent of node {} ended", self.number);
        drop(ended);
        agent.start().unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Drop for EndedAgent<'_, '_> {
    fn drop(&mut self) {
        if self.started {
            return;
        }
        let mut ended = self.stage.agents_ended(self.number);
        *ended -= 1;
        if *ended == 0 {
            let started = self.stage.agent(self.number).start();
            assert!(started.is_ok() || thread::panicking(), "{started:?}");
        }
    }
}

/// Undoes something when it is dropped, also while a script that failed unwinds.
pub(super) struct Undo<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for Undo<F> {
    fn drop(&mut self) {
        // A second panic would end the program, and what failed first tells more.
        match catch_unwind(AssertUnwindSafe(&mut self.0)) {
            Err(panic) if !thread::panicking() => resume_unwind(panic),
            _ => {}
        }
    }
}
