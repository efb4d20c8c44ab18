//! The installed plugin, called by hand as the runtime would.

use std::process::Output;

use rig::host::{Node, Pod};
use serde_json::{Value, json};
use smc_model::ANNOTATION;

use crate::{PATIENCE, client, eventually, shell, start};

const PLUGIN: &str = "/opt/cni/bin/smc-cni";
const LIST: &str = "/etc/cni/net.d/10-terway.conflist";
/// As containerd passes a pod's annotations.
const ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";

/// The result of the plugin before ours in the chain, for this pod.
pub fn previous_result(pod: &Pod<'_>) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "interfaces": [{ "name": "eth0", "sandbox": pod.sandbox_id }],
        "ips": [{ "version": "4", "interface": 0, "address": format!("{}/32", pod.ip), "gateway": "169.254.1.1" }],
        "dns": {},
    })
}

/// ADD for a living pod as if it were annotated, which is also what repairing it means.
#[track_caller]
pub fn add(pod: &Pod<'_>) -> Output {
    let mut configuration = entry(pod.node());
    configuration["runtimeConfig"] = json!({ ANNOTATIONS: { ANNOTATION: "true" } });
    configuration["prevResult"] = previous_result(pod);
    let arguments = format!(
        "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={};K8S_POD_UID={}",
        pod.namespace, pod.name, pod.sandbox_id, pod.uid
    );
    let command = pod.node().command(&[PLUGIN]).stdin(configuration.to_string());
    let command =
        command.env("CNI_COMMAND", "ADD").env("CNI_CONTAINERID", &pod.sandbox_id).env("CNI_IFNAME", "eth0");
    let command = command.env("CNI_NETNS", &pod.netns.display().to_string()).env("CNI_ARGS", &arguments);
    command.env("CNI_PATH", "/opt/cni/bin").check().unwrap_or_else(|error| panic!("{error}"))
}

/// DEL for a container, without a network namespace and without a previous result.
#[track_caller]
pub fn del(node: &Node<'_>, container: &str) {
    let command = node.command(&[PLUGIN]).stdin(entry(node).to_string());
    let command =
        command.env("CNI_COMMAND", "DEL").env("CNI_CONTAINERID", container).env("CNI_IFNAME", "eth0");
    command.env("CNI_PATH", "/opt/cni/bin").check().unwrap_or_else(|error| panic!("{error}"));
}

/// Takes the plugin's entry out of the node's CNI list. The agent must not run.
#[track_caller]
pub fn strip_entry(node: &Node<'_>) {
    let strip = r#"jq '.plugins |= map(select(.type != "smc-cni"))' "$1" >"$1.new" && mv "$1.new" "$1""#;
    shell(node, strip, &[LIST]);
}

/// Takes the plugin out of the node's chain, and waits until the runtime has seen it. The agent must not run.
#[track_caller]
pub fn unchain(node: &Node<'_>) {
    strip_entry(node);
    eventually(PATIENCE, || {
        let probe = start(node, &client("probe").annotate(ANNOTATION, "true"));
        if probe.record_bytes().is_none() { Ok(()) } else { Err("the runtime still calls the plugin") }
    });
}

/// Our entry of the node's list, with the list's name and version.
#[track_caller]
fn entry(node: &Node<'_>) -> Value {
    let list: Value = serde_json::from_str(&shell(node, r#"cat "$1""#, &[LIST])).unwrap();
    let plugins = list["plugins"].as_array().unwrap();
    let mut entry = plugins.iter().find(|plugin| plugin["type"] == "smc-cni").unwrap().clone();
    entry["cniVersion"] = list["cniVersion"].clone();
    entry["name"] = list["name"].clone();
    entry
}
