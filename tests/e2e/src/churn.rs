//! The agent of a node is killed and upgraded again and again while pods come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rig::host::{Ending, Node, repository};
use smc_model::{ANNOTATION, Owned};
use smc_state::{Phase, Record};

use crate::{Kernel, PATIENCE, TestPod, agent, client, eventually, shell};

/// Where the agent's container sees the other build of the plugin.
const OTHER_BUILD: &str = "/run/kube-smc/other-build/smc-cni";
const INSTALLED: &str = "/opt/cni/bin/smc-cni";

/// What happened.
#[derive(Debug, Default)]
pub struct Churned {
    /// Ends of the agent by SIGKILL.
    pub killed: u32,
    /// Ends of the agent by SIGTERM.
    pub terminated: u32,
    /// How many of them came too early for the agent to hear of, so that it was killed after its grace period.
    pub unheard: u32,
    /// How often another build of the plugin took the place of the one on the node.
    pub replaced: u32,
    /// How long each pod took to start, by the runtime's answer.
    pub started: Vec<Duration>,
    /// Pods that were not set up at once, by the reason's name.
    pub refused: BTreeMap<String, u32>,
}

impl fmt::Display for Churned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { killed, terminated, unheard, replaced, started, refused } = self;
        let mut sorted = started.clone();
        sorted.sort();
        let seconds = |at: usize| sorted.get(at).map_or(0.0, Duration::as_secs_f64);
        write!(
            f,
            "agent killed {killed} and terminated {terminated} times (unheard: {unheard}), the plugin replaced {replaced} times; {} pods \
             came and went, each started in {:.1} s (median), {:.1} s at most; not set up at once: {refused:?}",
            sorted.len(),
            seconds(sorted.len() / 2),
            seconds(sorted.len().saturating_sub(1)),
        )
    }
}

/// Ends and starts the agent of `node`, which nobody else uses, `rounds` times, every second time with another build of
/// the plugin, while `workers` threads start and remove annotated pods. Fails when a pod does not start or cannot be
/// removed, when the plugin was not called for one, and when records and kernel disagree at the end.
pub fn churn(node: &Node<'_>, rounds: u32, workers: usize, say: &(dyn Fn(&str) + Sync)) -> Churned {
    let _other = OtherBuild::make(node);
    let (stop, tally) = (AtomicBool::new(false), Mutex::new(Churned::default()));
    let living = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn({
                    let (stop, tally) = (&stop, &tally);
                    move || come_and_go(node, worker, stop, tally)
                })
            })
            .collect();
        {
            // Also when a round fails: the scope waits for the workers.
            let _stop = Stop(&stop);
            for round in 0..rounds {
                if workers.iter().any(thread::ScopedJoinHandle::is_finished) {
                    break;
                }
                turn(node, round, &tally);
                let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                say(&format!("round {} of {rounds}: {} pods so far", round + 1, tally.started.len()));
            }
        }
        let living = workers.into_iter().map(|worker| worker.join().expect("a worker failed"));
        living.collect::<Vec<TestPod<'_>>>()
    });
    agent::end(node, Ending::Terminate).start();
    eventually(2 * PATIENCE, || disagreement(node, &living).map_or(Ok(()), Err));
    drop(living);
    eventually(PATIENCE, || disagreement(node, &[]).map_or(Ok(()), Err));
    tally.into_inner().unwrap()
}

/// One end and one start of the agent.
fn turn(node: &Node<'_>, round: u32, tally: &Mutex<Churned>) {
    let (ending, other) = (if round % 3 == 2 { Ending::Terminate } else { Ending::Kill }, round % 4 < 2);
    let plugin = if other { OTHER_BUILD.to_owned() } else { own_build() };
    let arguments: &[&str] = if other { &["--plugin", OTHER_BUILD] } else { &[] };
    let (mut ended, code) = agent::end_at_any_time(node, ending);
    if round % 3 == 1 {
        // The next end comes before it has done everything.
        ended.spawn(arguments);
        thread::sleep(Duration::from_millis(u64::from(round) * 137 % 1500));
    } else {
        let before = is_installed(node, &plugin);
        ended.start_with(arguments);
        eventually(PATIENCE, || if is_installed(node, &plugin) { Ok(()) } else { Err("not replaced") });
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.replaced += u32::from(!before);
    }
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    match ending {
        Ending::Kill => tally.killed += 1,
        Ending::Terminate => {
            tally.terminated += 1;
            tally.unheard += u32::from(code != 0);
        }
    }
}

/// Starts pods, removes each when the next one runs, and leaves the last.
fn come_and_go<'a>(node: &Node<'a>, worker: usize, stop: &AtomicBool, tally: &Mutex<Churned>) -> TestPod<'a> {
    let mut last: Option<TestPod<'a>> = None;
    for number in 0.. {
        let spec = client(&format!("churn-{worker}-{number}")).annotate(ANNOTATION, "true");
        let begun = Instant::now();
        let pod =
            TestPod::try_start(node, &spec).unwrap_or_else(|error| panic!("a pod did not start: {error}"));
        let took = begun.elapsed();
        let record = pod.record();
        {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.started.push(took);
            match record.verdict {
                Some(verdict) if verdict.is_set_up() => {}
                Some(verdict) => {
                    let name = verdict.reason().map_or("", |reason| reason.name());
                    *tally.refused.entry(name.to_owned()).or_default() += 1;
                }
                None => panic!("{} has a record without a verdict: {record:?}", pod.name),
            }
        }
        if let Some(mut before) = last.replace(pod) {
            before.remove();
        }
        if stop.load(Ordering::Acquire) {
            break;
        }
    }
    last.expect("at least one pod was started")
}

/// In which way records, kernel and runtime do not agree that exactly these pods, all set up, are on the node.
fn disagreement(node: &Node<'_>, living: &[TestPod<'_>]) -> Option<String> {
    let texts = shell(node, "cd /run/kube-smc/pods; ls; cat ./*.json 2>/dev/null || :", &[]);
    let (files, json) = texts.split_at(texts.find('{').unwrap_or(texts.len()));
    let records = serde_json::Deserializer::from_str(json).into_iter::<Record>();
    let records: Vec<Record> = match records.collect() {
        Ok(records) => records,
        Err(error) => return Some(format!("a record cannot be read: {error}")),
    };
    let set_up = |record: &&Record| {
        record.phase == Phase::Settled && record.verdict.as_ref().is_some_and(smc_model::Verdict::is_set_up)
    };
    let recorded: BTreeSet<String> =
        records.iter().filter(set_up).map(|r| r.attachment.to_string()).collect();
    let pods: BTreeSet<String> = living.iter().map(|pod| pod.attachment().to_string()).collect();
    if recorded != pods || files.lines().count() != pods.len() {
        return Some(format!("the pods {pods:?} live; on record: {files} set up: {recorded:?}"));
    }
    let owned = || records.iter().map(|record| &record.owned);
    let anchored: BTreeSet<_> = owned().flat_map(|owned| &owned.anchored).copied().collect();
    let held: BTreeSet<_> = owned().flat_map(|owned| &owned.held).copied().collect();
    let guarded: BTreeSet<_> = owned().flat_map(Owned::in_guard).collect();
    let converted: BTreeSet<_> = owned().filter_map(|owned| Some(owned.converted.as_ref()?.1)).collect();
    let kernel = Kernel(node);
    let converting = kernel.converting("/sys/fs/bpf/kube-smc/converting_netns");
    let in_kernel = (kernel.anchored(), kernel.held(), kernel.guarded(), converting);
    let on_record = (anchored, held, guarded, converted);
    if in_kernel != on_record {
        return Some(format!("on record {on_record:?}, in the kernel {in_kernel:?}"));
    }
    let namespaces: BTreeSet<String> =
        shell(node, "ls /run/netns", &[]).lines().map(|name| format!("/run/netns/{name}")).collect();
    let in_use: BTreeSet<String> =
        living.iter().map(|pod| pod.netns_path().replace("/var/run/", "/run/")).collect();
    (namespaces != in_use).then(|| format!("the namespaces {namespaces:?} exist, {in_use:?} are in use"))
}

/// Tells the workers to end when it is dropped.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Another build of the plugin, which differs in its last bytes; gone when dropped.
struct OtherBuild<'n, 'a>(&'n Node<'a>);

fn own_build() -> String {
    repository().join("target/dist/smc-cni").display().to_string()
}

fn is_installed(node: &Node<'_>, plugin: &str) -> bool {
    let compared = node.exec(&["cmp", "-s", plugin, INSTALLED]);
    compared.unwrap_or_else(|error| panic!("{error}")).status.success()
}

impl<'n, 'a> OtherBuild<'n, 'a> {
    fn make(node: &'n Node<'a>) -> Self {
        let script = r#"mkdir -p "$(dirname "$2")"; cp "$1" "$2"; echo another build >>"$2""#;
        shell(node, script, &[&own_build(), OTHER_BUILD]);
        Self(node)
    }
}

impl Drop for OtherBuild<'_, '_> {
    fn drop(&mut self) {
        let _ = self.0.exec(&["rm", "-rf", "/run/kube-smc/other-build"]);
    }
}
