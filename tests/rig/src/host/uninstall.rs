//! `manifests/uninstall` on one node: its init container, made of `hack/image`'s image, run to its end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use k8s_cri::v1;

use super::logs::ContainerLogs;
use super::pod::{random_uid, remove_sandbox};
use super::workload::{Place, Workload};
use super::{Node, RigError};
use crate::layout::NodeNumber;

const DAEMONSET: &str = "smc-uninstall";
const LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

impl Node<'_> {
    /// Uninstalls as the manifest says and returns what was logged; the agent must not run. An unsuccessful end is an
    /// error.
    pub fn uninstall(&self) -> Result<String, RigError> {
        let documents = manifests::render(&manifests::directory().join("uninstall"))?;
        let number = NodeNumber::new(self.number()).ok_or(RigError::NoNode(self.number()))?;
        let place = Place { node_name: number.host_name(), node_ip: self.ip() };
        let workload = Workload::of_init(&documents, DAEMONSET, &place)?;
        let cri = self.cri()?;
        let uid = random_uid()?;
        let logs = workload.log_directory(&uid);
        let mut prepare = vec!["mkdir", "-p", &logs];
        prepare.extend(workload.directories.iter().map(String::as_str));
        self.command(&prepare).check()?;
        let config = workload.sandbox(&uid);
        let request = v1::RunPodSandboxRequest { config: Some(config.clone()), ..Default::default() };
        let sandbox = cri.call("start the sandbox for uninstalling", async |mut client| {
            client.run_pod_sandbox(request).await
        })?;
        let sandbox = sandbox.pod_sandbox_id;
        let ended = self.run_to_end(&cri, &workload, &sandbox, config);
        let log = self.command(&["sh", "-c", r#"cat "$1"/*.log"#, "sh", &logs]).output()?;
        remove_sandbox(&cri, &sandbox)?;
        let log = String::from_utf8_lossy(&ContainerLogs::parse(&log.stdout).stderr).into_owned();
        match ended? {
            0 => Ok(log),
            code => Err(RigError::Command {
                command: "smc-agent uninstall".to_owned(),
                node: self.number(),
                status: format!("exit status {code}"),
                stderr: log,
            }),
        }
    }

    fn run_to_end(
        &self,
        cri: &super::cri::Cri,
        workload: &Workload,
        sandbox: &str,
        config: v1::PodSandboxConfig,
    ) -> Result<i32, RigError> {
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(workload.container(&config, 0)?),
            sandbox_config: Some(config),
        };
        let created = cri.call("create the container for uninstalling", async |mut client| {
            client.create_container(request).await
        })?;
        let container_id = created.container_id;
        let request = v1::StartContainerRequest { container_id: container_id.clone() };
        cri.call("start uninstalling", async |mut client| client.start_container(request).await)?;
        let end = Instant::now() + LIMIT;
        loop {
            let request = v1::ContainerStatusRequest { container_id: container_id.clone(), verbose: false };
            let status = cri
                .call("ask whether uninstalling has ended", async |mut client| {
                    client.container_status(request).await
                })?
                .status
                .unwrap_or_default();
            if status.state == i32::from(v1::ContainerState::ContainerExited) {
                return Ok(status.exit_code);
            }
            if Instant::now() > end {
                let what = "the end of uninstalling".to_owned();
                return Err(RigError::Timeout { what, node: self.number(), seconds: LIMIT.as_secs() });
            }
            sleep(POLL);
        }
    }
}
