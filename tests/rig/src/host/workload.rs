//! A `DaemonSet` as one node's kubelet runs it: what it tells the container runtime, and what it prepares before.
//!
//! Everything comes from the manifest. What the rig leaves out: probes (but for the one of the start), the CPU limit (an emulated CPU is many times
//! slower), and the service account's token, for there is no API server. What it does not know is an error.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, PodSpec};
use serde_json::Value;

use super::spec;
use manifests::{ManifestError, find};

mod runtime;

/// What a pod has that says nothing else (`DefaultTerminationGracePeriodSeconds`).
const GRACE_PERIOD_SECONDS: i64 = 30;

/// The node that a workload's pod runs on.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) node_name: String,
    pub(crate) node_ip: Ipv4Addr,
}

/// A value of a ConfigMap that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigMapFile {
    /// The directory that is mounted.
    pub(crate) directory: String,
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Where the rig has what kubelet has in `/var/lib/kubelet/pods`.
pub(crate) fn config_map_directory(volume: &str) -> String {
    format!("/run/rig-volumes/{volume}")
}

/// One node's pod of a `DaemonSet` with one container.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) container: String,
    pub(crate) image: String,
    /// Directories of the node to be made before (`DirectoryOrCreate`, and those of ConfigMaps).
    pub(crate) directories: Vec<String>,
    /// What is in the directories of its ConfigMaps, one value a file.
    pub(crate) config_maps: Vec<ConfigMapFile>,
    /// What the kubelet runs in the container until it succeeds once.
    pub(crate) startup_probe: Vec<String>,
    labels: BTreeMap<String, String>,
    pod: PodSpec,
    environment: Vec<(String, String)>,
}

impl Workload {
    /// The pod of the `DaemonSet` of this name in rendered manifests.
    pub(crate) fn of(documents: &[Value], daemonset: &str, place: &Place) -> Result<Self, ManifestError> {
        Self::of_pod(documents, daemonset, place, |_| Ok(()))
    }

    /// The same pod with its only init container as the container.
    pub(crate) fn of_init(
        documents: &[Value],
        daemonset: &str,
        place: &Place,
    ) -> Result<Self, ManifestError> {
        Self::of_pod(documents, daemonset, place, |pod| {
            let init = pod.init_containers.take().unwrap_or_default();
            if init.len() != 1 {
                return Err(unsupported("a pod without exactly one init container"));
            }
            pod.containers = init;
            Ok(())
        })
    }

    fn of_pod(
        documents: &[Value],
        daemonset: &str,
        place: &Place,
        choose: impl FnOnce(&mut PodSpec) -> Result<(), ManifestError>,
    ) -> Result<Self, ManifestError> {
        let found: DaemonSet = find(documents, "DaemonSet", daemonset)?;
        let template = found.spec.unwrap_or_default().template;
        let mut pod = template.spec.unwrap_or_default();
        choose(&mut pod)?;
        let [container] = pod.containers.as_slice() else {
            return Err(unsupported("a pod of several containers"));
        };
        if !pod.init_containers.as_deref().unwrap_or_default().is_empty() {
            return Err(unsupported("init containers"));
        }
        let name = format!("{daemonset}-{}", place.node_name);
        let namespace = found.metadata.namespace.unwrap_or_else(|| "default".to_owned());
        let environment = environment(documents, container, &name, &namespace, place)?;
        let volumes = pod.volumes.as_deref().unwrap_or_default();
        let directories = volumes.iter().filter_map(|volume| {
            let host_path = volume.host_path.as_ref()?;
            (host_path.type_.as_deref() == Some("DirectoryOrCreate")).then(|| host_path.path.clone())
        });
        let mut directories: Vec<String> = directories.collect();
        let mut config_maps = Vec::new();
        for volume in volumes {
            let Some(source) = &volume.config_map else { continue };
            let found: ConfigMap = find(documents, "ConfigMap", &source.name)?;
            let directory = config_map_directory(&volume.name);
            directories.push(directory.clone());
            config_maps.extend(
                found.data.unwrap_or_default().into_iter().map(|(name, text)| ConfigMapFile {
                    directory: directory.clone(),
                    name,
                    text,
                }),
            );
        }
        Ok(Self {
            container: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            directories,
            config_maps,
            startup_probe: startup_probe(container)?,
            labels: template.metadata.unwrap_or_default().labels.unwrap_or_default(),
            environment,
            name,
            namespace,
            pod,
        })
    }

    /// Adds arguments to the manifest's.
    pub(crate) fn add_arguments(&mut self, arguments: &[&str]) {
        for container in &mut self.pod.containers {
            container.args.get_or_insert_default().extend(arguments.iter().map(ToString::to_string));
        }
    }

    /// Sets a variable of the environment, also for the arguments that name it.
    pub(crate) fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a capability away that the manifest adds.
    pub(crate) fn drop_capability(&mut self, name: &str) {
        let contexts = self.pod.containers.iter_mut().filter_map(|of| of.security_context.as_mut());
        for added in contexts.filter_map(|context| context.capabilities.as_mut()?.add.as_mut()) {
            added.retain(|capability| capability != name);
        }
    }

    /// How long the container has to end by itself, in seconds.
    pub(crate) fn grace_period(&self) -> i64 {
        self.pod.termination_grace_period_seconds.unwrap_or(GRACE_PERIOD_SECONDS)
    }

    /// Where the container's output is on the node, one file for each time it was started.
    pub(crate) fn log_directory(&self, uid: &str) -> String {
        format!("{}/{}", spec::log_directory(&self.name, &self.namespace, uid), self.container)
    }
}

/// Empty where there is none.
fn startup_probe(container: &Container) -> Result<Vec<String>, ManifestError> {
    let Some(probe) = &container.startup_probe else { return Ok(Vec::new()) };
    let command = probe.exec.as_ref().and_then(|exec| exec.command.clone());
    command.ok_or_else(|| unsupported("a startup probe that runs no command"))
}

fn unsupported(what: &str) -> ManifestError {
    ManifestError::Unsupported(what.to_owned())
}

fn environment(
    documents: &[Value],
    container: &Container,
    name: &str,
    namespace: &str,
    place: &Place,
) -> Result<Vec<(String, String)>, ManifestError> {
    let mut environment = Vec::new();
    for source in container.env_from.iter().flatten() {
        let Some(reference) = source.config_map_ref.as_ref() else {
            return Err(unsupported("an environment from something that is no ConfigMap"));
        };
        let config_map: ConfigMap = find(documents, "ConfigMap", &reference.name)?;
        environment.extend(config_map.data.unwrap_or_default());
    }
    for EnvVar { name: variable, value, value_from } in container.env.iter().flatten() {
        let field = value_from.as_ref().and_then(|source| source.field_ref.as_ref());
        let value = match (value_from, field.map(|field| field.field_path.as_str())) {
            (None, _) => expand(value.as_deref().unwrap_or_default(), &environment),
            (_, Some("spec.nodeName")) => place.node_name.clone(),
            (_, Some("status.hostIP" | "status.podIP")) => place.node_ip.to_string(),
            (_, Some("metadata.name")) => name.to_owned(),
            (_, Some("metadata.namespace")) => namespace.to_owned(),
            // Any: it is compared with itself.
            (_, Some("metadata.uid")) => format!("{namespace}-{name}"),
            _ => return Err(unsupported(&format!("the source of the environment variable {variable}"))),
        };
        environment.push((variable.clone(), value));
    }
    Ok(environment)
}

/// `$(NAME)` becomes the variable's value, `$$(` a plain `$(`; what is not known stays as it is.
fn expand(word: &str, environment: &[(String, String)]) -> String {
    let mut expanded = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let tail = &rest[at..];
        let reference = tail.strip_prefix("$(").and_then(|tail| tail.split_once(')'));
        if let Some(after) = tail.strip_prefix("$$") {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = reference {
            // Later definitions win, as in a process's environment.
            match environment.iter().rev().find(|(known, _)| known == name) {
                Some((_, value)) => expanded.push_str(value),
                None => expanded.push_str(&tail[..tail.len() - after.len()]),
            }
            rest = after;
        } else {
            expanded.push('$');
            rest = &tail[1..];
        }
    }
    expanded + rest
}

#[cfg(test)]
mod tests;
