//! What the agents need of the cluster goes away and comes back: the API server, their rights, their token.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::cluster::Program;
use serde_json::{Value, json};
use smc_model::ANNOTATION;

use super::fortio::{IMAGE, pair};
use super::install::readme_command;
use super::kills::{restart_kubelets, restarts};
use super::workloads::{start_static, stop_static};
use crate::play::load::Connections;
use crate::play::world::{AGENTS, SYSTEM, Verdict, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "api-outage",
        shows: "three minutes without an API server under load: nothing changes for pods, the agent says so and recovers",
        run: Run::Long,
        play: api_server,
    },
    Scene {
        name: "rbac-taken-away",
        shows: "an agent that may write nothing any more says so, goes on, and recovers",
        run: Run::Long,
        play: rights,
    },
    Scene {
        name: "token-rotated",
        shows: "the agents' service account is made anew, so that their tokens are refused: said, and new ones taken",
        run: Run::Long,
        play: token,
    },
];

const OUTAGE: Duration = Duration::from_secs(180);
/// An API server asks only so seldom whether a token that it accepted is still one: 10 s.
const TOKEN_IS_BELIEVED: Duration = Duration::from_secs(15);
/// Whom Events are from.
const COMPONENT: &str = "kube-smc";

fn api_server(world: &mut World) -> Result<String> {
    let before = restarts(world)?;
    let (client, server) = pair(world)?;
    let agent = world.agent(&server.node)?;
    let address = world.json(&["get", "pod", &server.name])?["status"]["podIP"].as_str().map(str::to_owned);
    let url = format!("http://{}:8080/echo", address.context("the server has no address")?);
    let load = world.load(&client, &url, Connections::EachNew)?;
    sleep(Duration::from_secs(5));
    world.cluster.kill(Program::ApiServer);
    // Kubelets start these without an API server, so the agent has something to tell.
    start_static(world, &server.node, "default", "outage")?;
    sleep(OUTAGE);
    world.cluster.start(Program::ApiServer)?;
    world.cluster.await_api()?;
    let answers = load.stop()?;
    world.cluster.await_nodes(&|_| {})?;
    ensure!(restarts(world)? == before, "containers were restarted");

    let said = says(world, &agent.name, &["the API server", "cannot be reached"])?;
    // What was to be told meanwhile is told now, and so is what is new.
    let kept = event(world, &format!("outage-{}", server.node))?;
    let new = event_of_new_pod(world, "after-outage")?;
    says(world, &agent.name, &["no longer: events", "cannot be reached"])?;
    stop_static(world, &server.node, "outage")?;
    Ok(format!(
        "{} of {} requests answered in {} s without API server; said: {}; afterwards the kept Event {kept}, a new one {new}",
        answers.right,
        answers.right + answers.failed,
        OUTAGE.as_secs(),
        shortened(&said),
    ))
}

fn rights(world: &mut World) -> Result<String> {
    let mut binding = world.json(&["get", "clusterrolebinding", "smc-agent"])?;
    let before = restarts(world)?;
    world.kubectl(&["delete", "clusterrolebinding", "smc-agent"])?;
    start_annotated(world, "no-rights", Some("node1"))?;
    let agent = world.agent("node1")?;
    let said = says(world, &agent.name, &["cannot write events", "forbidden", "base/rbac.yaml"])?;
    all_well(world, before)?;
    binding["metadata"] = json!({ "name": "smc-agent", "labels": binding["metadata"]["labels"] });
    world.apply(&binding.to_string())?;
    let kept = event(world, "no-rights")?;
    end(world, "no-rights")?;
    let new = event_of_new_pod(world, "with-rights")?;
    says(world, &agent.name, &["no longer: events", "forbidden"])?;
    Ok(format!(
        "agents Ready all the time; said: {}; afterwards the kept Event {kept}, a new one {new}",
        shortened(&said)
    ))
}

/// An account that is made anew ends all tokens of the old one; a kubelet that starts asks for new ones.
fn token(world: &mut World) -> Result<String> {
    let before = restarts(world)?;
    world.kubectl(&["delete", "serviceaccount", "smc-agent", "-n", SYSTEM])?;
    let said = refused(world);
    // Also where nobody was refused: without the account there are no agents in what is played next.
    world.as_readme_says(&readme_command("kubectl apply -k daemonset/manifests")?)?;
    restart_kubelets(world)?;
    let said = said?;
    let kept = event(world, "old-token")?;
    end(world, "old-token")?;
    let new = event_of_new_pod(world, "new-token")?;
    world.cluster.await_nodes(&|_| {})?;
    all_well(world, before)?;
    Ok(format!("said: {}; afterwards the kept Event {kept}, a new one {new}, no restart", shortened(&said)))
}

/// What an agent says whose account is gone.
fn refused(world: &World) -> Result<String> {
    sleep(TOKEN_IS_BELIEVED);
    start_annotated(world, "old-token", Some("node1"))?;
    let agent = world.agent("node1")?;
    says(world, &agent.name, &["cannot write events", "401"])
}

/// Fails when an agent is not Ready, or a container was restarted.
fn all_well(world: &World, restarted_before: u64) -> Result<()> {
    // A kubelet that was restarted calls nobody ready before it has probed them anew.
    world.eventually(|world| {
        let agents = world.pods(SYSTEM, AGENTS)?;
        ensure!(agents.iter().all(|agent| agent.ready), "an agent is not Ready: {agents:?}");
        Ok(())
    })?;
    let now = restarts(world)?;
    ensure!(now == restarted_before, "containers were restarted: {restarted_before} before, {now} after");
    Ok(())
}

/// Waits for a line of the agent's log that has all of this, and returns the last.
fn says(world: &World, agent: &str, words: &[&str]) -> Result<String> {
    world.eventually(|world| {
        let log = world.kubectl(&["logs", "-n", SYSTEM, agent, "--since=15m"])?;
        let line = log.lines().rfind(|line| words.iter().all(|word| line.contains(word)));
        line.map(str::to_owned).with_context(|| format!("{agent} does not say {words:?}:\n{log}"))
    })
}

/// Without its time and place.
fn shortened(line: &str) -> String {
    line.split_once("smc_agent::board: ").map_or(line, |(_, said)| said).chars().take(160).collect()
}

/// Starts an annotated pod and returns the reason of the Event that the agent writes on it.
fn event_of_new_pod(world: &World, name: &str) -> Result<String> {
    start_annotated(world, name, None)?;
    let reason = event(world, name);
    end(world, name)?;
    reason
}

/// Waits for an agent's Event on a pod, and returns its reason.
fn event(world: &World, pod: &str) -> Result<String> {
    world.eventually(|world| {
        let filter = format!("involvedObject.name={pod},reportingComponent={COMPONENT}");
        let events = world.json(&["get", "events", "--field-selector", &filter])?;
        let reason = events["items"][0]["reason"].as_str().map(str::to_owned);
        reason.with_context(|| format!("no Event of an agent on {pod}"))
    })
}

/// Starts an annotated pod that serves.
pub(super) fn start_annotated(world: &World, name: &str, node: Option<&str>) -> Result<()> {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": name }, "annotations": { ANNOTATION: "true" } },
        "spec": { "containers": [{ "name": "fortio", "image": IMAGE, "args": ["server"] }],
                  "terminationGracePeriodSeconds": 1 },
    });
    if let Some(node) = node {
        pod["spec"]["nodeName"] = Value::from(node);
    }
    world.apply(&pod.to_string())
}

/// Starts an annotated pod on a node, and ends it once it is Ready and `smcctl pods` knows it. Returns what that said.
pub(super) fn verdict_of_new_pod(world: &World, name: &str, node: &str) -> Result<Verdict> {
    let started = start_annotated(world, name, Some(node));
    let known = started.and_then(|()| {
        world.eventually(|world| {
            let pod = world.pod("default", &format!("app={name}"))?;
            ensure!(pod.ready, "{pod:?}");
            let said = world.known_verdict(&pod)?;
            ensure!(said.is_set_up(), "{said:?}");
            Ok(said)
        })
    });
    world.kubectl(&["delete", "pod", name, "--ignore-not-found", "--timeout=120s"])?;
    known
}

/// Ends a pod.
pub(super) fn end(world: &World, name: &str) -> Result<()> {
    world.kubectl(&["delete", "pod", name, "--wait=false"]).map(drop)
}
