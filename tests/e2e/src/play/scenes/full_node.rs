//! As many pods on a node as a kubelet takes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::layout::PAUSE_IMAGE;
use serde_json::{Value, json};
use smc_model::ANNOTATION;

use super::install::quiet_start;
use super::kills::anew;
use super::rollout::configurations;
use crate::play::world::{PATIENCE, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "full-node",
    shows: "110 pods on a node: all set up, told by smcctl, kept by a new agent, and forgotten when they are gone",
    run: Run::Long,
    play: full,
}];

const NODE: &str = "node1";
const NAMESPACE: &str = "full";
const LABELS: &str = "app=full";
/// How many are started at a time: the kubelet asks for all at once, and waits two minutes for each, which is too short
/// for a hundred on one emulated CPU.
const STEP: usize = 8;
/// For all of them to go.
const LIMIT: Duration = Duration::from_secs(900);

fn full(world: &mut World) -> Result<String> {
    let played = fill(world);
    if played.is_err() {
        // What is played next finds a node as it was.
        let limit = format!("--timeout={}s", LIMIT.as_secs());
        world.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", &limit])?;
    }
    played
}

fn fill(world: &World) -> Result<String> {
    let node = world.json(&["get", "node", NODE])?;
    let most = node["status"]["allocatable"]["pods"].as_str().and_then(|most| most.parse::<usize>().ok());
    let most = most.context("the node does not say how many pods it takes")?;
    let field = format!("spec.nodeName={NODE},status.phase!=Succeeded,status.phase!=Failed");
    let already =
        world.kubectl(&["get", "pods", "-A", "--field-selector", &field, "-o", "name"])?.lines().count();
    let wanted = most - already;
    let (begun, written) = (Instant::now(), configurations(world)?);
    world.apply(&deployment().to_string())?;
    for replicas in (STEP..wanted).step_by(STEP).chain([wanted]) {
        world.kubectl(&["scale", "-n", NAMESPACE, "deployment/full", &format!("--replicas={replicas}")])?;
        world.within(PATIENCE * 2, |world| {
            let ready = world.pods(NAMESPACE, LABELS)?.iter().filter(|pod| pod.ready).count();
            ensure!(ready == replicas, "{ready} of {replicas} pods are Ready");
            Ok(())
        })?;
    }
    let started = begun.elapsed();
    let known = |world: &World| -> Result<usize> {
        Ok(world.verdicts(NODE, NAMESPACE)?.values().filter(|said| said.is_set_up()).count())
    };
    let all_known = |world: &World| {
        let known = known(world)?;
        ensure!(known == wanted, "smcctl pods knows {known} of {wanted} as set up");
        Ok(())
    };
    world.eventually(all_known)?;
    anew(world, NODE)?;
    world.eventually(all_known).context("by a new agent")?;
    let quiet = quiet_start(world)?;
    let memory = world.node(NODE)?.command(&["sh", "-ec", AGENT_MEMORY]).check()?;
    let memory = String::from_utf8_lossy(&memory.stdout).trim().to_owned();

    world.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"])?;
    world.within(LIMIT, |world| {
        let left = world.kubectl(&["get", "pods", "-n", NAMESPACE, "-o", "name"])?.lines().count();
        ensure!(left == 0, "{left} of {wanted} pods are still there");
        Ok(())
    })?;
    world.eventually(|world| {
        let known = known(world)?;
        ensure!(known == 0, "smcctl pods still knows {known} pods that are gone");
        Ok(())
    })?;
    let after = configurations(world)?;
    ensure!(
        after == written,
        "of the nodes' CNI configurations something was written:\n{written}then\n{after}"
    );
    Ok(format!(
        "{wanted} annotated pods beside {already} on {NODE}, all set up after {:.0} s, kept by a new agent \
         ({quiet}; {memory} MiB), all forgotten when they were gone; no CNI configuration was touched in {:.0} s",
        started.as_secs_f32(),
        begun.elapsed().as_secs_f32()
    ))
}

/// What the agent's own memory is, in MiB, as its limit counts it without what the kernel could drop.
const AGENT_MEMORY: &str = r#"group=/sys/fs/cgroup$(cut -d: -f3 /proc/$(pidof smc-agent)/cgroup)
    awk '/^anon /{ printf "%d", $2 / 1048576 }' $group/memory.stat"#;

fn deployment() -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } },
        { "apiVersion": "apps/v1", "kind": "Deployment",
          "metadata": { "name": "full", "namespace": NAMESPACE },
          "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "full" } },
                    "template": {
                        "metadata": { "labels": { "app": "full" }, "annotations": { ANNOTATION: "true" } },
                        "spec": {
                            "nodeSelector": { "kubernetes.io/hostname": NODE },
                            "automountServiceAccountToken": false,
                            "terminationGracePeriodSeconds": 1,
                            "containers": [{ "name": "pause", "image": PAUSE_IMAGE }],
                        } } } },
    ] })
}
