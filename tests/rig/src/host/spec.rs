//! What pods and containers to run, and how that is said to containerd.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use k8s_cri::v1;

use super::images::SHARED;
use super::state::repository;
use crate::layout::{NODE_IMAGE, POD_LOGS};

/// The name of a pod's first container.
pub const MAIN_CONTAINER: &str = "main";

/// As the kubelet labels sandboxes and containers (`pkg/kubelet/types/labels.go`).
pub(crate) const POD_NAME_LABEL: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE_LABEL: &str = "io.kubernetes.pod.namespace";
const POD_UID_LABEL: &str = "io.kubernetes.pod.uid";
pub(crate) const CONTAINER_NAME_LABEL: &str = "io.kubernetes.container.name";

/// A container; its root is nearly empty, with the node's own programs mounted into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) capabilities: Vec<String>,
}

/// A directory or file of the node in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// On the node.
    pub source: PathBuf,
    /// In the container.
    pub destination: PathBuf,
    /// Whether the container may only read it.
    pub read_only: bool,
}

impl ContainerSpec {
    /// A container that runs a program of the node's file system.
    pub fn new(name: &str, command: &[impl AsRef<str>]) -> Self {
        Self {
            name: name.to_owned(),
            command: command.iter().map(|word| word.as_ref().to_owned()).collect(),
            env: BTreeMap::new(),
            mounts: Vec::new(),
            capabilities: Vec::new(),
        }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Mounts a directory or file of the node, writable.
    #[must_use]
    pub fn mount(mut self, source: impl Into<PathBuf>, destination: impl Into<PathBuf>) -> Self {
        self.mounts.push(Mount { source: source.into(), destination: destination.into(), read_only: false });
        self
    }

    /// Adds a capability, such as `NET_ADMIN`, to containerd's default ones.
    #[must_use]
    pub fn capability(mut self, name: &str) -> Self {
        self.capabilities.push(name.to_owned());
        self
    }

    pub(crate) fn log_path(&self) -> String {
        format!("{}.log", self.name)
    }

    /// The CRI's description of the container in this pod.
    pub(crate) fn to_cri(&self, sandbox: &v1::PodSandboxConfig) -> v1::ContainerConfig {
        let mut labels = sandbox.labels.clone();
        labels.insert(CONTAINER_NAME_LABEL.to_owned(), self.name.clone());
        let shared = SHARED.iter().map(Path::new).filter(|path| path.exists());
        let repository =
            Some(repository()).filter(|path| !SHARED.iter().any(|shared| path.starts_with(shared)));
        let shared = shared.chain(repository).map(|path| Mount {
            source: path.to_owned(),
            destination: path.to_owned(),
            read_only: true,
        });
        let linux = sandbox.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
        let security_context = v1::LinuxContainerSecurityContext {
            capabilities: Some(v1::Capability {
                add_capabilities: self.capabilities.clone(),
                ..Default::default()
            }),
            namespace_options: linux.and_then(|context| context.namespace_options.clone()),
            ..Default::default()
        };
        v1::ContainerConfig {
            metadata: Some(v1::ContainerMetadata { name: self.name.clone(), attempt: 0 }),
            image: Some(v1::ImageSpec { image: NODE_IMAGE.to_owned(), ..Default::default() }),
            command: self.command.clone(),
            working_dir: "/".to_owned(),
            envs: self
                .env
                .iter()
                .map(|(key, value)| v1::KeyValue { key: key.clone(), value: value.clone() })
                .collect(),
            mounts: shared.chain(self.mounts.iter().cloned()).map(|mount| cri_mount(&mount)).collect(),
            labels,
            log_path: self.log_path(),
            linux: Some(v1::LinuxContainerConfig {
                security_context: Some(security_context),
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}

fn cri_mount(mount: &Mount) -> v1::Mount {
    v1::Mount {
        container_path: mount.destination.display().to_string(),
        host_path: mount.source.display().to_string(),
        readonly: mount.read_only,
        ..Default::default()
    }
}

/// A pod with one container; more can be added when it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSpec {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) host_network: bool,
    pub(crate) requested_ip: Option<Ipv4Addr>,
    pub(crate) runtime_handler: String,
    pub(crate) container: ContainerSpec,
}

impl PodSpec {
    /// A pod in the namespace `default` whose container, [`MAIN_CONTAINER`], runs a program of the node's file system.
    pub fn new(name: &str, command: &[impl AsRef<str>]) -> Self {
        Self::with_container(name, ContainerSpec::new(MAIN_CONTAINER, command))
    }

    /// A pod in the namespace `default` with this container.
    pub fn with_container(name: &str, container: ContainerSpec) -> Self {
        Self {
            name: name.to_owned(),
            namespace: "default".to_owned(),
            annotations: BTreeMap::new(),
            host_network: false,
            requested_ip: None,
            runtime_handler: String::new(),
            container,
        }
    }

    /// Puts the pod into another namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotate(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Runs the pod in the node's own network namespace: no CNI plugin is called.
    #[must_use]
    pub fn host_network(mut self) -> Self {
        self.host_network = true;
        self
    }

    /// Asks for a fixed address; the pod fails to start when another has it, or it is not one of the node's.
    #[must_use]
    pub fn ip(mut self, address: Ipv4Addr) -> Self {
        self.requested_ip = Some(address);
        self
    }

    /// Has one of containerd's runtimes run it, as the pod's RuntimeClass would.
    #[must_use]
    pub fn runtime_handler(mut self, handler: &str) -> Self {
        handler.clone_into(&mut self.runtime_handler);
        self
    }

    /// Sets an environment variable of the container.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.container = self.container.env(name, value);
        self
    }

    /// Mounts a directory or file of the node into the container, writable.
    #[must_use]
    pub fn mount(mut self, source: impl Into<PathBuf>, destination: impl Into<PathBuf>) -> Self {
        self.container = self.container.mount(source, destination);
        self
    }

    /// Adds a capability of the container, such as `NET_ADMIN`.
    #[must_use]
    pub fn capability(mut self, name: &str) -> Self {
        self.container = self.container.capability(name);
        self
    }

    /// The CRI's description of the pod, as the kubelet would give it.
    pub(crate) fn to_cri(&self, uid: &str) -> v1::PodSandboxConfig {
        sandbox_config(&self.name, &self.namespace, uid, &self.annotations, self.host_network)
    }
}

/// The CRI's description of a pod, which calls about its containers repeat.
pub(crate) fn sandbox_config(
    name: &str,
    namespace: &str,
    uid: &str,
    annotations: &BTreeMap<String, String>,
    host_network: bool,
) -> v1::PodSandboxConfig {
    let network = if host_network { v1::NamespaceMode::Node } else { v1::NamespaceMode::Pod };
    let options = v1::NamespaceOption {
        network: network.into(),
        pid: v1::NamespaceMode::Container.into(),
        ..Default::default()
    };
    let labels = [(POD_NAME_LABEL, name), (POD_NAMESPACE_LABEL, namespace), (POD_UID_LABEL, uid)];
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: name.to_owned(),
            uid: uid.to_owned(),
            namespace: namespace.to_owned(),
            attempt: 0,
        }),
        hostname: if host_network { String::new() } else { name.to_owned() },
        log_directory: log_directory(name, namespace, uid),
        labels: labels.into_iter().map(owned).collect(),
        annotations: annotations.clone().into_iter().collect::<HashMap<_, _>>(),
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: format!("/kubepods/pod{uid}"),
            security_context: Some(v1::LinuxSandboxSecurityContext {
                namespace_options: Some(options),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Where a pod's containers' output is on the node.
pub(crate) fn log_directory(name: &str, namespace: &str, uid: &str) -> String {
    format!("{POD_LOGS}/{namespace}_{name}_{uid}")
}

#[cfg(test)]
mod tests;
