//! Services whose backends are of every kind.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use smc_model::ANNOTATION;

use super::fortio::{IMAGE, pair};
use crate::e2e::load::Connections;
use crate::e2e::world::World;
use crate::e2e::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "mixed-service",
    shows: "a Service over an annotated far, an annotated near and a plain backend answers every request",
    run: Run::Short,
    play: mixed,
}];

const URL: &str = "http://mixed:8080/echo";

fn mixed(world: &mut World) -> Result<String> {
    let (client, server) = pair(world)?;
    let backends = [
        ("mixed-far", &server.node, "true"),
        ("mixed-near", &client.node, "true"),
        ("mixed-plain", &server.node, "false"),
    ];
    let pods = backends.iter().map(|(name, node, annotated)| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "labels": { "app": "mixed" }, "annotations": { ANNOTATION: annotated } },
            "spec": {
                "nodeName": node,
                "containers": [{
                    "name": "fortio", "image": IMAGE, "args": ["server"],
                    "readinessProbe": { "tcpSocket": { "port": 8080 } },
                }],
            },
        })
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "mixed" },
        "spec": { "selector": { "app": "mixed" }, "ports": [{ "port": 8080 }] },
    });
    let items: Vec<Value> = pods.chain([service]).collect();
    world.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string())?;
    world.kubectl(&["wait", "pod", "-l", "app=mixed", "--for=condition=Ready", "--timeout=180s"])?;

    let before = world.known_verdict(&client)?;
    let answers = world.requests(&client, URL, 60, Connections::EachNew)?.all_right()?;
    let after = world.eventually(|world| {
        let after = world.known_verdict(&client)?;
        let counted = after.smc_r + after.tcp - before.smc_r - before.tcp;
        ensure!(counted >= answers.right, "{counted} connections counted of {}: {after:?}", answers.right);
        Ok(after)
    })?;
    let (smc_r, tcp) = (after.smc_r - before.smc_r, after.tcp - before.tcp);
    ensure!(
        smc_r > 0 && tcp > 0,
        "of {} connections {smc_r} SMC-R and {tcp} TCP: one backend is missing",
        answers.right
    );
    world.kubectl(&["delete", "pod,service", "-l", "app=mixed", "--wait=false"])?;
    world.kubectl(&["delete", "service", "mixed", "--wait=false"])?;
    Ok(format!(
        "{} requests answered: {smc_r} SMC-R (far), {tcp} TCP (near, plain); client {}",
        answers.right, after.verdict
    ))
}
