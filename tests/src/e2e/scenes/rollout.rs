//! Agents that are replaced under load.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::fortio::{URL, pair};
use super::install::{quiet_start, readme_command};
use crate::e2e::load::{Answers, Connections};
use crate::e2e::world::{SYSTEM, World};
use crate::e2e::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "agent-rollout",
    shows: "a rolling restart of the agents under load: no request fails, old connections go on",
    run: Run::Short,
    play: restart,
}];

fn restart(world: &mut World) -> Result<String> {
    let begun = Instant::now();
    let answers = under_load(world, |world| {
        world.kubectl(&["rollout", "restart", "-n", SYSTEM, "daemonset/smc-agent"])?;
        world
            .as_readme_says(&readme_command("kubectl -n kube-system rollout status daemonset/smc-agent")?)?;
        Ok(())
    })?;
    let took = begun.elapsed().as_secs_f32();
    let quiet = quiet_start(world)?;
    Ok(format!("{answers}; {took:.0} s for all nodes, {quiet}"))
}

/// Does something to the cluster while the example's client asks its server, over connections that last and over new ones.
/// Fails when a request does, or when a lasting connection does not last. Returns what was answered, in words.
pub(super) fn under_load(world: &World, work: impl FnOnce(&World) -> Result<()>) -> Result<String> {
    let (client, _) = pair(world)?;
    let lasting = world.load(&client, URL, Connections::Lasting)?;
    let new = world.load(&client, URL, Connections::EachNew)?;
    // Connections of both kinds are there before anything happens.
    sleep(Duration::from_secs(3));
    let worked = work(world);
    sleep(Duration::from_secs(2));
    let (lasting, new) = (lasting.stop(), new.stop());
    worked?;
    let (lasting, new) = (lasting?, new?);
    let Answers { right: kept, connections, .. } = lasting;
    ensure!(connections <= 2, "{connections} connections were opened where two should have lasted");
    Ok(format!(
        "{} of {} requests answered, {kept} over 2 connections that lasted, 0 failed",
        kept + new.right,
        kept + new.right
    ))
}
