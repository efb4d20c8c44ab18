//! ASM's switch, as a real API server has it: the resource not there, then on, then off.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::fortio::{URL, pair};
use super::upgrade::{forget_settings, settings};
use crate::e2e::load::Connections;
use crate::e2e::world::{Pod, SYSTEM, World};
use crate::e2e::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "mesh-switch",
    shows: "overlays/ack without ASM's resource says so; smcEnabled true and false switch running pods",
    run: Run::Long,
    play: switch,
}];

const RESOURCE: &str = "daemonset/manifests/base/crd-asmmeshconfig.yaml";

fn switch(world: &mut World) -> Result<String> {
    let ((client, server), before) = (pair(world)?, settings(world)?);
    world.as_readme_says("kubectl apply -k daemonset/manifests/overlays/ack")?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")?;
    let missing = told(world, "False", "MeshResourceMissing").and_then(|()| {
        let agent = world.agent("node1")?;
        ensure!(agent.ready, "the agent is not Ready for want of a mesh: {agent:?}");
        speak(world, &client, false).context("without ASM's resource")
    });
    let switched = missing.and_then(|()| {
        world.as_readme_says(&format!("kubectl apply -f {RESOURCE}"))?;
        world.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd/asmmeshconfigs.istio.alibabacloud.com",
        ])?;
        for (enabled, status, reason) in [(true, "True", ""), (false, "False", "MeshOff"), (true, "True", "")]
        {
            world.apply(&mesh_config(enabled).to_string())?;
            told(world, status, reason).with_context(|| format!("smcEnabled {enabled}"))?;
            speak(world, &client, enabled).with_context(|| format!("smcEnabled {enabled}"))?;
        }
        Ok(())
    });
    // What came of it or not, the next scene finds the cluster as this one did.
    world.kubectl(&["delete", "crd", "asmmeshconfigs.istio.alibabacloud.com", "--ignore-not-found"])?;
    world.as_readme_says("kubectl apply -k daemonset/manifests")?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")?;
    forget_settings(world, &before)?;
    switched?;
    told(world, "True", "")?;
    let now = pair(world)?;
    ensure!(now == (client, server), "pods were replaced: {now:?}");
    Ok("MeshResourceMissing told, TCP; true: SMC-R; false: MeshOff, TCP; true: SMC-R; no pod replaced"
        .to_owned())
}

fn mesh_config(enabled: bool) -> Value {
    json!({
        "apiVersion": "istio.alibabacloud.com/v1beta1", "kind": "ASMMeshConfig", "metadata": { "name": "default" },
        "spec": { "cniConfiguration": { "smcEnabled": enabled } },
    })
}

/// Waits until every node's condition has this status and, where one is given, reason.
fn told(world: &World, status: &str, reason: &str) -> Result<()> {
    world.eventually(|world| {
        for node in world.nodes() {
            let (_, condition) = world.readiness(&node)?;
            let is = condition
                .as_ref()
                .is_some_and(|(is, why)| is == status && (reason.is_empty() || why == reason));
            ensure!(is, "{node}: condition {condition:?}, not {status} {reason}");
        }
        Ok(())
    })
}

/// Makes new connections, and fails unless they are SMC-R, or TCP.
fn speak(world: &World, client: &Pod, smc_r: bool) -> Result<()> {
    // Connections that are older were made before the switch; only what is added counts.
    let before = world.verdict(client)?.unwrap_or_default();
    let answers = world.requests(client, URL, 10, Connections::EachNew)?.all_right()?;
    if !smc_r {
        let after = world.verdict(client)?.unwrap_or_default();
        ensure!(after.smc_r <= before.smc_r, "SMC-R while it is switched off: {before:?}, then {after:?}");
        return Ok(());
    }
    world.eventually(|world| {
        let after = world.known_verdict(client)?;
        ensure!(after.smc_r >= before.smc_r + answers.right, "{before:?}, then {after:?}");
        Ok(())
    })
}
