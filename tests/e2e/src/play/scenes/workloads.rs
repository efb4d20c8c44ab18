//! Annotated pods of every kind that Kubernetes makes.

use anyhow::{Result, ensure};
use rig::layout::STATIC_PODS;
use serde_json::{Value, json};
use smc_model::ANNOTATION;

use super::fortio::{IMAGE, URL};
use crate::play::world::{Pod, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "kinds",
        shows: "StatefulSet, DaemonSet, Job, CronJob and static pods are set up; a hostNetwork pod is refused by name",
        run: Run::Long,
        play: kinds,
    },
    Scene {
        name: "containers-and-probes",
        shows: "init and native-sidecar containers, and HTTP, TCP, gRPC and exec probes on a converted pod",
        run: Run::Long,
        play: probes,
    },
];

const NAMESPACE: &str = "kinds";

/// A pod's specification that serves until it is ended.
fn server() -> Value {
    json!({ "containers": [{ "name": "fortio", "image": IMAGE, "args": ["server"] }], "terminationGracePeriodSeconds": 1 })
}

/// One that makes a few requests and ends well only when they were answered.
fn requests() -> Value {
    json!({
        "restartPolicy": "Never",
        "containers": [{
            "name": "fortio", "image": IMAGE,
            "args": ["load", "-quiet", "-n", "5", "-c", "1", "-keepalive=false", "-allow-initial-errors=false",
                     URL.replace("fortio-server", "fortio-server.default")],
        }],
    })
}

fn template(app: &str, spec: &Value) -> Value {
    json!({ "metadata": { "labels": { "app": app }, "annotations": { ANNOTATION: "true" } }, "spec": spec })
}

fn kinds(world: &mut World) -> Result<String> {
    let meta = |name: &str| json!({ "name": name, "namespace": NAMESPACE });
    let selector = |app: &str| json!({ "matchLabels": { "app": app } });
    let mut host_network = server();
    host_network["hostNetwork"] = json!(true);
    host_network["containers"][0]["args"] = json!([
        "server",
        "-http-port",
        "18080",
        "-grpc-port",
        "0",
        "-tcp-port",
        "0",
        "-udp-port",
        "0",
        "-redirect-port",
        "0"
    ]);
    let objects = json!([
        { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } },
        { "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta("stateful"),
          "spec": { "replicas": 2, "serviceName": "stateful", "selector": selector("stateful"),
                    "podManagementPolicy": "Parallel", "template": template("stateful", &server()) } },
        { "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta("daemon"),
          "spec": { "selector": selector("daemon"), "template": template("daemon", &server()) } },
        { "apiVersion": "batch/v1", "kind": "Job", "metadata": meta("job"),
          "spec": { "backoffLimit": 0, "template": template("job", &requests()) } },
        { "apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta("cron"),
          "spec": { "schedule": "* * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": { "spec": {
              "backoffLimit": 0, "template": template("cron", &requests()) } } } },
        { "apiVersion": "v1", "kind": "Pod",
          "metadata": { "name": "host", "namespace": NAMESPACE, "labels": { "app": "host" },
                        "annotations": { ANNOTATION: "true" } },
          "spec": host_network },
    ]);
    world.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string())?;
    start_static(world, "node2", NAMESPACE, "static")?;

    for workload in ["statefulset/stateful", "daemonset/daemon"] {
        world.rolled_out(NAMESPACE, workload)?;
    }
    let mut seen = Vec::new();
    for app in ["stateful", "daemon", "static"] {
        let pods = world.eventually(|world| ready(world, app))?;
        for pod in &pods {
            set_up(world, pod)?;
        }
        seen.push(format!("{} {app}", pods.len()));
    }
    for app in ["job", "cron"] {
        world.eventually(|world| {
            let pods = world.pods(NAMESPACE, &format!("app={app}"))?;
            ensure!(pods.iter().any(|pod| pod.phase == "Succeeded"), "{pods:?}");
            ensure!(pods.iter().all(|pod| pod.phase != "Failed"), "{pods:?}");
            Ok(())
        })?;
        seen.push(format!("{app} done"));
    }
    let refused = world.eventually(|world| {
        let host = world.pod(NAMESPACE, "app=host")?;
        let verdict = world.known_verdict(&host)?;
        ensure!(
            verdict.verdict == "refused" && verdict.reason.as_deref() == Some("HostNetworkPod"),
            "{verdict:?}"
        );
        let events = world.events(NAMESPACE, "Warning")?;
        ensure!(events.iter().any(|(reason, _)| reason == "HostNetworkPod"), "no Event says it: {events:?}");
        Ok("hostNetwork refused: HostNetworkPod")
    })?;
    stop_static(world, "node2", "static")?;
    world.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"])?;
    Ok(format!("{}; {refused}", seen.join(", ")))
}

/// Has a node's kubelet start an annotated pod by a file; `kubectl get pods` shows it as `<name>-<node>`.
pub(super) fn start_static(world: &World, node: &str, namespace: &str, name: &str) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "labels": { "app": name },
                      "annotations": { ANNOTATION: "true" } },
        "spec": server(),
    });
    let path = format!("{STATIC_PODS}/{name}.json");
    world.node(node)?.command(&["tee", &path]).stdin(pod.to_string()).check()?;
    Ok(())
}

/// Has the kubelet end it.
pub(super) fn stop_static(world: &World, node: &str, name: &str) -> Result<()> {
    world.node(node)?.command(&["rm", &format!("{STATIC_PODS}/{name}.json")]).check()?;
    Ok(())
}

/// The Ready pods of an app; an error while there is none, or one that is not.
fn ready(world: &World, app: &str) -> Result<Vec<Pod>> {
    let mut pods = world.pods(NAMESPACE, &format!("app={app}"))?;
    pods.retain(|pod| !pod.deleted);
    ensure!(!pods.is_empty() && pods.iter().all(|pod| pod.ready), "{pods:?}");
    Ok(pods)
}

/// Waits until an annotated pod is set up, and says how it is called.
pub(super) fn set_up(world: &World, pod: &Pod) -> Result<String> {
    world.eventually(|world| {
        let verdict = world.known_verdict(pod)?;
        let is = ["configured", "active"].contains(&verdict.verdict.as_str());
        ensure!(is, "{}: {verdict:?}", pod.name);
        Ok(verdict.verdict)
    })
}

fn probes(world: &mut World) -> Result<String> {
    let probe = |how: Value| {
        let mut probe = how;
        probe["periodSeconds"] = json!(2);
        // An emulated CPU starts an exec probe's process slowly.
        probe["timeoutSeconds"] = json!(10);
        probe
    };
    let http = probe(json!({ "httpGet": { "port": 8080, "path": "/fortio/version" } }));
    let tcp = probe(json!({ "tcpSocket": { "port": 8078 } }));
    let grpc = probe(json!({ "grpc": { "port": 8079 } }));
    let exec =
        probe(json!({ "exec": { "command": ["fortio", "curl", "-quiet", "http://127.0.0.1:8080/echo"] } }));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "probed", "labels": { "app": "probed" }, "annotations": { ANNOTATION: "true" } },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "initContainers": [
                { "name": "init", "image": IMAGE, "args": ["curl", "-quiet", URL] },
                { "name": "sidecar", "image": IMAGE, "restartPolicy": "Always", "startupProbe": exec,
                  "args": ["server"], "readinessProbe": tcp, "livenessProbe": grpc },
            ],
            "containers": [
                { "name": "main", "image": IMAGE,
                  "args": ["server", "-http-port", "9080", "-grpc-port", "9079", "-tcp-port", "9078",
                           "-udp-port", "9077", "-redirect-port", "9081"],
                  "startupProbe": http, "readinessProbe": http, "livenessProbe": tcp },
            ],
        },
    });
    world.apply(&pod.to_string())?;
    world.kubectl(&["wait", "pod/probed", "--for=condition=Ready", "--timeout=300s"])?;
    let pod = world.pod("default", "app=probed")?;
    let verdict = set_up(world, &pod)?;
    // A dozen rounds of every probe.
    std::thread::sleep(std::time::Duration::from_secs(25));
    let later = world.pod("default", "app=probed")?;
    ensure!(later.ready && later.restarts == 0, "{later:?}");
    let mut warnings = world.events_on("default", "probed", "Warning")?;
    warnings.retain(|(reason, _)| reason == "Unhealthy" || reason.contains("Smc"));
    ensure!(warnings.is_empty(), "{warnings:?}");
    world.kubectl(&["delete", "pod/probed", "--wait=false"])?;
    Ok(format!(
        "init container, sidecar, HTTP, TCP, gRPC and exec probes: Ready all the time, no restart; {verdict}"
    ))
}
