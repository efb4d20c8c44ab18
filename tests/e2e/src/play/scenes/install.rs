//! kube-smc comes onto a cluster as README says.

use anyhow::{Context as _, Result, ensure};
use rig::host::repository;

use crate::play::world::{AGENTS, SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "install",
    shows: "README's manifests install kube-smc: agents Ready, nodes labelled, nothing Unhealthy on the way",
    run: Run::Short,
    play: install,
}];

fn install(world: &mut World) -> Result<String> {
    world.as_readme_says(&readme_command("kubectl apply -k daemonset/manifests")?)?;
    world.as_readme_says(&readme_command("kubectl -n kube-system rollout status daemonset/smc-agent")?)?;
    let nodes = world.nodes();
    for node in &nodes {
        world.eventually(|world| {
            let (label, condition) = world.readiness(node)?;
            let ready = condition.as_ref().is_some_and(|(status, _)| status == "True");
            ensure!(
                label.as_deref() == Some("true") && ready,
                "{node}: label {label:?}, condition {condition:?}"
            );
            Ok(())
        })?;
    }
    let quiet = quiet_start(world)?;
    Ok(format!("{} agents Ready, nodes labelled, {quiet}", nodes.len()))
}

/// Fails unless agents start without a Warning. A start that this machine stalled (its emulated CPUs share two real ones with
/// whatever else runs) is made once more; two such starts are no accident. Returns what was seen, in words.
pub(super) fn quiet_start(world: &World) -> Result<String> {
    let Err(first) = no_warnings(world) else { return Ok("no Warning".to_owned()) };
    world.kubectl(&["rollout", "restart", "-n", SYSTEM, "daemonset/smc-agent"])?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")?;
    no_warnings(world).with_context(|| format!("again after the first start ({first:#})"))?;
    Ok(format!("no Warning at the second start (the first: {first:#})"))
}

/// Fails when an agent was restarted, or a Warning says that something was not well with one.
fn no_warnings(world: &World) -> Result<()> {
    // Of those that are gone, the kubelet may have probed one while it ended.
    for agent in world.pods(SYSTEM, AGENTS)?.iter().filter(|agent| !agent.deleted) {
        ensure!(agent.restarts == 0, "{} was restarted {} time(s)", agent.name, agent.restarts);
        let warnings = world.events_on(SYSTEM, &agent.name, "Warning")?;
        ensure!(warnings.is_empty(), "{}: {warnings:?}", agent.name);
    }
    Ok(())
}

/// The line of README that begins so, without its comment. What is not there, no reader can run.
pub(super) fn readme_command(beginning: &str) -> Result<String> {
    let readme = std::fs::read_to_string(repository().join("README.md"))?;
    command_in(&readme, beginning).with_context(|| format!("README.md has no line {beginning:?}"))
}

fn command_in(readme: &str, beginning: &str) -> Option<String> {
    let commands = readme.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    commands.into_iter().find(|command| *command == beginning).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_whole_and_without_its_comment() {
        let readme = "text\n    kubectl apply -k a/b   # why\nkubectl apply -k a/b/c\n";
        assert_eq!(command_in(readme, "kubectl apply -k a/b").as_deref(), Some("kubectl apply -k a/b"));
        assert_eq!(command_in(readme, "kubectl apply -k a"), None);
    }
}
