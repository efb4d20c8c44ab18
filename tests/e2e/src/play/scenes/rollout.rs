//! Agents that are replaced under load.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::fortio::{URL, pair};
use super::install::{quiet_start, readme_command};
use crate::play::load::{Answers, Connections};
use crate::play::world::{SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "agent-rollout",
    shows: "a rolling restart of the agents under load: no request fails, old connections go on",
    run: Run::Short,
    play: restart,
}];

fn restart(world: &mut World) -> Result<String> {
    let (begun, written) = (Instant::now(), configurations(world)?);
    let answers = under_load(world, |world| {
        world.kubectl(&["rollout", "restart", "-n", SYSTEM, "daemonset/smc-agent"])?;
        world
            .as_readme_says(&readme_command("kubectl -n kube-system rollout status daemonset/smc-agent")?)?;
        Ok(())
    })?;
    let took = begun.elapsed().as_secs_f32();
    let quiet = quiet_start(world)?;
    let after = configurations(world)?;
    ensure!(
        after == written,
        "of the nodes' CNI configurations something was written:\n{written}then\n{after}"
    );
    Ok(format!("{answers}; {took:.0} s for all nodes, {quiet}; no CNI configuration was touched"))
}

/// Every file and directory of all nodes' CNI configurations, with its inode and when it was changed: a runtime loads them
/// anew when one of these is another.
pub(super) fn configurations(world: &World) -> Result<String> {
    let mut all = String::new();
    for node in world.nodes() {
        let find = ["find", "/etc/cni/net.d", "-printf", r"%p %i %T@ %C@\n"];
        let found = world.node(&node)?.command(&find).check()?;
        let mut lines: Vec<String> = String::from_utf8(found.stdout)?.lines().map(str::to_owned).collect();
        lines.sort();
        all.extend(lines.iter().map(|line| format!("{node} {line}\n")));
    }
    Ok(all)
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
