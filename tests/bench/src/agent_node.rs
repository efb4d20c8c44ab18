//! Inside a node: what the agent costs while it has nothing to do, what it does after a restart, and what it asks of an
//! API server.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use smc_model::{Owned, Verdict};
use smc_state::{AttachmentId, Phase, Record, Store};
use tokio::net::TcpListener;

use super::agent_cri::{Sandboxes, StandIn};
use super::agent_process::{Agent, Start, Used, counted_calls, wait};
use rig::api_server::ApiServer;
use rig::guest::run as run_program;
use rig::guest::terway::datapath::Veth;
use rig::layout::{NodeNumber, RDMA_NIC};

/// Pods with a network namespace of their own.
pub const REAL_PODS: usize = 250;
/// More of them, for counting the system calls of a repair.
const TRACED_PODS: usize = 10;
/// As many as the issue asks for.
pub const MANY_PODS: usize = 1000;
/// How long the idle agent is looked at: two looks of repair at every pod are in it.
const IDLE: Duration = Duration::from_secs(60);
/// What is cached and buffered settles, and the start's work is over.
const SETTLE: Duration = Duration::from_secs(12);
/// What belongs to a start is done.
const START_SETTLES: Duration = Duration::from_secs(4);
/// The agent takes a pod for idle when nothing was seen of it for a minute.
const UNTIL_IDLE: Duration = Duration::from_secs(80);
const PORT: u16 = 16443;

/// What was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AgentFigures {
    /// Time on a CPU of a start on a node that had an agent before, in seconds.
    pub start_cpu_s: f64,
    /// From the agent's start until every missed pod was set up, in seconds.
    pub repaired_s: f64,
    /// System calls of the agent for one more missed pod.
    pub calls_per_pod: f64,
    /// All and own memory in MiB with [`REAL_PODS`] on record.
    pub memory_few: (f64, f64),
    /// The same with [`MANY_PODS`].
    pub memory_many: (f64, f64),
    /// With [`REAL_PODS`] on record and nothing to do: wake-ups a second, and percent of one CPU.
    pub idle_few: (f64, f64),
    /// The same with [`MANY_PODS`].
    pub idle_many: (f64, f64),
    /// Lists, watches and gets while [`MANY_PODS`] pods started.
    pub api_reads: u64,
    /// Events and patches while they started.
    pub api_writes: u64,
}

/// Measures; `agent` is the agent's program.
pub fn measure(agent: &Path, say: &dyn Fn(&str)) -> Result<AgentFigures> {
    let mut figures = AgentFigures::default();
    // One subnet has not enough addresses.
    run_program("ip", &["address", "add", "10.0.1.1/24", "dev", RDMA_NIC], "")?;
    let mut node = BenchNode::new(agent)?;
    figures.start_cpu_s = node.start_cpu_s()?;
    say("making the network namespaces");
    node.pods = (0..REAL_PODS + TRACED_PODS).map(pod).collect::<Result<_>>()?;

    say("repair after a restart");
    node.sandboxes.set(node.pods[..REAL_PODS].to_vec());
    let begun = Instant::now();
    let running = node.start.agent(&[])?;
    wait("the repair of every pod", || (files(&node.store) >= REAL_PODS).then_some(()))?;
    figures.repaired_s = begun.elapsed().as_secs_f64();
    let like = node.settled()?;

    say("the idle agent");
    sleep(UNTIL_IDLE);
    figures.idle_few = idle(&running)?;
    figures.memory_few = running.memory()?;
    running.end()?;

    say("system calls");
    let without = node.calls("without", REAL_PODS)?;
    node.sandboxes.set(node.pods.clone());
    let with = node.calls("with", REAL_PODS + TRACED_PODS)?;
    figures.calls_per_pod = (float(with) - float(without)) / float(TRACED_PODS as u64);

    say("many pods");
    node.add_like(&like, MANY_PODS)?;
    let running = node.start.agent(&[])?;
    running.await_ready()?;
    sleep(UNTIL_IDLE);
    figures.idle_many = idle(&running)?;
    figures.memory_many = running.memory()?;
    running.end()?;

    say("the API server");
    (figures.api_reads, figures.api_writes) = node.requests_for_many(&like)?;
    Ok(figures)
}

/// The node with its stand-ins.
struct BenchNode {
    work: PathBuf,
    start: Start,
    store: Store,
    sandboxes: Sandboxes,
    /// Those that the runtime lists.
    pods: Vec<StandIn>,
}

impl BenchNode {
    fn new(agent: &Path) -> Result<Self> {
        let work = PathBuf::from("/run/bench-agent");
        fs::create_dir_all(&work).with_context(|| format!("make {}", work.display()))?;
        let state_dir = PathBuf::from("/run/kube-smc");
        let start = Start {
            program: agent.to_owned(),
            cri_socket: work.join("cri.sock"),
            state_dir: state_dir.clone(),
            log: work.join("agent.log"),
        };
        let sandboxes = Sandboxes::default();
        serve(sandboxes.clone(), start.cri_socket.clone(), &work.join("kubeconfig"))?;
        Ok(Self { work, start, store: Store::new(&state_dir), sandboxes, pods: Vec::new() })
    }

    /// Time on a CPU of a start on a node that had an agent before, in seconds.
    fn start_cpu_s(&self) -> Result<f64> {
        // Once without pods: what a node gets once is there then.
        let first = self.start.agent(&[])?;
        first.await_ready()?;
        first.end()?;
        let again = self.start.agent(&[])?;
        again.await_ready()?;
        // The program that tells of fallbacks is loaded by a thread of its own.
        sleep(START_SETTLES);
        let cpu = again.used()?.cpu.as_secs_f64();
        again.end()?;
        Ok(cpu)
    }

    /// Waits until every record is settled, and returns one of them; every pod must have been set up.
    fn settled(&self) -> Result<Record> {
        let settled = wait("settled records", || {
            let records = self.store.list().records;
            records.iter().all(|record| record.phase == Phase::Settled).then_some(records)
        })?;
        if let Some(record) = settled.iter().find(|record| record.verdict != Some(Verdict::Configured)) {
            bail!("a pod was not set up: {record:?}");
        }
        settled.first().map(|record| Record::clone(record)).context("no record")
    }

    /// System calls of an agent that finds `pods`.
    fn calls(&self, name: &str, pods: usize) -> Result<u64> {
        let summary = self.work.join(name);
        let traced = self.start.traced(&["-f", "-c", "-o", &summary.display().to_string()])?;
        traced.await_ready()?;
        // An agent under strace is slow.
        wait("the traced agent's repairs", || (files(&self.store) >= pods).then_some(()))?;
        sleep(SETTLE);
        traced.end()?;
        counted_calls(&summary)
    }

    /// Lists pods and puts them on record, until there are `up_to`.
    fn add_like(&mut self, like: &Record, up_to: usize) -> Result<()> {
        while self.pods.len() < up_to {
            let stand_in = named(self.pods.len());
            // Listed before it is on record: what is on record and not listed is released.
            self.pods.push(stand_in.clone());
            self.sandboxes.set(self.pods.clone());
            self.store.write(&record_like(like, &stand_in)?)?;
        }
        Ok(())
    }

    /// Reads and writes at the API server while [`MANY_PODS`] start.
    fn requests_for_many(&mut self, like: &Record) -> Result<(u64, u64)> {
        let kubeconfig = self.work.join("kubeconfig").display().to_string();
        let watching = ["--mesh", "watch", "--mesh-kubeconfig", &kubeconfig, "--kubeconfig", &kubeconfig];
        let running = self.start.agent(&[watching.as_slice(), &["--node-name", "node1"]].concat())?;
        running.await_ready()?;
        // Not switched off while it counts: every record would change.
        put_mesh()?;
        sleep(SETTLE);
        let before = requests()?;
        self.add_like(like, 2 * MANY_PODS)?;
        wait("the first events", || requests().ok().filter(|now| now.1 > before.1))?;
        sleep(SETTLE);
        let after = requests()?;
        running.end()?;
        Ok((after.0 - before.0, after.1 - before.1))
    }
}

fn float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from)
}

fn idle(agent: &Agent) -> Result<(f64, f64)> {
    let (before, begun) = (agent.used()?, Instant::now());
    sleep(IDLE);
    let Used { switches, cpu } = agent.used()?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = cpu.saturating_sub(before.cpu).as_secs_f64();
    Ok((float(switches - before.switches) / seconds, cpu / seconds * 100.0))
}

/// The stand-ins for runtime and API server, on a thread that ends with the process.
fn serve(sandboxes: Sandboxes, socket: PathBuf, kubeconfig: &Path) -> Result<()> {
    fs::write(kubeconfig, ApiServer::kubeconfig(PORT).to_string())
        .with_context(|| format!("write {}", kubeconfig.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let api = async {
                let listener = TcpListener::bind(("127.0.0.1", PORT)).await?;
                ApiServer::default().serve(listener).await
            };
            // They end only with an error, which the agent's complaints then show.
            tokio::join!(sandboxes.serve(&socket), api)
        })
    });
    Ok(())
}

fn curl(words: &[&str]) -> Result<String> {
    let output =
        std::process::Command::new("curl").args(["-fsS"]).args(words).output().context("run curl")?;
    if !output.status.success() {
        bail!("curl {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn put_mesh() -> Result<()> {
    let object = r#"{"spec":{"cniConfiguration":{"smcEnabled":true}}}"#;
    let path = "apis/istio.alibabacloud.com/v1beta1/asmmeshconfigs/default";
    curl(&["-X", "PUT", "--data", object, &format!("http://127.0.0.1:{PORT}/{path}")]).map(drop)
}

/// Reads and writes so far; our own PUT is among neither after the first look.
fn requests() -> Result<(u64, u64)> {
    let counts = curl(&[&format!("http://127.0.0.1:{PORT}/requests")])?;
    let counts: std::collections::BTreeMap<String, u64> = serde_json::from_str(&counts)?;
    let of = |verbs: &[&str]| verbs.iter().filter_map(|verb| counts.get(*verb)).sum();
    Ok((of(&["GET", "WATCH"]), of(&["POST", "PATCH"])))
}

fn named(number: usize) -> StandIn {
    let name = format!("bench-{number}");
    StandIn { id: format!("{number:064x}"), netns: Path::new("/run/netns").join(&name), name }
}

/// A pod's network namespace as the rig's plugin makes it.
fn pod(number: usize) -> Result<StandIn> {
    let stand_in = named(number);
    run_program("ip", &["netns", "add", &stand_in.name], "")?;
    // In a subnet of the node's RDMA NIC, without the nodes' own addresses.
    let nodes = NodeNumber::ALL.map(|node| node.address().octets()[3]);
    let free = (0..2).flat_map(|net| (2..=254).map(move |last| (net, last)));
    let (net, last) = free.filter(|(_, last)| !nodes.contains(last)).nth(number).context("too many pods")?;
    let address = Ipv4Addr::new(10, 0, net, last);
    Veth::new(&stand_in.id, "eth0", address, None).add(&stand_in.netns)?;
    Ok(stand_in)
}

/// A record of a pod that is set up, which owns nothing.
fn record_like(like: &Record, stand_in: &StandIn) -> Result<Record> {
    let mut record = like.clone();
    record.attachment = AttachmentId::new(&stand_in.id, "eth0")?;
    record.id.clone_from(&stand_in.name);
    record.pod.name.clone_from(&stand_in.name);
    record.pod.uid.clone_from(&stand_in.name);
    record.netns.clone_from(&stand_in.netns);
    (record.owned, record.netns_id, record.cookie) = (Owned::default(), None, None);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    record.started_ms = u64::try_from(now.as_millis())?;
    Ok(record)
}

fn files(store: &Store) -> usize {
    fs::read_dir(store.pods_dir()).map_or(0, |entries| {
        entries.flatten().filter(|entry| entry.path().extension().is_some_and(|of| of == "json")).count()
    })
}
