//! Programs of a node that are killed.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use smc_model::ANNOTATION;

use super::fortio::IMAGE;
use super::install::quiet_start;
use super::outages::{end, start_annotated};
use super::rollout::under_load;
use super::workloads::set_up;
use crate::play::world::{AGENTS, SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "kubelet-restart",
        shows: "a kubelet that is killed under load: no request fails, no container is restarted",
        run: Run::Long,
        play: kubelet,
    },
    Scene {
        name: "containerd-restart",
        shows: "a container runtime that is killed under load: no request fails, the agent finds the next one",
        run: Run::Long,
        play: containerd,
    },
    Scene {
        name: "killed-in-any-order",
        shows: "kubelet, containerd and agent killed in every order while pods start: every pod is set up",
        run: Run::Long,
        play: orders,
    },
    Scene {
        name: "agent-oom",
        shows: "an agent that is killed for its memory: pods go on, the user sees OOMKilled, the next one is well",
        run: Run::Long,
        play: out_of_memory,
    },
    Scene {
        name: "agent-evicted",
        shows: "an agent that is evicted through the API: pods go on, the next one is well",
        run: Run::Long,
        play: evicted,
    },
];

/// Kills a program of a node, whose init starts it again.
pub(super) fn kill(world: &World, node: &str, program: &str) -> Result<()> {
    let script = r#"for pid in $(pidof "$1"); do kill -9 "$pid"; done"#;
    world.node(node)?.command(&["sh", "-ec", script, "sh", program]).check()?;
    Ok(())
}

/// Kills all kubelets, and waits until the next ones have told the API server of themselves.
pub(super) fn restart_kubelets(world: &World) -> Result<()> {
    let renewed = |world: &World, node: &str| {
        world.kubectl(&["get", "lease", "-n", "kube-node-lease", node, "-o", "jsonpath={.spec.renewTime}"])
    };
    let mut before = Vec::new();
    for node in world.nodes() {
        kill(world, &node, "kubelet")?;
        before.push((renewed(world, &node)?, node));
    }
    for (before, node) in before {
        world.eventually(|world| {
            ensure!(renewed(world, &node)? != before, "{node}'s kubelet was last heard of at {before}");
            Ok(())
        })?;
    }
    Ok(())
}

fn kubelet(world: &mut World) -> Result<String> {
    let before = restarts(world)?;
    let answers = under_load(world, |world| {
        restart_kubelets(world)?;
        Ok(world.cluster.await_nodes(&|_| {})?)
    })?;
    let after = restarts(world)?;
    ensure!(before == after, "containers were restarted: {before} before, {after} after");
    Ok(answers)
}

fn containerd(world: &mut World) -> Result<String> {
    let before = restarts(world)?;
    let nodes = world.nodes();
    let answers = under_load(world, |world| {
        for node in &nodes {
            kill(world, node, "containerd")?;
        }
        for node in &nodes {
            let name = format!("after-containerd-{node}");
            start_annotated(world, &name, Some(node))?;
            world.eventually(|world| {
                let pod = world.pod("default", &format!("app={name}"))?;
                ensure!(pod.ready, "{pod:?}");
                Ok(())
            })?;
            set_up(world, &world.pod("default", &format!("app={name}"))?)?;
            end(world, &name)?;
        }
        Ok(())
    })?;
    let after = restarts(world)?;
    ensure!(before == after, "containers were restarted: {before} before, {after} after");
    Ok(format!("{answers}; a new pod set up on each of {} nodes", nodes.len()))
}

/// How often containers of the example and of the agents were restarted so far.
pub(super) fn restarts(world: &World) -> Result<u64> {
    let pods = [world.pods("default", "app")?, world.pods(SYSTEM, AGENTS)?].concat();
    Ok(pods.iter().map(|pod| pod.restarts).sum())
}

fn orders(world: &mut World) -> Result<String> {
    const PROGRAMS: [&str; 3] = ["kubelet", "containerd", "smc-agent"];
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "starting" },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "starting" } },
            "template": { "metadata": { "labels": { "app": "starting" }, "annotations": { ANNOTATION: "true" } },
                "spec": { "nodeName": "node1", "terminationGracePeriodSeconds": 1,
                    "containers": [{ "name": "fortio", "image": IMAGE, "args": ["server"] }] } } },
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
            let mut warnings = world.events_on("default", &pod.name, "Warning")?;
            // Kubelet and runtime may complain of each other.
            warnings.retain(|(reason, message)| reason.starts_with("SMC") || message.contains("smc-cni"));
            ensure!(warnings.is_empty(), "killed in the order {names:?}, {}: {warnings:?}", pod.name);
            started += 1;
        }
        world.kubectl(&["scale", "deployment/starting", "--replicas=0"])?;
        anew(world, "node1")?;
        world.eventually(|world| {
            let left = world.pods("default", "app=starting")?;
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })?;
    }
    world.kubectl(&["delete", "deployment/starting", "--wait=false"])?;
    Ok(format!("6 orders, {started} of 18 pods set up, no Warning of kube-smc"))
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
    anew(world, node)?;
    Ok(format!("{answers}; described as OOMKilled, Ready again"))
}

fn evicted(world: &mut World) -> Result<String> {
    let node = "node2";
    let agent = world.agent(node)?;
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": &agent.name, "namespace": SYSTEM },
    });
    let answers = under_load(world, |world| {
        let path = format!("/api/v1/namespaces/{SYSTEM}/pods/{}/eviction", agent.name);
        world.send(&["create", "--raw", &path, "-f", "-"], &eviction.to_string())?;
        world.eventually(|world| {
            let next = world.agent(node)?;
            ensure!(next.ready && next.name != agent.name, "{next:?}");
            Ok(())
        })
    })?;
    let quiet = quiet_start(world)?;
    Ok(format!("{answers}; another agent Ready in its place, {quiet}"))
}

/// Replaces a node's agent, so that later scenes count its restarts from none, and the kubelet does not wait ever longer.
pub(super) fn anew(world: &World, node: &str) -> Result<()> {
    world.kubectl(&["delete", "pod", "-n", SYSTEM, &world.agent(node)?.name])?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")
}
