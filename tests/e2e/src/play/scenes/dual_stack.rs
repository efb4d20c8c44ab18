//! A cluster whose pods have addresses of both families.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::fortio::pair;
use crate::play::load::Connections;
use crate::play::world::World;
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "both-families",
    shows: "annotated pods with IPv4 and IPv6: a Service answers by either, and what IPv6 cannot have is said",
    run: Run::DualStack,
    play: both_families,
}];

const SERVICE: &str = "both-families";

fn both_families(world: &mut World) -> Result<String> {
    let (client, server) = pair(world)?;
    for pod in [&client, &server] {
        let object = world.json(&["get", "pod", &pod.name])?;
        let addresses = object["status"]["podIPs"].as_array().map_or(0, Vec::len);
        ensure!(addresses == 2, "{} has {addresses} addresses: {}", pod.name, object["status"]["podIPs"]);
    }
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": SERVICE },
        "spec": { "selector": { "app": "fortio-server" }, "ports": [{ "port": 8080 }],
                  "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"] },
    });
    world.apply(&service.to_string())?;
    let object = world.json(&["get", "service", SERVICE])?;
    let address = |index: usize| -> Result<String> {
        object["spec"]["clusterIPs"][index]
            .as_str()
            .map(str::to_owned)
            .context("the Service lacks an address")
    };
    let (first, second) = (address(0)?, address(1)?);

    let mut seen = Vec::new();
    for (family, url) in
        [("IPv4", format!("http://{first}:8080/echo")), ("IPv6", format!("http://[{second}]:8080/echo"))]
    {
        // kube-proxy may have heard of the Service a moment ago.
        world.eventually(|world| world.requests(&client, &url, 1, Connections::EachNew)?.all_right())?;
        let before = world.known_verdict(&client)?;
        let answers = world.requests(&client, &url, 20, Connections::EachNew)?.all_right()?;
        let after = world.eventually(|world| {
            let after = world.known_verdict(&client)?;
            let counted = after.smc_r + after.tcp - before.smc_r - before.tcp;
            ensure!(counted >= answers.right, "{counted} connections counted: {before:?}, then {after:?}");
            Ok(after)
        })?;
        let (smc_r, tcp) = (after.smc_r - before.smc_r, after.tcp - before.tcp);
        ensure!(family == "IPv6" || tcp == 0, "{tcp} connections over IPv4 are TCP: {after:?}");
        seen.push(format!("{family}: {} answered, {smc_r} SMC-R, {tcp} TCP", answers.right));
    }
    // SMC-R v2 is not offered over IPv6. That is said, by its name, of the pod that tried, and nothing else is wrong.
    world.eventually(|world| {
        let warnings = world.events_on("default", &client.name, "Warning")?;
        ensure!(!warnings.is_empty(), "no Event tells of the connections that are TCP");
        ensure!(warnings.iter().all(|(reason, _)| reason == "Ipv6Socket"), "{warnings:?}");
        Ok(())
    })?;
    let warnings = world.events_on("default", &server.name, "Warning")?;
    ensure!(warnings.is_empty(), "{}: {warnings:?}", server.name);
    seen.push("told by an Event: Ipv6Socket".to_owned());
    world.kubectl(&["delete", "service", SERVICE, "--wait=false"])?;
    Ok(seen.join("; "))
}
