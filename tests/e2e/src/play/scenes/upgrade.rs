//! One version of kube-smc replaced by another under load, there and back.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fortio::{URL, pair};
use super::install::readme_command;
use super::rollout::under_load;
use super::workloads::set_up;
use crate::play::load::Connections;
use crate::play::overlay::overlay;
use crate::play::world::{AGENTS, SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "upgrade-and-rollback",
    shows: "back to an older version and up again by apply and by rollout undo, each under load: no request fails",
    run: Run::Long,
    play: upgrade_and_rollback,
}];

const DAEMONSET: &str = "daemonset/smc-agent";

fn upgrade_and_rollback(world: &mut World) -> Result<String> {
    let old = world.old_manifests.clone();
    let old = old.context("the older version is not given: hack/e2e builds it, and says --old-manifests")?;
    // As that version's README has it for clusters without a mesh.
    let old = patient(&old.join("overlays/generic-roce"))?;
    let old = old.path().display().to_string();
    let done = there_and_back(world, &old);
    if done.is_err() {
        // What is played next is played with this version.
        world.as_readme_says(&readme_command("kubectl apply -k daemonset/manifests")?)?;
        world.rolled_out(SYSTEM, DAEMONSET)?;
    }
    done
}

fn there_and_back(world: &World, old: &str) -> Result<String> {
    let (mut said, before) = (Vec::new(), settings(world)?);
    let mut change = |what: &str, to_new: bool, command: &dyn Fn(&World) -> Result<()>| -> Result<()> {
        let answers = under_load(world, |world| {
            command(world)?;
            world.rolled_out(SYSTEM, DAEMONSET)
        });
        let answers = answers.with_context(|| what.to_owned())?;
        agents_are(world, to_new).with_context(|| format!("after the {what}"))?;
        if to_new {
            all_well(world).with_context(|| format!("after the {what}"))?;
        } else {
            // So that the version after it finds a pod that the old one's plugin has set up.
            world.kubectl(&["rollout", "restart", "deployment/fortio-client"])?;
            pair(world)?;
        }
        said.push(format!("{what}: {answers}"));
        Ok(())
    };
    change("rollback", false, &|world| world.kubectl(&["apply", "-k", old]).map(drop))?;
    change("upgrade", true, &|world| {
        world.as_readme_says(&readme_command("kubectl apply -k daemonset/manifests")?).map(drop)
    })?;
    let undo: &dyn Fn(&World) -> Result<()> =
        &|world| world.kubectl(&["rollout", "undo", "-n", SYSTEM, DAEMONSET]).map(drop);
    change("undo", false, undo)?;
    change("undo of the undo", true, undo)?;

    let daemonset = world.json(&["get", "-n", SYSTEM, DAEMONSET])?;
    let used = &daemonset["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"];
    ensure!(before.iter().any(|name| used == name.as_str()), "the agents use {used}, not one of {before:?}");
    forget_settings(world, &before)?;
    Ok(said.join("; "))
}

/// Deletes the ConfigMaps of the agents that were not there before. Kustomize names them by what they say, and kubectl apply
/// deletes none: `rollout undo` needs them.
pub(super) fn forget_settings(world: &World, before: &BTreeSet<String>) -> Result<()> {
    for name in settings(world)?.difference(before) {
        world.kubectl(&["delete", "-n", SYSTEM, "configmap", name])?;
    }
    Ok(())
}

/// The older version with more time: it has no startup probe, and an emulated node, busy besides, starts an agent at
/// 100m CPU more slowly than its liveness probe waits. Nothing else of it is changed.
fn patient(old: &Path) -> Result<TempDir> {
    let probe = "/spec/template/spec/containers/0/livenessProbe";
    let patch = json!([
        { "op": "replace", "path": format!("{probe}/initialDelaySeconds"), "value": 300 },
        { "op": "add", "path": format!("{probe}/timeoutSeconds"), "value": 30 },
    ]);
    let old = old.canonicalize().with_context(|| format!("look for {}", old.display()))?;
    overlay(&old, &json!({ "patches": [{ "target": { "kind": "DaemonSet" }, "patch": patch.to_string() }] }))
}

/// Fails unless a Ready agent of this version or of the older one, and none of the other, is on every node, and none was restarted.
fn agents_are(world: &World, to_new: bool) -> Result<()> {
    let new = format!("kube-smc.local/kube-smc:{}", env!("CARGO_PKG_VERSION"));
    world.eventually(|world| {
        let list = world.json(&["get", "pods", "-n", SYSTEM, "-l", AGENTS])?;
        let images = list["items"].as_array().into_iter().flatten();
        let images: Vec<&Value> = images.map(|pod| &pod["spec"]["containers"][0]["image"]).collect();
        ensure!(
            images.len() == world.nodes().len()
                && images.iter().all(|image| (*image == new.as_str()) == to_new),
            "agents run {images:?}"
        );
        let agents = world.pods(SYSTEM, AGENTS)?;
        ensure!(agents.iter().all(|agent| agent.ready && agent.restarts == 0), "{agents:?}");
        Ok(())
    })
}

/// Fails unless nodes and the example's pods are as a first install leaves them.
fn all_well(world: &World) -> Result<()> {
    for node in world.nodes() {
        world.eventually(|world| {
            world.all_fine(&node)?;
            let (label, condition) = world.readiness(&node)?;
            ensure!(label.as_deref() == Some("true"), "{node}: label {label:?}, condition {condition:?}");
            Ok(())
        })?;
    }
    let (client, server) = pair(world)?;
    for pod in [&client, &server] {
        set_up(world, pod)?;
    }
    let before = world.known_verdict(&client)?;
    let answers = world.requests(&client, URL, 10, Connections::EachNew)?.all_right()?;
    world.eventually(|world| {
        let after = world.known_verdict(&client)?;
        ensure!(
            after.smc_r >= before.smc_r + answers.right && after.tcp == before.tcp,
            "of {} new connections not all are SMC-R: before {before:?}, then {after:?}",
            answers.right
        );
        Ok(())
    })
}

/// The names of the agents' ConfigMaps.
pub(super) fn settings(world: &World) -> Result<BTreeSet<String>> {
    let names = world.kubectl(&["get", "configmaps", "-n", SYSTEM, "-o", "name"])?;
    let names = names.lines().filter_map(|name| name.strip_prefix("configmap/"));
    Ok(names.filter(|name| name.starts_with("smc-agent-")).map(str::to_owned).collect())
}
