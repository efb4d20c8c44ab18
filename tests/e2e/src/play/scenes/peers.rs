//! Who may speak SMC with accelerated pods, said in a ConfigMap that kubelet mounts.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::fortio::{URL, pair};
use crate::play::load::Connections;
use crate::play::world::{SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "inbound-peers",
    shows: "ranges in the ConfigMap smc-settings keep others on TCP without a restart, wrong ones change nothing and are told, and nobody \
            is blamed",
    run: Run::Long,
    play,
}];

/// kubelet looks at ConfigMaps when it looks at the pod, at least once in a minute and a half.
const KUBELETS: Duration = Duration::from_secs(180);

fn play(world: &mut World) -> Result<String> {
    let (client, server) = pair(world)?;
    let agents = agents(world)?;
    let before = world.known_verdict(&server)?;

    let took = allow(world, "192.0.2.0/24", "only 192.0.2.0/24")?;
    let kept_out = world.requests(&client, URL, 10, Connections::EachNew)?.all_right()?;
    let after = world.eventually(|world| {
        let after = world.known_verdict(&server)?;
        ensure!(after.tcp >= before.tcp + kept_out.right, "before {before:?}, then {after:?}");
        Ok(after)
    })?;
    ensure!(after.smc_r == before.smc_r, "SMC-R from none of the ranges: {before:?}, then {after:?}");
    for pod in [&client, &server] {
        let verdict = world.known_verdict(pod)?;
        ensure!(verdict.is_set_up(), "{} is blamed: {verdict:?}", pod.name);
    }

    allow(world, "10.0.0.5/8", "write 10.0.0.0/8 for the range")?;
    world.requests(&client, URL, 5, Connections::EachNew)?.all_right()?;
    let still = world.known_verdict(&server)?;
    ensure!(still.smc_r == before.smc_r, "wrong ranges let others in: {still:?}");

    allow(world, "", "AnyPeerAllowed")?;
    let let_in = world.requests(&client, URL, 10, Connections::EachNew)?.all_right()?;
    world.eventually(|world| {
        let verdict = world.known_verdict(&server)?;
        ensure!(verdict.smc_r >= before.smc_r + let_in.right, "{verdict:?}");
        Ok(())
    })?;
    for node in world.nodes() {
        world.all_fine(&node)?;
    }
    ensure!(self::agents(world)? == agents, "an agent was restarted for it");
    Ok(format!(
        "{} connections TCP, in force on all nodes {:.0} s after the ConfigMap's change, which is kubelet's; 10 SMC-R again without \
         ranges; no agent restarted",
        kept_out.right,
        took.as_secs_f32()
    ))
}

/// Says who may, and waits until `smcctl doctor` on every node tells this.
fn allow(world: &World, ranges: &str, told: &str) -> Result<Duration> {
    let patch = json!({ "data": { "inbound-peers": ranges } }).to_string();
    world.kubectl(&["patch", "configmap", "smc-settings", "-n", SYSTEM, "--type=merge", "-p", &patch])?;
    let said = Instant::now();
    world.within(KUBELETS, |world| {
        for node in world.nodes() {
            let doctor = world.smcctl(&node, &["doctor"])?;
            ensure!(doctor.contains(told), "{node}:\n{doctor}");
        }
        Ok(said.elapsed())
    })
}

/// The agents' pods, and how often they were restarted.
fn agents(world: &World) -> Result<Vec<(String, u64)>> {
    let agents = world.nodes().iter().map(|node| world.agent(node)).collect::<Result<Vec<_>>>()?;
    Ok(agents.into_iter().map(|agent| (agent.name, agent.restarts)).collect())
}
