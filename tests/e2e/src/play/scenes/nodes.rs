//! Nodes that are drained and rebooted.

use anyhow::{Result, ensure};
use rig::host::PowerCut;

use super::fortio::{URL, pair};
use super::workloads::set_up;
use crate::play::load::Connections;
use crate::play::world::{SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "drain-and-reboot",
        shows: "a node is drained, rebooted in order and uncordoned: its pods are right again",
        run: Run::Long,
        play: drained,
    },
    Scene {
        name: "power-cut",
        shows: "a node's power is cut with everything on it: its pods are right again",
        run: Run::Long,
        play: power_cut,
    },
];

/// Says nothing of a boot's progress.
pub(super) const QUIET: &(dyn Fn(&str) + Sync) = &|_| {};

fn drained(world: &mut World) -> Result<String> {
    let (_, server) = pair(world)?;
    let node = server.node;
    let drain =
        ["drain", &node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=180s"];
    world.kubectl(&drain)?;
    let before = boot_id(world, &node)?;
    world.cluster.rig().reboot(number(&node)?, PowerCut::Orderly, QUIET)?;
    world.kubectl(&["uncordon", &node])?;
    well_again(world, &node, &before)
}

fn power_cut(world: &mut World) -> Result<String> {
    let (client, _) = pair(world)?;
    let before = boot_id(world, &client.node)?;
    world.cluster.rig().reboot(number(&client.node)?, PowerCut::Sudden, QUIET)?;
    well_again(world, &client.node, &before)
}

/// Which boot of a node the API server knows of.
pub(super) fn boot_id(world: &World, node: &str) -> Result<String> {
    world.kubectl(&["get", "node", node, "-o", "jsonpath={.status.nodeInfo.bootID}"])
}

/// Fails unless node, agent and the example's pods are what they were, and speak SMC-R.
pub(super) fn well_again(world: &World, node: &str, boot_before: &str) -> Result<String> {
    // Until the kubelet speaks again, all that the API server shows is of before.
    world.eventually(|world| {
        ensure!(boot_id(world, node)? != boot_before, "the API server knows {node} by its boot of before");
        Ok(())
    })?;
    world.cluster.await_nodes(QUIET)?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")?;
    world.eventually(|world| {
        let (label, condition) = world.readiness(node)?;
        ensure!(label.as_deref() == Some("true"), "{node}: label {label:?}, condition {condition:?}");
        Ok(())
    })?;
    // Where both pods ended up on one node, the example's anti-affinity lets one of them start elsewhere.
    world.kubectl(&["rollout", "restart", "deployment/fortio-client", "deployment/fortio-server"])?;
    let (client, server) = pair(world)?;
    for pod in [&client, &server] {
        set_up(world, pod)?;
    }
    let answers = world.requests(&client, URL, 10, Connections::EachNew)?.all_right()?;
    world.eventually(|world| {
        let verdict = world.known_verdict(&client)?;
        ensure!(verdict.smc_r >= answers.right && verdict.tcp == 0, "{verdict:?}");
        Ok(())
    })?;
    world.all_fine(node)?;
    Ok(format!(
        "{node} Ready, labelled, doctor: All fine; {} of {} connections SMC-R",
        answers.right, answers.right
    ))
}

/// The rig's number of a node.
pub(super) fn number(node: &str) -> Result<u8> {
    Ok(node.trim_start_matches("node").parse()?)
}
