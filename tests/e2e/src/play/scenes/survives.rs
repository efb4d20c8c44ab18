//! Nodes short of something that the agent needs, and one that cannot be mended: it runs on, says so, and the rest goes its way.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::layout::{RDMA_DEVICE, RDMA_NIC};
use serde_json::{Value, json};

use super::access::edit_whole_list;
use super::kills::anew;
use crate::play::world::{AGENTS, SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "state-full",
        shows: "no room in the state directory while the node changes: the agent runs on, says so, and publishes when there is room",
        run: Run::Long,
        play: state_full,
    },
    Scene {
        name: "inotify-used-up",
        shows: "an agent that starts where inotify is used up is Ready, names the sysctl, and hears of pods all the same",
        run: Run::Long,
        play: inotify_used_up,
    },
    Scene {
        name: "rollout-past-a-broken-node",
        shows: "a node whose CNI list cannot be used keeps a new version of the agent from no other node",
        run: Run::Long,
        play: past_a_broken_node,
    },
];

const NODE: &str = "node1";
const BALLAST: &str = "/run/ballast";
const LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";
/// Long enough for several looks at the node.
const SHORT_OF_ROOM: Duration = Duration::from_secs(20);

fn shell(world: &World, script: &str) -> Result<String> {
    let output = world.node(NODE)?.command(&["sh", "-ec", script]).check()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn log_of(world: &World, agent: &str) -> Result<String> {
    world.kubectl(&["logs", "-n", SYSTEM, agent])
}

fn state_full(world: &mut World) -> Result<String> {
    let agent = world.agent(NODE)?;
    let node = world.node(NODE)?;
    let played = without_room(world);
    // What came of it or not, the node is as it was.
    shell(world, &format!("rm -f {BALLAST} {BALLAST}2"))?;
    let published = played.and_then(|before| {
        // The facts without the device are written as soon as there is room for them.
        world.eventually(|world| {
            let now = facts(world)?;
            ensure!(now != before && now.contains(r#""ports":[]"#), "node.json is {now}");
            Ok(())
        })
    });
    node.command(&["rdma", "link", "add", RDMA_DEVICE, "type", "rxe", "netdev", RDMA_NIC]).check()?;
    published?;
    world.eventually(|world| world.all_fine(NODE))?;
    let log = log_of(world, &agent.name)?;
    for part in ["is there room in /run/kube-smc?", "no longer: state: cannot write"] {
        ensure!(log.contains(part), "{part:?} is not in the log of {}:\n{log}", agent.name);
    }
    let after = world.agent(NODE)?;
    ensure!((&after.name, after.restarts) == (&agent.name, agent.restarts), "{agent:?}, then {after:?}");
    Ok(format!(
        "the RDMA device gone for {} s without room: said, not restarted, published when there was room; all fine with the device",
        SHORT_OF_ROOM.as_secs()
    ))
}

fn facts(world: &World) -> Result<String> {
    shell(world, "cat /run/kube-smc/node.json")
}

/// Fills the file system, takes the RDMA device away, and leaves both so. Returns what is published.
fn without_room(world: &World) -> Result<String> {
    let before = facts(world)?;
    // All that there is, and then what is left in smaller pieces.
    let fill = |file: &str, size: &str| format!("dd if=/dev/zero of={file} bs={size} 2>/dev/null || :");
    shell(world, &fill(BALLAST, "1M"))?;
    shell(world, &fill(&format!("{BALLAST}2"), "4k"))?;
    world.node(NODE)?.command(&["rdma", "link", "delete", RDMA_DEVICE]).check()?;
    sleep(SHORT_OF_ROOM);
    ensure!(facts(world)? == before, "node.json was written where there was no room");
    Ok(before)
}

fn inotify_used_up(world: &mut World) -> Result<String> {
    let limit = shell(world, &format!("cat {LIMIT}"))?;
    shell(world, &format!("echo 0 >{LIMIT}"))?;
    let played = without_inotify(world);
    shell(world, &format!("echo {limit} >{LIMIT}"))?;
    let played = played?;
    world.eventually(|world| {
        let log = log_of(world, &world.agent(NODE)?.name)?;
        ensure!(log.contains("no longer: records"), "{log}");
        Ok(())
    })?;
    Ok(format!("{played}; watched again when there was one"))
}

fn without_inotify(world: &World) -> Result<String> {
    anew(world, NODE)?;
    let agent = world.agent(NODE)?;
    let log = log_of(world, &agent.name)?;
    ensure!(log.contains("fs.inotify.max_user_instances"), "{log}");
    let doctor = world.smcctl(NODE, &["doctor"])?;
    ensure!(doctor.contains("fs.inotify.max_user_instances"), "smcctl doctor:\n{doctor}");
    let verdict = super::outages::verdict_of_new_pod(world, "unwatched", NODE)?.verdict;
    ensure!(verdict == "configured", "{verdict}");
    Ok("Ready, the sysctl named in its log and by smcctl doctor, a pod set up and known".to_owned())
}

fn past_a_broken_node(world: &mut World) -> Result<String> {
    let mut version = Value::Null;
    edit_whole_list(world, NODE, |list| {
        version = std::mem::replace(&mut list["cniVersion"], json!("0.2.0"));
    })?;
    let played = roll_out(world);
    edit_whole_list(world, NODE, |list| list["cniVersion"] = version)?;
    let played = played?;
    world.eventually(|world| world.all_fine(NODE))?;
    Ok(played)
}

fn roll_out(world: &World) -> Result<String> {
    let said = world.eventually(|world| {
        let (_, condition) = world.readiness(NODE)?;
        let (status, reason) = condition.context("no condition")?;
        ensure!(status != "True", "{NODE} is {status} ({reason})");
        Ok(reason)
    })?;
    let names = |world: &World| -> Result<Vec<String>> {
        Ok(world.pods(SYSTEM, AGENTS)?.into_iter().filter(|pod| !pod.deleted).map(|pod| pod.name).collect())
    };
    let (before, begun) = (names(world)?, Instant::now());
    world.kubectl(&["rollout", "restart", "-n", SYSTEM, "daemonset/smc-agent"])?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")?;
    let after = names(world)?;
    ensure!(
        after.len() == world.nodes().len() && after.iter().all(|name| !before.contains(name)),
        "{before:?}, then {after:?}"
    );
    let (_, condition) = world.readiness(NODE)?;
    ensure!(condition.as_ref().is_some_and(|(status, _)| status != "True"), "{condition:?}");
    Ok(format!(
        "{NODE} said {said} all the time; all {} agents new after {:.0} s",
        after.len(),
        begun.elapsed().as_secs_f32()
    ))
}
