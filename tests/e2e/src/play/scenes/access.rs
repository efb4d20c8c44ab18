//! Ways into a pod that pass by Services: NodePort, and kubectl's port-forward, exec and cp.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rig::layout::NODE_IMAGE;
use serde_json::{Value, json};
use smc_model::ANNOTATION;

use super::fortio::{IMAGE, URL, pair};
use super::workloads::set_up;
use crate::play::load::Connections;
use crate::play::world::{Pod, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "ways-in",
        shows: "NodePort on every node, kubectl port-forward, exec and cp reach an annotated pod",
        run: Run::Long,
        play: ways_in,
    },
    Scene {
        name: "host-port",
        shows: "portmap, added to the list by an operator, and our entry live together; a hostPort reaches the pod",
        run: Run::Long,
        play: host_port,
    },
];

const NODE_PORT: u16 = 30080;
const HOST_PORT: u16 = 18090;
/// The list that the network's own plugin wrote.
pub(super) const LIST: &str = "/etc/cni/net.d/10-terway.conflist";

fn ways_in(world: &mut World) -> Result<String> {
    let (client, server) = pair(world)?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "by-node-port" },
        "spec": { "type": "NodePort", "selector": { "app": "fortio-server" },
                  "ports": [{ "port": 8080, "nodePort": NODE_PORT }] },
    });
    world.apply(&service.to_string())?;
    for node in world.cluster.rig().nodes() {
        let url = format!("http://{}:{NODE_PORT}/fortio/version", node.ip());
        world.eventually(|world| curl(world, &url))?;
    }

    let mut kubectl = world.cluster.kubectl();
    kubectl.args(["port-forward", &format!("pod/{}", server.name), ":8080"]);
    kubectl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut forward = world.cluster.rig().network().spawn(&mut kubectl)?.context("start kubectl")?;
    let mut line = String::new();
    // Kept until the end: kubectl says more with each connection, and ends when nobody can hear it.
    let mut said = BufReader::new(forward.stdout.take().context("kubectl's output")?);
    said.read_line(&mut line)?;
    // "Forwarding from 127.0.0.1:40123 -> 8080"
    let port = line.split([':', ' ']).nth(3).and_then(|port| port.parse::<u16>().ok());
    let forwarded = port
        .with_context(|| format!("kubectl said {line:?}"))
        .and_then(|port| curl(world, &format!("http://127.0.0.1:{port}/fortio/version")));
    forward.kill()?;
    forward.wait()?;
    drop(said);
    forwarded.context("kubectl port-forward")?;

    world.kubectl(&["exec", &client.name, "--", "fortio", "curl", "-quiet", URL])?;
    let copied = copy(world)?;
    world.kubectl(&["delete", "service", "by-node-port", "--wait=false"])?;
    Ok(format!(
        "NodePort on {} nodes, port-forward, exec, cp of {copied} bytes there and back",
        world.nodes().len()
    ))
}

/// Adds a plugin to a node's CNI list, or takes it out again, as an operator does: by a new file in the old one's place.
fn edit_list(world: &World, node: &str, edit: impl FnOnce(&mut Vec<Value>)) -> Result<()> {
    edit_whole_list(world, node, |list| {
        if let Some(plugins) = list["plugins"].as_array_mut() {
            edit(plugins);
        }
    })
}

/// Changes a node's list as a careful operator does: beside it, then in its place.
pub(super) fn edit_whole_list(world: &World, node: &str, edit: impl FnOnce(&mut Value)) -> Result<()> {
    let node = world.node(node)?;
    let list = node.command(&["cat", LIST]).check()?;
    let mut list: Value = serde_json::from_slice(&list.stdout)?;
    edit(&mut list);
    let script = r#"cat >"$1.new" && mv "$1.new" "$1""#;
    node.command(&["sh", "-ec", script, "sh", LIST]).stdin(format!("{list:#}\n")).check()?;
    Ok(())
}

fn host_port(world: &mut World) -> Result<String> {
    let (client, _) = pair(world)?;
    let nodes = world.nodes();
    let is_portmap = |plugin: &Value| plugin["type"] == "portmap";
    for node in &nodes {
        edit_list(world, node, |plugins| {
            plugins.insert(1, json!({ "type": "portmap", "capabilities": { "portMappings": true } }));
        })?;
    }
    let reached = reach_host_port(world, &client);
    for node in &nodes {
        edit_list(world, node, |plugins| plugins.retain(|plugin| !is_portmap(plugin)))?;
    }
    reached
}

fn reach_host_port(world: &World, client: &Pod) -> Result<String> {
    let nodes = world.nodes();
    let node = nodes.iter().find(|node| **node != client.node).context("a node beside the client's")?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "host-port", "labels": { "app": "host-port" }, "annotations": { ANNOTATION: "true" } },
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "fortio", "image": IMAGE, "args": ["server"],
                             "ports": [{ "containerPort": 8080, "hostPort": HOST_PORT }] }],
        },
    });
    world.apply(&pod.to_string())?;
    world.kubectl(&["wait", "pod/host-port", "--for=condition=Ready", "--timeout=180s"])?;
    let pod = world.pod("default", "app=host-port")?;
    set_up(world, &pod)?;
    let address = world.node(node)?.ip();
    // From outside, and from an annotated pod of another node.
    world.eventually(|world| curl(world, &format!("http://{address}:{HOST_PORT}/fortio/version")))?;
    let url = format!("http://{address}:{HOST_PORT}/echo");
    let answers = world.requests(client, &url, 20, Connections::EachNew)?.all_right()?;
    let verdict = world.eventually(|world| {
        let verdict = world.known_verdict(&pod)?;
        ensure!(verdict.smc_r + verdict.tcp >= answers.right, "{verdict:?}");
        Ok(verdict)
    })?;
    world.kubectl(&["delete", "pod/host-port", "--wait=false"])?;
    Ok(format!(
        "portmap beside smc-cni; from outside answered; {} requests of an annotated pod answered: {} SMC-R, {} TCP",
        answers.right, verdict.smc_r, verdict.tcp
    ))
}

/// `kubectl cp` into an annotated pod and out of it again; it needs a pod that has tar.
fn copy(world: &World) -> Result<usize> {
    let mount =
        |path: &str| json!({ "name": path.trim_start_matches('/'), "mountPath": path, "readOnly": true });
    let volume = |path: &str| json!({ "name": path.trim_start_matches('/'), "hostPath": { "path": path } });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "tools", "labels": { "app": "tools" }, "annotations": { ANNOTATION: "true" } },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "tools", "image": NODE_IMAGE, "command": ["sleep", "infinity"],
                             "volumeMounts": [mount("/usr"), mount("/etc")] }],
            "volumes": [volume("/usr"), volume("/etc")],
        },
    });
    world.apply(&pod.to_string())?;
    world.kubectl(&["wait", "pod/tools", "--for=condition=Ready", "--timeout=180s"])?;
    set_up(world, &world.pod("default", "app=tools")?)?;
    let directory = tempfile::tempdir()?;
    let (there, back) = (directory.path().join("there"), directory.path().join("back"));
    let content: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap_or_default()).collect();
    std::fs::write(&there, &content)?;
    world.kubectl(&["cp", &there.display().to_string(), "default/tools:/tmp/copied"])?;
    world.kubectl(&["cp", "default/tools:/tmp/copied", &back.display().to_string()])?;
    ensure!(std::fs::read(&back)? == content, "what came back is not what went there");
    world.kubectl(&["delete", "pod/tools", "--wait=false"])?;
    Ok(content.len())
}

/// Asks from the bridge that the nodes hang on, as a client outside the cluster.
fn curl(world: &World, url: &str) -> Result<()> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "15", url]);
    let output = world.cluster.rig().network().run(|| curl.output())?.context("start curl")?;
    ensure!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
