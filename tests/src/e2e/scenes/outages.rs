//! Parts of the cluster that go away and come back.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use smc_model::ANNOTATION;
use xtask::cluster::Program;

use super::fortio::pair;
use super::rollout::under_load;
use super::workloads::set_up;
use crate::e2e::Scene;
use crate::e2e::world::{AGENTS, SYSTEM, World};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "kubelet-restart",
        shows: "a kubelet that is killed under load: no request fails, no container is restarted",
        short: false,
        play: kubelet,
    },
    Scene {
        name: "api-outage",
        shows: "three minutes without an API server under load: nothing changes for pods, the agent says so and recovers",
        short: false,
        play: api_server,
    },
    Scene {
        name: "rbac-taken-away",
        shows: "an agent that may write nothing any more says so, goes on, and recovers",
        short: false,
        play: rights,
    },
    Scene {
        name: "killed-in-any-order",
        shows: "kubelet, containerd and agent killed in every order while pods start: every pod is set up",
        short: false,
        play: orders,
    },
    Scene {
        name: "agent-oom",
        shows: "an agent that is killed for its memory: pods go on, the user sees OOMKilled, the next one is well",
        short: false,
        play: out_of_memory,
    },
];

const OUTAGE: Duration = Duration::from_secs(180);

/// Kills a program of a node, whose init starts it again.
fn kill(world: &World, node: &str, program: &str) -> Result<()> {
    let script = r#"for pid in $(pidof "$1"); do kill -9 "$pid"; done"#;
    world.node(node)?.command(&["sh", "-ec", script, "sh", program]).check()?;
    Ok(())
}

fn kubelet(world: &mut World) -> Result<String> {
    let before = restarts(world)?;
    let answers = under_load(world, |world| {
        for node in world.nodes() {
            kill(world, &node, "kubelet")?;
        }
        // Until both have told the API server of themselves again.
        sleep(Duration::from_secs(30));
        Ok(world.cluster.await_nodes(&|_| {})?)
    })?;
    let after = restarts(world)?;
    ensure!(before == after, "containers were restarted: {before} before, {after} after");
    Ok(answers)
}

/// How often containers of the example and of the agents were restarted so far.
fn restarts(world: &World) -> Result<u64> {
    let pods = [world.pods("default", "app")?, world.pods(SYSTEM, AGENTS)?].concat();
    Ok(pods.iter().map(|pod| pod.restarts).sum())
}

fn api_server(world: &mut World) -> Result<String> {
    let before = restarts(world)?;
    let agent = world.agent("node1")?;
    let answers = under_load_without_api(world)?;
    world.cluster.await_nodes(&|_| {})?;
    let said = world.kubectl(&["logs", "-n", SYSTEM, &agent.name, "--since=10m"])?;
    ensure!(restarts(world)? == before, "containers were restarted");
    // Something for the agent to write: a pod that is set up.
    let event = event_of_new_pod(world, "after-outage")?;
    let told = said.lines().any(|line| line.to_lowercase().contains("api server"));
    ensure!(told, "the agent did not say that the API server was away:\n{said}");
    Ok(format!(
        "{answers} in {} s without API server; agent said so; afterwards Event {event}",
        OUTAGE.as_secs()
    ))
}

/// Load needs no API server once it runs, but ending it does: kubectl's connection goes through it. So it runs on the node.
fn under_load_without_api(world: &World) -> Result<String> {
    let (client, server) = pair(world)?;
    let address = world.json(&["get", "pod", &server.name])?["status"]["podIP"].as_str().map(str::to_owned);
    let url = format!("http://{}:8080/echo", address.context("the server has no address")?);
    let seconds = OUTAGE.as_secs() + 20;
    let load = world.detached_load(&client, &url, seconds)?;
    sleep(Duration::from_secs(5));
    world.cluster.kill(Program::ApiServer);
    sleep(OUTAGE);
    world.cluster.start(Program::ApiServer)?;
    world.cluster.await_api()?;
    let answers = load.wait()?.all_right()?;
    Ok(format!("{} of {} requests answered", answers.right, answers.right + answers.failed))
}

/// Starts an annotated pod, and returns the reason of the Event that the agent writes on it.
fn event_of_new_pod(world: &World, name: &str) -> Result<String> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": name }, "annotations": { ANNOTATION: "true" } },
        "spec": { "containers": [{ "name": "fortio", "image": "fortio/fortio:1.66.5", "args": ["server"] }],
                  "terminationGracePeriodSeconds": 1 },
    });
    world.apply(&pod.to_string())?;
    let reason = world.eventually(|world| {
        let filter = format!("involvedObject.name={name},reportingComponent=smc-agent");
        let events = world.json(&["get", "events", "--field-selector", &filter])?;
        let reason = events["items"][0]["reason"].as_str().map(str::to_owned);
        reason.with_context(|| format!("no Event of the agent on {name}"))
    });
    world.kubectl(&["delete", "pod", name, "--wait=false"])?;
    reason
}

fn rights(world: &mut World) -> Result<String> {
    let binding = world.kubectl(&["get", "clusterrolebinding", "smc-agent", "-o", "json"])?;
    world.kubectl(&["delete", "clusterrolebinding", "smc-agent"])?;
    let refused = world.eventually(|world| {
        // Something that it would write.
        let _ = event_of_new_pod_without_waiting(world, "no-rights");
        let agents = world.pods(SYSTEM, AGENTS)?;
        let mut said = Vec::new();
        for agent in &agents {
            let log = world.kubectl(&["logs", "-n", SYSTEM, &agent.name, "--since=3m"])?;
            said.extend(log.lines().find(|line| line.contains("forbidden")).map(str::to_owned));
        }
        said.pop().context("no agent says that it may not write")
    })?;
    ensure!(
        world.pods(SYSTEM, AGENTS)?.iter().all(|agent| agent.restarts == 0 && agent.ready),
        "an agent is not well"
    );
    let mut binding: serde_json::Value = serde_json::from_str(&binding)?;
    binding["metadata"] = json!({ "name": "smc-agent", "labels": binding["metadata"]["labels"] });
    world.apply(&binding.to_string())?;
    world.kubectl(&["delete", "pod", "no-rights", "--ignore-not-found", "--wait=false"])?;
    let event = event_of_new_pod(world, "with-rights")?;
    Ok(format!("agents Ready all the time; said: {}; afterwards Event {event}", shortened(&refused)))
}

fn event_of_new_pod_without_waiting(world: &World, name: &str) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": name }, "annotations": { ANNOTATION: "true" } },
        "spec": { "containers": [{ "name": "fortio", "image": "fortio/fortio:1.66.5", "args": ["server"] }] },
    });
    world.apply(&pod.to_string())
}

fn shortened(line: &str) -> String {
    line.chars().take(160).collect()
}

fn orders(world: &mut World) -> Result<String> {
    const PROGRAMS: [&str; 3] = ["kubelet", "containerd", "smc-agent"];
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "starting" },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "starting" } },
            "template": { "metadata": { "labels": { "app": "starting" }, "annotations": { ANNOTATION: "true" } },
                "spec": { "nodeName": "node1", "terminationGracePeriodSeconds": 1,
                    "containers": [{ "name": "fortio", "image": "fortio/fortio:1.66.5", "args": ["server"] }] } } },
    });
    world.apply(&deployment.to_string())?;
    let mut started = 0;
    for order in ORDERS {
        let names: Vec<&str> = order.iter().map(|index| PROGRAMS[*index]).collect();
        world.kubectl(&["scale", "deployment/starting", "--replicas=3"])?;
        sleep(Duration::from_secs(2));
        for name in &names {
            kill(world, "node1", name)?;
            sleep(Duration::from_secs(1));
        }
        let pods = world.eventually(|world| {
            let mut pods = world.pods("default", "app=starting")?;
            pods.retain(|pod| !pod.deleted);
            ensure!(pods.len() == 3 && pods.iter().all(|pod| pod.ready), "{pods:?}");
            Ok(pods)
        });
        for pod in pods.with_context(|| format!("killed in the order {names:?}"))? {
            set_up(world, &pod).with_context(|| format!("killed in the order {names:?}"))?;
            started += 1;
        }
        world.kubectl(&["scale", "deployment/starting", "--replicas=0"])?;
        world.eventually(|world| {
            let left = world.pods("default", "app=starting")?;
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })?;
    }
    world.kubectl(&["delete", "deployment/starting", "--wait=false"])?;
    Ok(format!("6 orders, {started} of 18 pods set up"))
}

fn out_of_memory(world: &mut World) -> Result<String> {
    let node = "node1";
    let agent = world.agent(node)?;
    let answers = under_load(world, |world| {
        // The kernel's own killer, on the agent's own account: its limit is lowered below what it has.
        let script = r"pid=$(pidof smc-agent) && group=/sys/fs/cgroup$(cut -d: -f3 /proc/$pid/cgroup) && max=$(cat $group/memory.max)
            echo 1M >$group/memory.max; for _ in $(seq 100); do [ -e /proc/$pid ] || exit 0; sleep 0.2; done; echo $max >$group/memory.max; exit 1";
        world.node(node)?.command(&["sh", "-c", script]).check()?;
        let said = world.eventually(|world| {
            let said = world.kubectl(&["describe", "pod", "-n", SYSTEM, &agent.name])?;
            ensure!(said.contains("OOMKilled"), "kubectl describe does not say OOMKilled:\n{said}");
            Ok(said)
        });
        said?;
        world.eventually(|world| {
            let agent = world.agent(node)?;
            ensure!(agent.ready, "{agent:?}");
            Ok(())
        })
    })?;
    // So that later scenes count from none.
    world.kubectl(&["delete", "pod", "-n", SYSTEM, &agent.name])?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")?;
    Ok(format!("{answers}; described as OOMKilled, Ready again"))
}
