//! The first minutes of a node: annotated pods that are there before the agent, after a reboot and on a node that joins.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::host::PowerCut;
use serde_json::{Value, json};
use smc_model::ANNOTATION;

use super::fortio::{IMAGE, pair};
use super::install::readme_command;
use super::nodes::{QUIET, boot_id, number, well_again};
use super::upgrade::{forget_settings, settings};
use crate::play::load::Connections;
use crate::play::overlay::{manifests, overlay};
use crate::play::world::{Pod, SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "rebooted-with-twenty",
        shows: "a node is rebooted under twenty annotated servers: they wait for the agent, and none needs a restart",
        run: Run::Long,
        play: rebooted,
    },
    Scene {
        name: "joined-anew",
        shows: "a node is removed, and another joins under its name with the taint of overlays/startup-taint: none of twenty \
                annotated servers starts before the agent",
        run: Run::Long,
        play: joined_anew,
    },
];

const TAINTED: &str = "daemonset/manifests/overlays/startup-taint";
const TAINT: &str = "smc.asm.alibabacloud.com/agent-not-ready";
const RIGHTS: &str = "clusterrole,clusterrolebinding";
const NAMESPACE: &str = "twenty";
const ANNOTATED: &str = "app=annotated";
const PLAIN: &str = "app=plain";
const SERVERS: usize = 20;
/// Twenty servers start one after the other on an emulated CPU.
const LIMIT: Duration = Duration::from_secs(900);
/// How long after boot pods wait for the agent here: an emulated node takes minutes for what takes seconds elsewhere.
const BOOT_WAIT: u32 = 900;

fn rebooted(world: &mut World) -> Result<String> {
    let before = settings(world)?;
    let patient = overlay(
        &manifests(),
        &json!({ "configMapGenerator": [{
            "name": "smc-agent", "namespace": SYSTEM, "behavior": "merge",
            "literals": [format!("SMC_AGENT_BOOT_WAIT={BOOT_WAIT}")],
        }] }),
    )?;
    world.kubectl(&["apply", "-k", &patient.path().display().to_string()])?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")?;
    let (client, server) = pair(world)?;
    let node = server.node;
    start(world, &node)?;
    all_set_up(world, &node)?;

    let boot = boot_id(world, &node)?;
    let begun = Instant::now();
    world.cluster.rig().reboot(number(&node)?, PowerCut::Sudden, QUIET)?;
    booted(world, &node, &boot)?;
    let seen = first_minutes(world, &client, &node, begun, 1)?;
    finish(world, &before)?;
    Ok(format!("{seen} (patched: annotated pods wait for up to {BOOT_WAIT} s)"))
}

fn joined_anew(world: &mut World) -> Result<String> {
    let before = settings(world)?;
    world.as_readme_says(&format!("kubectl apply -k {TAINTED}"))?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")?;
    let (client, server) = pair(world)?;
    let node = server.node;
    let (number, boot) = (number(&node)?, boot_id(world, &node)?);
    world.cluster.rig().remove_node(number)?;
    world.kubectl(&["delete", "node", &node])?;
    start_later(world, &node)?;
    world.cluster.join_with_taint(number, Some((TAINT, "NoSchedule")))?;
    let begun = Instant::now();
    world.cluster.rig_mut().add_node(number, QUIET)?;
    booted(world, &node, &boot)?;
    let seen = first_minutes(world, &client, &node, begun, 0)?;
    let agent = world.agent(&node)?.name;
    let log = world.kubectl(&["logs", "-n", SYSTEM, &agent])?;
    ensure!(log.contains(&format!("took the taint {TAINT} off {node}")), "the log of {agent}:\n{log}");
    world.cluster.join_with_taint(number, None)?;
    finish(world, &before)?;
    world.kubectl(&["delete", RIGHTS, "smc-agent-startup-taint"])?;
    Ok(format!("{seen}; then {}", well_again(world, &node, &boot)?))
}

/// Waits until the API server knows the node by another boot.
fn booted(world: &World, node: &str, before: &str) -> Result<()> {
    world.eventually(|world| {
        let boot = boot_id(world, node)?;
        ensure!(!boot.is_empty() && boot != before, "{node}'s boot is {boot}");
        Ok(())
    })
}

/// Fails unless all servers of the node come, are set up as if nothing had been, and speak SMC-R. `restarts`: how many each had at least.
fn first_minutes(world: &World, client: &Pod, node: &str, begun: Instant, restarts: u64) -> Result<String> {
    let came = |what: &str, count: usize| -> Result<f32> {
        world.within(LIMIT, |world| {
            // Before the kubelet speaks again, its pods are said to be Ready as they were.
            let pods = world.pods(NAMESPACE, what)?.into_iter();
            let ready =
                pods.filter(|pod| pod.ready && !pod.deleted && pod.restarts >= restarts && pod.node == node);
            let ready = ready.count();
            ensure!(ready == count, "{ready} of {count} pods with {what} are Ready on {node}");
            Ok(())
        })?;
        Ok(begun.elapsed().as_secs_f32())
    };
    let plain = came(PLAIN, 1)?;
    let annotated = came(ANNOTATED, SERVERS)?;
    all_set_up(world, node)?;
    let servers = world.pods(NAMESPACE, ANNOTATED)?;
    let server = servers.iter().find(|pod| !pod.deleted && pod.ready).context("a server")?;
    let address =
        world.kubectl(&["get", "pod", "-n", NAMESPACE, &server.name, "-o", "jsonpath={.status.podIP}"])?;
    let before = world.known_verdict(client)?;
    let url = format!("http://{address}:8080/echo");
    let answers = world.requests(client, &url, 10, Connections::EachNew)?.all_right()?;
    world.eventually(|world| {
        let after = world.known_verdict(client)?;
        let both = (after.smc_r - before.smc_r, after.tcp - before.tcp);
        ensure!(both == (answers.connections, 0), "SMC-R and TCP: {both:?} of {answers:?}");
        Ok(())
    })?;
    Ok(format!(
        "{SERVERS} of {SERVERS} annotated servers on {node} set up, none to be restarted, {} connections SMC-R; Ready after \
         {annotated:.0} s, a plain pod after {plain:.0} s",
        answers.connections
    ))
}

/// Fails unless `smcctl pods` knows all servers of the node as set up, with nothing to be said of them.
fn all_set_up(world: &World, node: &str) -> Result<()> {
    world.within(LIMIT, |world| {
        let mut said = world.verdicts(node, NAMESPACE)?;
        said.retain(|pod, _| pod.starts_with("annotated-"));
        let set_up = said.values().filter(|said| said.is_set_up()).count();
        ensure!(set_up == SERVERS, "{set_up} of {SERVERS} are set up: {said:?}");
        Ok(())
    })
}

/// Starts the servers and a plain pod, and waits until they are Ready.
fn start(world: &World, node: &str) -> Result<()> {
    start_later(world, node)?;
    for deployment in ["deployment/annotated", "deployment/plain"] {
        world.rolled_out(NAMESPACE, deployment)?;
    }
    Ok(())
}

/// Asks for them: they start once the node takes them.
fn start_later(world: &World, node: &str) -> Result<()> {
    let deployment = |name: &str, replicas: usize, annotations: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": {
                "replicas": replicas, "selector": { "matchLabels": { "app": name } },
                "progressDeadlineSeconds": 3600,
                "template": {
                    "metadata": { "labels": { "app": name }, "annotations": annotations },
                    "spec": {
                        "nodeSelector": { "kubernetes.io/hostname": node },
                        "automountServiceAccountToken": false,
                        "terminationGracePeriodSeconds": 1,
                        "containers": [{
                            "name": "fortio", "image": IMAGE,
                            // One server of the five that it has, for the emulated CPU's sake.
                            "args": ["server", "-grpc-port", "disabled", "-redirect-port", "disabled",
                                     "-tcp-port", "disabled", "-udp-port", "disabled"],
                            "readinessProbe": { "tcpSocket": { "port": 8080 }, "periodSeconds": 5, "timeoutSeconds": 10 },
                        }],
                    },
                },
            },
        })
    };
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } },
        deployment("annotated", SERVERS, json!({ ANNOTATION: "true" })),
        deployment("plain", 1, json!({})),
    ] });
    world.apply(&objects.to_string())
}

/// Takes pods and patches away again.
fn finish(world: &World, before: &BTreeSet<String>) -> Result<()> {
    world.kubectl(&["delete", "namespace", NAMESPACE, "--timeout=600s"])?;
    world.as_readme_says(&readme_command("kubectl apply -k daemonset/manifests")?)?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")?;
    forget_settings(world, before)
}
