//! Policy `required`: annotated pods wait for what they ask for, and nothing else does, whatever is missing on a node.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::host::PowerCut;
use rig::layout::{PAUSE_IMAGE, RDMA_DEVICE, RDMA_NIC};
use serde_json::{Value, json};

use super::access::edit_whole_list;
use super::install::readme_command;
use super::nodes::{QUIET, boot_id, number};
use super::outages::start_annotated;
use super::upgrade::{forget_settings, settings};
use crate::play::overlay::{manifests, overlay};
use crate::play::world::{AGENTS, SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "required",
    shows: "policy required without an RDMA device, without an agent, and after a reboot without one: the node stays Ready, plain \
            pods start, annotated ones say why not",
    run: Run::Long,
    play: required,
}];

const NODE: &str = "node2";
const ANNOTATED: &str = "wants-rdma";
const PLAIN: &str = "plain";
/// Longer than the kubelet and the runtime need to tell of a network that they hold for not ready.
const SETTLED: Duration = Duration::from_secs(45);

fn required(world: &mut World) -> Result<String> {
    let before = settings(world)?;
    let version =
        world.kubectl(&["get", "node", NODE, "-o", "jsonpath={.status.nodeInfo.containerRuntimeVersion}"])?;
    // By this version runtimes ask plugins for their STATUS; older ones do not know it.
    let list_version = if version.starts_with("containerd://1.") { "1.0.0" } else { "1.1.0" };
    let own_version = |list: &mut Value| std::mem::replace(&mut list["cniVersion"], json!(list_version));
    let mut own = Value::Null;
    edit_whole_list(world, NODE, |list| own = own_version(list))?;
    let patch = json!([{ "op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--policy=required" }]);
    let target = json!({ "kind": "DaemonSet", "name": "smc-agent" });
    let changed =
        overlay(&manifests(), &json!({ "patches": [{ "target": target, "patch": patch.to_string() }] }))?;
    world.kubectl(&["apply", "-k", &changed.path().display().to_string()])?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")?;
    let played = play(world);
    // What came of it or not, the next scene finds the cluster as this one did.
    for pod in [ANNOTATED, PLAIN] {
        world.kubectl(&["delete", "pod", pod, "--ignore-not-found", "--timeout=120s"])?;
    }
    edit_whole_list(world, NODE, |list| list["cniVersion"] = own)?;
    world.as_readme_says(&readme_command("kubectl apply -k daemonset/manifests")?)?;
    world.kubectl(&["patch", "-n", SYSTEM, "daemonset/smc-agent", "--type=merge", "-p", &everywhere()])?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")?;
    forget_settings(world, &before)?;
    Ok(format!("{version}, a list of {list_version}: {}", played?))
}

fn play(world: &World) -> Result<String> {
    let device = world.node(NODE)?;
    device.command(&["rdma", "link", "delete", RDMA_DEVICE]).check()?;
    let without_device = ready_for_plain_pods_only(world, "NoRdmaDevice").context("without an RDMA device");
    device.command(&["rdma", "link", "add", RDMA_DEVICE, "type", "rxe", "netdev", RDMA_NIC]).check()?;
    without_device?;
    starts_at_last(world).context("with the RDMA device again")?;

    world.kubectl(&["patch", "-n", SYSTEM, "daemonset/smc-agent", "--type=merge", "-p", &nowhere()])?;
    world.eventually(|world| {
        let agents = world.pods(SYSTEM, AGENTS)?;
        ensure!(agents.is_empty(), "{agents:?}");
        Ok(())
    })?;
    let boot = boot_id(world, NODE)?;
    world.cluster.rig().reboot(number(NODE)?, PowerCut::Sudden, QUIET)?;
    world.eventually(|world| {
        ensure!(boot_id(world, NODE)? != boot, "{NODE} was not heard of since");
        Ok(())
    })?;
    ready_for_plain_pods_only(world, "AgentNotReady").context("rebooted without an agent")?;
    world.kubectl(&["patch", "-n", SYSTEM, "daemonset/smc-agent", "--type=merge", "-p", &everywhere()])?;
    world.rolled_out(SYSTEM, "daemonset/smc-agent")?;
    starts_at_last(world).context("with an agent again")?;
    Ok("without an RDMA device, and rebooted without an agent, the node was Ready and a plain pod started; the annotated one said \
        NoRdmaDevice and AgentNotReady, and started by itself afterwards"
        .to_owned())
}

/// Fails unless the node is Ready and stays so, a plain pod starts, and an annotated one says this.
fn ready_for_plain_pods_only(world: &World, reason: &str) -> Result<()> {
    world.cluster.await_nodes(QUIET)?;
    sleep(SETTLED);
    let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
    let ready = world.kubectl(&["get", "node", NODE, "-o", path])?;
    ensure!(ready == "True", "{NODE}'s Ready is {ready}");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": PLAIN },
        "spec": { "nodeName": NODE, "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false,
                  "containers": [{ "name": "pause", "image": PAUSE_IMAGE }] },
    });
    world.apply(&pod.to_string())?;
    start_annotated(world, ANNOTATED, Some(NODE))?;
    world.kubectl(&["wait", &format!("pod/{PLAIN}"), "--for=condition=Ready", "--timeout=180s"])?;
    world.eventually(|world| {
        let said = world.events_on("default", ANNOTATED, "Warning")?;
        ensure!(said.iter().any(|(_, message)| message.contains(reason)), "{ANNOTATED} says {said:?}");
        Ok(())
    })?;
    world.kubectl(&["delete", "pod", PLAIN, "--timeout=120s"])?;
    Ok(())
}

/// Fails unless the annotated pod starts by itself; it is ended then.
fn starts_at_last(world: &World) -> Result<()> {
    world.kubectl(&["wait", &format!("pod/{ANNOTATED}"), "--for=condition=Ready", "--timeout=300s"])?;
    world.kubectl(&["delete", "pod", ANNOTATED, "--timeout=120s"])?;
    Ok(())
}

/// Where the agents may run: on no node.
fn nowhere() -> String {
    json!({ "spec": { "template": { "spec": { "nodeSelector": { "no-such-label": "true" } } } } }).to_string()
}

/// And on all again.
fn everywhere() -> String {
    json!({ "spec": { "template": { "spec": { "nodeSelector": { "no-such-label": null } } } } }).to_string()
}
