//! The manifests: every document is what Kubernetes understands, and keeps this project's own rules.

#[path = "manifests/agent.rs"]
mod agent_pod;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use manifests::{directory, find, render, repository};
use serde::de::DeserializeOwned;
use serde_json::Value;

fn overlays() -> [PathBuf; 7] {
    ["", "ack", "ack-asm", "startup-taint", "k3s", "rke2", "cri-o"].map(overlay)
}

/// The base where `name` is empty.
fn overlay(name: &str) -> PathBuf {
    if name.is_empty() { directory() } else { directory().join("overlays").join(name) }
}

fn kustomizations() -> Vec<PathBuf> {
    let mut all = overlays().to_vec();
    all.extend(["base", "monitoring", "uninstall"].map(|name| directory().join(name)));
    all.push(overlay("uninstall-k3s"));
    all.push(repository().join("daemonset/examples/fortio"));
    all
}

fn rendered(directory: &Path) -> Vec<Value> {
    render(directory).unwrap_or_else(|error| panic!("{}: {error:?}", directory.display()))
}

fn agent(overlay: &Path) -> DaemonSet {
    find(&rendered(overlay), "DaemonSet", "smc-agent").unwrap_or_else(|error| panic!("{error:?}"))
}

/// Fields that the type does not have.
fn unknown_fields<T: DeserializeOwned>(document: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    let parsed: Result<T, _> = serde_ignored::deserialize(document, |path| unknown.push(path.to_string()));
    if let Err(error) = parsed {
        unknown.push(error.to_string());
    }
    unknown
}

#[test]
fn every_document_is_an_object_of_kubernetes_without_unknown_fields() {
    for kustomization in kustomizations() {
        for document in rendered(&kustomization) {
            let kind = document["kind"].as_str().unwrap();
            let unknown = match kind {
                "ClusterRole" => unknown_fields::<ClusterRole>(&document),
                "ClusterRoleBinding" => unknown_fields::<ClusterRoleBinding>(&document),
                "ConfigMap" => unknown_fields::<ConfigMap>(&document),
                "CustomResourceDefinition" => unknown_fields::<CustomResourceDefinition>(&document),
                "DaemonSet" => unknown_fields::<DaemonSet>(&document),
                "Deployment" => unknown_fields::<Deployment>(&document),
                "Role" => unknown_fields::<Role>(&document),
                "RoleBinding" => unknown_fields::<RoleBinding>(&document),
                "Service" => unknown_fields::<Service>(&document),
                "ServiceAccount" => unknown_fields::<ServiceAccount>(&document),
                // The Prometheus Operator's; their types are not Kubernetes' own.
                "PodMonitor" | "PrometheusRule" => Vec::new(),
                other => panic!("no test knows the kind {other}"),
            };
            assert_eq!(unknown, [""; 0], "{kind} in {}", kustomization.display());
            let metadata = &document["metadata"];
            let cluster_wide = kind.starts_with("Cluster") || kind == "CustomResourceDefinition";
            assert_eq!(metadata["namespace"].is_null(), cluster_wide, "namespace of {kind} {metadata}");
        }
    }
}

/// The first command of README is for clusters without a mesh; an agent that follows a mesh that is not there accelerates
/// nothing.
#[test]
fn only_the_overlay_for_a_mesh_follows_one_and_by_a_kubeconfig_of_its_own() {
    let settings = |overlay: &Path| {
        let documents = rendered(overlay);
        let container = agent(overlay).spec.unwrap().template.spec.unwrap().containers.remove(0);
        let name = container.env_from.unwrap().remove(0).config_map_ref.unwrap().name;
        let settings: ConfigMap = find(&documents, "ConfigMap", &name).unwrap();
        let role: ClusterRole = find(&documents, "ClusterRole", "smc-agent").unwrap();
        let rules = role.rules.unwrap().into_iter();
        let resources: Vec<String> = rules.flat_map(|rule| rule.resources.unwrap_or_default()).collect();
        let named = |name: &str| container.env.iter().flatten().any(|variable| variable.name == name);
        assert!(!named("SMC_AGENT_MESH"), "the ConfigMap alone says it");
        // Of this cluster's API server it needs no more than without a mesh.
        assert_eq!(resources, ["events", "nodes/status", "nodes"]);
        let settings = settings.data.unwrap();
        (settings["SMC_AGENT_MESH"].clone(), settings.get("SMC_AGENT_MESH_KUBECONFIG").cloned())
    };
    let asm = overlay("ack-asm");
    for overlay in overlays().iter().filter(|overlay| **overlay != asm) {
        assert_eq!(settings(overlay), ("enabled".to_owned(), None), "{}", overlay.display());
    }
    let (mode, kubeconfig) = settings(&asm);
    assert_eq!(mode, "watch");
    // It is in the directory that the Secret fills, by the key that the overlay's comment has.
    let pod = agent(&asm).spec.unwrap().template.spec.unwrap();
    let volumes = pod.volumes.unwrap();
    let volume = volumes.iter().find(|volume| volume.secret.is_some()).unwrap();
    let secret = volume.secret.as_ref().unwrap();
    assert_eq!((secret.secret_name.as_deref(), secret.optional), (Some("smc-agent-asm"), Some(true)));
    let mounts = pod.containers[0].volume_mounts.as_ref().unwrap();
    let mount = mounts.iter().find(|mount| mount.name == volume.name).unwrap();
    assert_eq!(kubeconfig, Some(format!("{}/kubeconfig", mount.mount_path)));
}

/// The settings that the agent gets as its environment.
fn of_environment(documents: &[Value]) -> &Value {
    let found = documents.iter().find(|document| document["data"].get("SMC_AGENT_MESH").is_some());
    found.unwrap_or_else(|| panic!("no ConfigMap has SMC_AGENT_MESH"))
}

/// The right to change nodes' specs, which could be used to take any taint off, comes with the wish for it only.
#[test]
fn only_the_overlay_that_takes_a_taint_off_gives_the_right_to_change_nodes() {
    let may_change_nodes = |overlay: &Path| {
        let of_cluster = rendered(overlay).into_iter().filter(|document| document["kind"] == "ClusterRole");
        let rules = of_cluster.flat_map(|role| role["rules"].as_array().unwrap().clone());
        let changes = |rule: &Value| rule["verbs"] != serde_json::json!(["list"]);
        rules.filter(|rule| rule["resources"] == serde_json::json!(["nodes"]) && changes(rule)).count()
    };
    let key = |overlay: &Path| {
        let documents = rendered(overlay);
        let settings = of_environment(&documents);
        settings["data"].get("SMC_AGENT_STARTUP_TAINT").cloned()
    };
    let taint = overlay("startup-taint");
    for overlay in overlays() {
        let wanted = overlay == taint;
        assert_eq!(
            (may_change_nodes(&overlay) == 1, key(&overlay).is_some()),
            (wanted, wanted),
            "{overlay:?}"
        );
    }
    // What the comment tells to register nodes with is what the agent takes off.
    let told = fs::read_to_string(directory().join("components/startup-taint/kustomization.yaml")).unwrap();
    assert!(told.contains(&format!("{}:NoSchedule", key(&taint).unwrap().as_str().unwrap())));
}

/// The agent compares its paths with those that the runtime tells, so a directory has the same path in its container.
#[test]
fn what_an_overlay_tells_the_agent_of_a_runtime_is_mounted_by_the_same_path() {
    let mount_of = |pod: &PodSpec, container: &Container, name: &str| {
        let volume = pod.volumes.iter().flatten().find(|volume| volume.name == name).unwrap();
        let mount = container.volume_mounts.iter().flatten().find(|mount| mount.name == name).unwrap();
        let host = volume.host_path.as_ref().unwrap().path.clone();
        assert_eq!(mount.mount_path, host, "{name}");
        host
    };
    let mut told = BTreeMap::new();
    for overlay in overlays() {
        let documents = rendered(&overlay);
        let settings = of_environment(&documents);
        let setting = |key: &str| settings["data"][key].as_str().map(str::to_owned);
        let pod = agent(&overlay).spec.unwrap().template.spec.unwrap();
        let mount = |name: &str| mount_of(&pod, &pod.containers[0], name);
        let or = |key: &str, default: &str| setting(key).unwrap_or_else(|| default.to_owned());
        assert_eq!(mount("cni-configuration"), or("SMC_AGENT_CONF_DIR", "/etc/cni/net.d"));
        assert_eq!(mount("cni-binaries"), or("SMC_AGENT_BIN_DIR", "/opt/cni/bin"));
        let socket = or("SMC_AGENT_CRI_SOCKET", "/run/containerd/containerd.sock");
        assert_eq!(Path::new(&socket).parent(), Some(Path::new(&mount("containerd"))));
        told.insert(overlay, (socket, mount("cni-configuration")));
    }
    assert_eq!(told[&overlay("cri-o")].0, "/run/crio/crio.sock");
    assert_eq!(told[&overlay("rke2")].0, told[&overlay("k3s")].0);

    let uninstall: DaemonSet =
        find(&rendered(&overlay("uninstall-k3s")), "DaemonSet", "smc-uninstall").unwrap();
    let pod = uninstall.spec.unwrap().template.spec.unwrap();
    let work = &pod.init_containers.as_ref().unwrap()[0];
    let lists = &told[&overlay("k3s")].1;
    assert_eq!(&mount_of(&pod, work, "cni-configuration"), lists);
    let variable = work.env.iter().flatten().find(|variable| variable.name == "SMC_AGENT_CONF_DIR");
    assert_eq!(variable.unwrap().value.as_ref(), Some(lists));
}

#[test]
fn uninstalling_may_patch_the_status_of_nodes_and_nothing_else() {
    let documents = rendered(&directory().join("uninstall"));
    let role: ClusterRole = find(&documents, "ClusterRole", "smc-uninstall").unwrap();
    let [only] = &role.rules.unwrap()[..] else { panic!("one rule") };
    assert_eq!(only.resources.as_deref(), Some(["nodes/status".to_owned()].as_slice()));
    assert_eq!(only.verbs, ["patch"]);
    let binding: ClusterRoleBinding = find(&documents, "ClusterRoleBinding", "smc-uninstall").unwrap();
    let account: ServiceAccount = find(&documents, "ServiceAccount", "smc-uninstall").unwrap();
    assert_eq!(binding.role_ref.name, "smc-uninstall");
    let [subject] = &binding.subjects.unwrap()[..] else { panic!("one subject") };
    assert_eq!(
        (&subject.namespace, Some(&subject.name)),
        (&account.metadata.namespace, account.metadata.name.as_ref())
    );
    let daemonset: DaemonSet = find(&documents, "DaemonSet", "smc-uninstall").unwrap();
    let pod = daemonset.spec.unwrap().template.spec.unwrap();
    assert_eq!(
        (pod.service_account_name, pod.automount_service_account_token),
        (account.metadata.name, None)
    );
    let work = pod.init_containers.unwrap().remove(0);
    assert_eq!(work.termination_message_policy.as_deref(), Some("FallbackToLogsOnError"));
    assert!(work.env.unwrap().iter().any(|variable| variable.name == "NODE_NAME"));
}

#[test]
fn a_misspelled_field_would_be_noticed() {
    let mut document = rendered(&directory()).into_iter().find(|of| of["kind"] == "DaemonSet").unwrap();
    document["spec"]["template"]["spec"]["hostNetwrok"] = true.into();
    assert_eq!(unknown_fields::<DaemonSet>(&document), ["spec.?.template.?.spec.?.hostNetwrok"]);
}

#[test]
fn our_rendering_is_that_of_kubectl_kustomize() {
    // hack/test names the one that it has built.
    let named = env::var_os("KUBE_SMC_KUBECTL");
    let kubectl = named.clone().unwrap_or_else(|| "kubectl".into());
    if named.is_none() && Command::new(&kubectl).arg("kustomize").arg(directory()).output().is_err() {
        return test_support::cannot_run("neither KUBE_SMC_KUBECTL nor a kubectl is there");
    }
    for kustomization in kustomizations() {
        let output = Command::new(&kubectl).arg("kustomize").arg(&kustomization).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs: Vec<Value> =
            serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap();
        assert_eq!(by_name(rendered(&kustomization)), by_name(theirs), "{}", kustomization.display());
    }
}

fn by_name(documents: Vec<Value>) -> BTreeMap<(String, String), Value> {
    let key = |document: &Value| (document["kind"].to_string(), document["metadata"]["name"].to_string());
    documents.into_iter().map(|document| (key(&document), document)).collect()
}

#[test]
fn the_image_is_the_one_that_hack_image_names() {
    for overlay in overlays() {
        let pod = agent(&overlay).spec.unwrap().template.spec.unwrap();
        let image = format!("kube-smc.local/kube-smc:{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(pod.containers[0].image.as_deref(), Some(image.as_str()));
    }
    assert!(
        fs::read_to_string(repository().join("hack/image"))
            .unwrap()
            .contains("kube-smc.local/kube-smc:$version")
    );
}

#[test]
fn the_pod_monitor_finds_the_agents_pods() {
    let template = agent(&directory()).spec.unwrap().template;
    let labels = template.metadata.unwrap().labels.unwrap();
    let monitor = rendered(&directory().join("monitoring")).remove(0);
    assert_eq!(monitor["spec"]["selector"]["matchLabels"], serde_json::to_value(labels).unwrap());
}

#[test]
fn both_ends_of_the_fortio_example_ask_for_smc_on_two_nodes() {
    let documents = rendered(&repository().join("daemonset/examples/fortio"));
    for name in ["fortio-server", "fortio-client"] {
        let deployment: Deployment = find(&documents, "Deployment", name).unwrap();
        let annotations = deployment.spec.unwrap().template.metadata.unwrap().annotations.unwrap();
        assert_eq!(annotations[smc_model::ANNOTATION], "true");
    }
    let client: Deployment = find(&documents, "Deployment", "fortio-client").unwrap();
    let affinity = client.spec.unwrap().template.spec.unwrap().affinity.unwrap();
    assert!(affinity.pod_anti_affinity.is_some());
}
