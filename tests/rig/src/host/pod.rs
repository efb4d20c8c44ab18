//! Pods on a node, through containerd.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};

use k8s_cri::v1;
use serde::Serialize;

use super::cri::Cri;
use super::logs::ContainerLogs;
use super::spec::{self, CONTAINER_NAME_LABEL, ContainerSpec, MAIN_CONTAINER, POD_NAME_LABEL, PodSpec};
use super::{Node, RigError};
use crate::layout::REQUESTED_ADDRESSES;

/// A pod that containerd knows. Dropping it leaves the pod alone.
#[derive(Debug, Clone, Serialize)]
pub struct Pod<'a> {
    #[serde(serialize_with = "node_number")]
    node: Node<'a>,
    /// Its name, unique on the node.
    pub name: String,
    /// Its Kubernetes namespace.
    pub namespace: String,
    /// As the API server would give one.
    pub uid: String,
    /// Its address; the node's for a pod in the node's network, empty for a pod that is not ready.
    pub ip: String,
    /// Whether it is in the node's network namespace.
    pub host_network: bool,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whether its sandbox runs.
    pub ready: bool,
    /// Path of its network namespace on the node; empty for a pod in the node's network.
    pub netns: PathBuf,
    /// The id of its sandbox, which is also its pause container's.
    pub sandbox_id: String,
}

fn node_number<S: serde::Serializer>(node: &Node<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(node.number())
}

impl<'a> Node<'a> {
    /// Starts a pod as the kubelet would: sandbox, container, start. When a step fails nothing is left of the pod.
    pub fn run_pod(&self, spec: &PodSpec) -> Result<Pod<'a>, RigError> {
        let cri = self.cri()?;
        if find_sandbox(&cri, &spec.name)?.is_some() {
            return Err(RigError::PodExists { pod: spec.name.clone(), node: self.number() });
        }
        let request = Path::new(REQUESTED_ADDRESSES).join(format!("{}_{}", spec.namespace, spec.name));
        let request = request.display().to_string();
        if let Some(address) = spec.requested_ip {
            self.command(&["tee", &request]).stdin(address.to_string()).check()?;
        }
        let uid = random_uid()?;
        let config = spec.to_cri(&uid);
        let request_sandbox = v1::RunPodSandboxRequest {
            config: Some(config.clone()),
            runtime_handler: spec.runtime_handler.clone(),
        };
        let ran = cri.call(&format!("start the sandbox of pod {:?}", spec.name), async |mut client| {
            client.run_pod_sandbox(request_sandbox).await
        });
        if spec.requested_ip.is_some() {
            self.command(&["rm", "-f", &request]).check()?;
        }
        let sandbox_id = ran?.pod_sandbox_id;
        let started = start_container(&cri, &sandbox_id, &config, &spec.container)
            .and_then(|()| self.inspect(&cri, &sandbox_id));
        if started.is_err() {
            // The first error is the one that tells something.
            let _ = remove_sandbox(&cri, &sandbox_id);
        }
        started
    }

    /// All pods that containerd knows on this node, in the order of their names.
    pub fn pods(&self) -> Result<Vec<Pod<'a>>, RigError> {
        let cri = self.cri()?;
        let mut pods = Vec::new();
        for sandbox in list_sandboxes(&cri, None)? {
            pods.push(self.inspect(&cri, &sandbox.id)?);
        }
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pods)
    }

    /// The pod of this name.
    pub fn pod(&self, name: &str) -> Result<Pod<'a>, RigError> {
        let cri = self.cri()?;
        let sandbox = find_sandbox(&cri, name)?;
        let sandbox = sandbox.ok_or_else(|| RigError::NoPod { pod: name.to_owned(), node: self.number() })?;
        self.inspect(&cri, &sandbox.id)
    }

    /// Asks containerd about one sandbox.
    fn inspect(&self, cri: &Cri, sandbox_id: &str) -> Result<Pod<'a>, RigError> {
        let request = v1::PodSandboxStatusRequest { pod_sandbox_id: sandbox_id.to_owned(), verbose: true };
        let response =
            cri.call("ask for a pod's status", async |mut client| client.pod_sandbox_status(request).await)?;
        let status = response.status.unwrap_or_default();
        let metadata = status.metadata.unwrap_or_default();
        let options = status.linux.and_then(|linux| linux.namespaces?.options).unwrap_or_default();
        let host_network = options.network == i32::from(v1::NamespaceMode::Node);
        let ready = status.state == i32::from(v1::PodSandboxState::SandboxReady);
        let ip = status.network.unwrap_or_default().ip;
        Ok(Pod {
            node: self.clone(),
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            ip: if host_network && ready { self.ip().to_string() } else { ip },
            host_network,
            annotations: status.annotations.into_iter().collect(),
            ready,
            netns: response.info.get("info").map(|info| netns_path(info)).unwrap_or_default(),
            sandbox_id: status.id,
        })
    }
}

impl Pod<'_> {
    /// The node it is on.
    pub fn node(&self) -> &Node<'_> {
        &self.node
    }

    /// Adds a container, such as a sidecar.
    pub fn add_container(&self, container: &ContainerSpec) -> Result<(), RigError> {
        let config = spec::sandbox_config(
            &self.name,
            &self.namespace,
            &self.uid,
            &self.annotations,
            self.host_network,
        );
        start_container(&self.node.cri()?, &self.sandbox_id, &config, container)
    }

    /// Runs a command in the pod's first container, with the CRI's `ExecSync`. An unsuccessful end is not an error.
    pub fn exec(&self, argv: &[impl AsRef<str>]) -> Result<Output, RigError> {
        self.exec_in(MAIN_CONTAINER, argv)
    }

    /// Runs a command in one of the pod's containers.
    pub fn exec_in(&self, container: &str, argv: &[impl AsRef<str>]) -> Result<Output, RigError> {
        let cri = self.node.cri()?;
        let request = v1::ExecSyncRequest {
            container_id: self.container_id(&cri, container)?,
            cmd: argv.iter().map(|word| word.as_ref().to_owned()).collect(),
            timeout: 0,
        };
        let action = format!("run a command in container {container:?} of pod {:?}", self.name);
        let response = cri.call(&action, async |mut client| client.exec_sync(request).await)?;
        // A wait status has the exit code in its second byte.
        let status = ExitStatus::from_raw((response.exit_code & 0xff) << 8);
        Ok(Output { status, stdout: response.stdout, stderr: response.stderr })
    }

    /// What one of the pod's containers has written so far.
    pub fn logs(&self, container: &str) -> Result<ContainerLogs, RigError> {
        let cri = self.node.cri()?;
        let request =
            v1::ContainerStatusRequest { container_id: self.container_id(&cri, container)?, verbose: false };
        let status =
            cri.call("ask for a container's log", async |mut client| client.container_status(request).await)?;
        let path = status.status.unwrap_or_default().log_path;
        let output = self.node.command(&["cat", &path]).check()?;
        Ok(ContainerLogs::parse(&output.stdout))
    }

    /// Stops and removes the pod and all its containers.
    pub fn remove(&self) -> Result<(), RigError> {
        let cri = self.node.cri()?;
        remove_sandbox(&cri, &self.sandbox_id)?;
        let logs = spec::log_directory(&self.name, &self.namespace, &self.uid);
        self.node.command(&["rm", "-rf", &logs]).check().map(drop)
    }

    fn container_id(&self, cri: &Cri, name: &str) -> Result<String, RigError> {
        let filter = v1::ContainerFilter {
            pod_sandbox_id: self.sandbox_id.clone(),
            label_selector: [(CONTAINER_NAME_LABEL.to_owned(), name.to_owned())].into(),
            ..Default::default()
        };
        let request = v1::ListContainersRequest { filter: Some(filter) };
        let list =
            cri.call("list a pod's containers", async |mut client| client.list_containers(request).await)?;
        list.containers.into_iter().next().map(|container| container.id).ok_or_else(|| {
            RigError::NoContainer {
                container: name.to_owned(),
                pod: self.name.clone(),
                node: self.node.number(),
            }
        })
    }
}

pub(super) fn find_sandbox(cri: &Cri, name: &str) -> Result<Option<v1::PodSandbox>, RigError> {
    Ok(list_sandboxes(cri, Some(name))?.into_iter().next())
}

fn start_container(
    cri: &Cri,
    sandbox_id: &str,
    sandbox: &v1::PodSandboxConfig,
    container: &ContainerSpec,
) -> Result<(), RigError> {
    let request = v1::CreateContainerRequest {
        pod_sandbox_id: sandbox_id.to_owned(),
        config: Some(container.to_cri(sandbox)),
        sandbox_config: Some(sandbox.clone()),
    };
    let what = format!("container {:?}", container.name);
    let created =
        cri.call(&format!("create {what}"), async |mut client| client.create_container(request).await)?;
    let request = v1::StartContainerRequest { container_id: created.container_id };
    cri.call(&format!("start {what}"), async |mut client| client.start_container(request).await)?;
    Ok(())
}

fn list_sandboxes(cri: &Cri, name: Option<&str>) -> Result<Vec<v1::PodSandbox>, RigError> {
    let selector = name.map(|name| (POD_NAME_LABEL.to_owned(), name.to_owned()));
    let filter =
        v1::PodSandboxFilter { label_selector: selector.into_iter().collect(), ..Default::default() };
    let request = v1::ListPodSandboxRequest { filter: Some(filter) };
    Ok(cri.call("list the pods", async |mut client| client.list_pod_sandbox(request).await)?.items)
}

pub(super) fn remove_sandbox(cri: &Cri, id: &str) -> Result<(), RigError> {
    let request = v1::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
    cri.call("stop a pod", async |mut client| client.stop_pod_sandbox(request).await)?;
    let request = v1::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
    cri.call("remove a pod", async |mut client| client.remove_pod_sandbox(request).await)?;
    Ok(())
}

/// Finds the network namespace in containerd's verbose status; empty when there is none of its own.
fn netns_path(info: &str) -> PathBuf {
    let info: serde_json::Value = serde_json::from_str(info).unwrap_or_default();
    let namespaces = info["runtimeSpec"]["linux"]["namespaces"].as_array();
    let network = namespaces.into_iter().flatten().find(|namespace| namespace["type"] == "network");
    network.and_then(|namespace| namespace["path"].as_str()).unwrap_or_default().into()
}

pub(super) fn random_uid() -> Result<String, RigError> {
    let path = "/proc/sys/kernel/random/uuid";
    Ok(fs::read_to_string(path).map_err(RigError::file("read", path))?.trim().to_owned())
}

#[cfg(test)]
mod tests;
