//! The guide's walk: Fortio between two annotated pods, through a Service by its name.

use anyhow::{Context as _, Result, ensure};

use super::install::readme_command;
use crate::play::load::Connections;
use crate::play::world::{Pod, SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "fortio-smc-r",
        shows: "the example's pods speak SMC-R through their Service, and smcctl, doctor and logs agree",
        run: Run::Short,
        play: accelerated,
    },
    Scene {
        name: "fortio-tcp",
        shows: "without the annotation the same pods speak TCP, and back with it",
        run: Run::Long,
        play: not_annotated,
    },
];

/// The example's server.
pub(super) const SERVER: &str = "app=fortio-server";
/// The example's client.
pub(super) const CLIENT: &str = "app=fortio-client";
/// The example's image.
pub(super) const IMAGE: &str = "fortio/fortio:1.66.5";
/// By its name, as the example's comment has it.
pub(super) const URL: &str = "http://fortio-server:8080/echo";

fn accelerated(world: &mut World) -> Result<String> {
    world.as_readme_says(&readme_command("kubectl apply -k daemonset/examples/fortio")?)?;
    let (client, server) = pair(world)?;
    ensure!(client.node != server.node, "both pods are on {}", client.node);
    // kube-proxy learns of a pod that is ready a moment later; in ipvs mode connections are refused until then.
    world.eventually(|world| world.requests(&client, URL, 1, Connections::EachNew)?.all_right())?;
    let answers = world.requests(&client, URL, 20, Connections::EachNew)?.all_right()?;
    let mut seen = Vec::new();
    for pod in [&client, &server] {
        let verdict = world.eventually(|world| {
            let verdict = world.known_verdict(pod)?;
            ensure!(
                verdict.verdict == "active" && verdict.smc_r >= answers.right,
                "{}: {verdict:?}",
                pod.name
            );
            Ok(verdict)
        })?;
        ensure!(verdict.tcp == 0, "{} has {} connections on TCP: {verdict:?}", pod.name, verdict.tcp);
        seen.push(verdict.smc_r);
        world.all_fine(&pod.node)?;
        let agent = world.agent(&pod.node)?.name;
        let log = world.kubectl(&["logs", "-n", SYSTEM, &agent])?;
        let told = log
            .lines()
            .any(|line| line.contains(&pod.name) && line.contains("the kernel shows SMC-R connections"));
        ensure!(told, "the log of {agent} does not tell of the SMC-R connections of {}:\n{log}", pod.name);
    }
    Ok(format!(
        "{} requests; SMC-R connections: client {}, server {}; TCP 0",
        answers.right, seen[0], seen[1]
    ))
}

fn not_annotated(world: &mut World) -> Result<String> {
    annotate(world, "fortio-client", "false")?;
    let (client, server) = pair(world)?;
    ensure!(
        world.verdict(&client)?.is_none_or(|verdict| verdict.smc_r == 0),
        "an unannotated pod has a verdict"
    );
    let before = world.known_verdict(&server)?;
    let answers = world.requests(&client, URL, 20, Connections::EachNew)?.all_right()?;
    let after = world.eventually(|world| {
        let after = world.known_verdict(&server)?;
        ensure!(after.tcp >= before.tcp + answers.right, "before {before:?}, then {after:?}");
        Ok(after)
    })?;
    ensure!(after.smc_r == before.smc_r, "SMC-R without the client's annotation: {before:?}, then {after:?}");

    annotate(world, "fortio-client", "true")?;
    let (client, _) = pair(world)?;
    let again = world.requests(&client, URL, 20, Connections::EachNew)?.all_right()?;
    world.eventually(|world| {
        let verdict = world.known_verdict(&client)?;
        ensure!(verdict.smc_r >= again.right, "{verdict:?}");
        Ok(())
    })?;
    Ok(format!(
        "{} connections, all TCP at the server; {} SMC-R again after the annotation came back",
        after.tcp - before.tcp,
        again.right
    ))
}

/// Client and server when both are rolled out.
pub(super) fn pair(world: &World) -> Result<(Pod, Pod)> {
    for deployment in ["deployment/fortio-server", "deployment/fortio-client"] {
        world.rolled_out("default", deployment)?;
    }
    // The pods of before may still be on their way out.
    let pods = world.eventually(|world| Ok((world.pod("default", CLIENT)?, world.pod("default", SERVER)?)));
    pods.context("the example's pods")
}

/// Changes the annotation in a Deployment, which rolls it out.
pub(super) fn annotate(world: &World, deployment: &str, value: &str) -> Result<()> {
    let patch = format!(
        r#"{{"spec":{{"template":{{"metadata":{{"annotations":{{"{}":"{value}"}}}}}}}}}}"#,
        smc_model::ANNOTATION
    );
    world.kubectl(&["patch", "deployment", deployment, "-p", &patch]).map(drop)
}
