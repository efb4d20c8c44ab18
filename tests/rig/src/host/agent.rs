//! The agent of a node: a container made of `hack/image`'s image, as the rendered `DaemonSet` says.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use k8s_cri::v1;
use smc_surfaces::smcctl::NodeStatus;
use smc_surfaces::status::ChainState;

use super::cri::Cri;
use super::logs::ContainerLogs;
use super::pod::{find_sandbox, random_uid};
use super::spec::log_directory;
use super::state::repository;
use super::workload::{Place, Workload};
use super::{Node, RigError};
use crate::layout::{CONTAINERD_SOCKET, NodeNumber, SNAPSHOTTER};

const DAEMONSET: &str = "smc-agent";
/// Emulated, this takes seconds; a busy machine takes longer.
const LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// How an agent's process is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// SIGTERM, as in an upgrade.
    Terminate,
    /// SIGKILL, as in a crash.
    Kill,
}

/// A node's agent. Nothing starts it again but [`Agent::start`]: there is no kubelet.
#[derive(Debug, Clone)]
pub struct Agent<'a> {
    node: Node<'a>,
    workload: Workload,
}

/// `hack/image`'s result.
fn image_archive() -> PathBuf {
    repository().join("target/dist/kube-smc.tar")
}

/// Fails when `hack/image` was not run, or `hack/build` after it.
pub(crate) fn check_built() -> Result<(), RigError> {
    let built = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let archive = image_archive();
    let binaries = ["smc-agent", "smc-cni", "smcctl"].map(|name| built(&archive.with_file_name(name)));
    match built(&archive) {
        Some(time) if binaries.iter().all(|binary| binary.is_some_and(|binary| binary <= time)) => Ok(()),
        _ => Err(RigError::NotBuilt(archive)),
    }
}

impl<'a> Node<'a> {
    /// The node's agent; an error on a bare rig.
    pub fn agent(&self) -> Result<Agent<'a>, RigError> {
        if self.rig().is_bare() {
            return Err(RigError::NoAgent(self.number()));
        }
        let documents = manifests::render(&manifests::directory())?;
        let number = NodeNumber::new(self.number()).ok_or(RigError::NoNode(self.number()))?;
        let place = Place { node_name: number.host_name(), node_ip: self.ip() };
        Ok(Agent { node: self.clone(), workload: Workload::of(&documents, DAEMONSET, &place)? })
    }
}

impl Agent<'_> {
    /// Imports the image, starts the agent for the first time, and waits until it has prepared the node and chained the
    /// plugin: a pod that starts now is set up.
    pub(crate) fn install(&self) -> Result<(), RigError> {
        let cri = self.node.cri()?;
        self.import_image(&cri)?;
        let uid = random_uid()?;
        let script = r#"mkdir -p "$@""#;
        let mut prepare = vec!["sh", "-ec", script, "sh"];
        let logs = self.workload.log_directory(&uid);
        prepare.push(&logs);
        prepare.extend(self.workload.directories.iter().map(String::as_str));
        self.node.command(&prepare).check()?;
        for file in &self.workload.config_maps {
            let script = r#"mkdir -p "$1" && printf %s "$3" >"$1/$2""#;
            let command = ["sh", "-ec", script, "sh", &file.directory, &file.name, &file.text];
            self.node.command(&command).check()?;
        }
        let sandbox = self.workload.sandbox(&uid);
        let request = v1::RunPodSandboxRequest { config: Some(sandbox), ..Default::default() };
        cri.call("start the agent's sandbox", async |mut client| client.run_pod_sandbox(request).await)?;
        self.start()?;
        self.await_chained()
    }

    /// Waits as the kubelet does before it calls the pod ready, and until the runtime has loaded the plugin's entry, for which the
    /// kubelet would not wait for ever.
    pub fn await_chained(&self) -> Result<(), RigError> {
        let started =
            self.eventually("its start", || Ok(self.exec(&self.workload.startup_probe)?.status.success()));
        let chained = started.and_then(|()| {
            self.eventually("the runtime's loading of the plugin's chain entry", || {
                let status = self.exec(&["/smcctl", "status", "--json"])?;
                let status: NodeStatus = serde_json::from_slice(&status.stdout).unwrap_or_default();
                Ok(status.chain.state == Some(ChainState::Loaded))
            })
        });
        chained.map_err(|error| RigError::AgentNotStarted {
            log: self.log().unwrap_or_else(|error| error.to_string()),
            source: Box::new(error),
        })
    }

    /// The same agent with one capability less than the manifest gives it, to see what it needs it for.
    #[must_use]
    pub fn without_capability(mut self, name: &str) -> Self {
        self.workload.drop_capability(name);
        self
    }

    /// The same agent with more arguments than the manifest gives it.
    #[must_use]
    pub fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.workload.add_arguments(arguments);
        self
    }

    /// The same agent with another value of one of its environment's variables, as another ConfigMap gives it.
    #[must_use]
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.workload.set_environment(name, value);
        self
    }

    fn import_image(&self, cri: &Cri) -> Result<(), RigError> {
        let archive = image_archive().display().to_string();
        let import = ["--namespace", "k8s.io", "images", "import", "--snapshotter", SNAPSHOTTER, &archive];
        self.node.command(&[&["ctr", "--address", CONTAINERD_SOCKET], import.as_slice()].concat()).check()?;
        // The CRI learns of it by an event.
        self.eventually(&format!("the import of {}", self.workload.image), || {
            cri.has_image(&self.workload.image)
        })
    }

    /// What the agent has written to its standard error, since the node was booted.
    pub fn log(&self) -> Result<String, RigError> {
        let directory = log_directory(&self.workload.name, &self.workload.namespace, "*");
        let script = format!("ls -v {directory}/{}/*.log | xargs cat", self.workload.container);
        let output = self.node.command(&["sh", "-ec", &script]).check()?;
        Ok(String::from_utf8_lossy(&ContainerLogs::parse(&output.stdout).stderr).into_owned())
    }

    /// Runs a command in the agent's container. An unsuccessful end is not an error.
    pub fn exec(&self, argv: &[impl AsRef<str>]) -> Result<Output, RigError> {
        let cri = self.node.cri()?;
        let (_, container) = self.find(&cri)?;
        let container = container.ok_or_else(|| self.no_container())?;
        let request = v1::ExecSyncRequest {
            container_id: container.id,
            cmd: argv.iter().map(|word| word.as_ref().to_owned()).collect(),
            timeout: 0,
        };
        let response = cri.call("run a command in the agent's container", async |mut client| {
            client.exec_sync(request).await
        })?;
        let status = ExitStatus::from_raw((response.exit_code & 0xff) << 8);
        Ok(Output { status, stdout: response.stdout, stderr: response.stderr })
    }

    /// Ends the agent's process as the kubelet does, and returns its exit code when it is gone. The pod stays.
    pub fn end(&self, ending: Ending) -> Result<i32, RigError> {
        let cri = self.node.cri()?;
        let (_, container) = self.find(&cri)?;
        let container = container.ok_or_else(|| self.no_container())?;
        // Without time to end by itself it is killed at once.
        let timeout = match ending {
            Ending::Terminate => self.workload.grace_period(),
            Ending::Kill => 0,
        };
        let request = v1::StopContainerRequest { container_id: container.id.clone(), timeout };
        cri.call("stop the agent", async |mut client| client.stop_container(request).await)?;
        let request = v1::ContainerStatusRequest { container_id: container.id, verbose: false };
        let status =
            cri.call("see how the agent ended", async |mut client| client.container_status(request).await)?;
        Ok(status.status.map_or(0, |status| status.exit_code))
    }

    /// Starts the agent as the kubelet does after its end: a new container in the same pod, the old one removed.
    pub fn start(&self) -> Result<(), RigError> {
        let cri = self.node.cri()?;
        let (sandbox, last) = self.find(&cri)?;
        let uid = sandbox.metadata.unwrap_or_default().uid;
        let config = self.workload.sandbox(&uid);
        let attempt = |container: &v1::Container| container.metadata.as_ref().map_or(0, |of| of.attempt);
        let attempt = last.as_ref().map_or(0, |last| attempt(last) + 1);
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: sandbox.id,
            config: Some(self.workload.container(&config, attempt)?),
            sandbox_config: Some(config),
        };
        let created = cri.call("create the agent's container", async |mut client| {
            client.create_container(request).await
        })?;
        let request = v1::StartContainerRequest { container_id: created.container_id };
        cri.call("start the agent", async |mut client| client.start_container(request).await)?;
        if let Some(last) = last {
            let request = v1::RemoveContainerRequest { container_id: last.id };
            cri.call("remove the agent's last container", async |mut client| {
                client.remove_container(request).await
            })?;
        }
        Ok(())
    }

    /// The agent's sandbox and its newest container.
    fn find(&self, cri: &Cri) -> Result<(v1::PodSandbox, Option<v1::Container>), RigError> {
        let missing = || RigError::NoPod { pod: self.workload.name.clone(), node: self.node.number() };
        let sandbox = find_sandbox(cri, &self.workload.name)?.ok_or_else(missing)?;
        let filter = v1::ContainerFilter { pod_sandbox_id: sandbox.id.clone(), ..Default::default() };
        let request = v1::ListContainersRequest { filter: Some(filter) };
        let list = cri
            .call("list the agent's containers", async |mut client| client.list_containers(request).await)?;
        Ok((sandbox, list.containers.into_iter().max_by_key(|container| container.created_at)))
    }

    fn no_container(&self) -> RigError {
        RigError::NoContainer {
            container: self.workload.container.clone(),
            pod: self.workload.name.clone(),
            node: self.node.number(),
        }
    }

    fn eventually(&self, what: &str, look: impl Fn() -> Result<bool, RigError>) -> Result<(), RigError> {
        let end = Instant::now() + LIMIT;
        while !look()? {
            if Instant::now() > end {
                let (what, node) = (what.to_owned(), self.node.number());
                return Err(RigError::Timeout { what, node, seconds: LIMIT.as_secs() });
            }
            sleep(POLL);
        }
        Ok(())
    }
}
