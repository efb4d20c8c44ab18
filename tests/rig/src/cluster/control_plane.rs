//! The control plane: Kubernetes' programs on the rig's network, beside the nodes.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::ClusterError;
use super::files::{API_PORT, Files, OTHER_API_PORT, SERVICES, SERVICES_V6};
use crate::host::{Network, StateDirectory};
use crate::layout::OUTSIDE_ADDRESS;

const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEERS: &str = "http://127.0.0.1:2380";
/// The directory of the other control plane's API server.
const OTHER: &str = "other";
/// Beside two booting nodes on two CPUs.
const LIMIT: Duration = Duration::from_secs(180);

/// One program of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Where the API server keeps everything.
    Etcd,
    /// The API server.
    ApiServer,
    /// Deployments, DaemonSets, endpoints, nodes that do not answer, garbage.
    ControllerManager,
    /// Decides which node a pod runs on.
    Scheduler,
    /// Gives Services names.
    Dns,
    /// The API server of another control plane, such as a mesh's, which is not started with the rest.
    OtherApiServer,
}

impl Program {
    /// Those of every cluster, in the order in which they are started.
    pub const ALL: [Self; 5] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Dns];

    /// The program's file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer | Self::OtherApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Dns => "coredns",
        }
    }

    /// Where it runs, below the rig's directory: two of one name are told apart by it.
    pub(super) fn place(self, state: &StateDirectory) -> PathBuf {
        match self {
            Self::OtherApiServer => state.path().join(OTHER),
            _ => state.path().to_owned(),
        }
    }

    fn log(self) -> String {
        match self {
            Self::OtherApiServer => format!("{OTHER}.log"),
            _ => format!("{}.log", self.name()),
        }
    }

    /// Starts it on the network, as one of the rig's processes; what it says is in a log of the cluster's directory.
    pub(crate) fn start(
        self,
        files: &Files,
        state: &StateDirectory,
        network: &Network,
    ) -> Result<(), ClusterError> {
        let log_path = files.path(&self.log());
        let place = self.place(state);
        fs::create_dir_all(&place).map_err(ClusterError::file("make the directory", &place))?;
        let log = OpenOptions::new().create(true).append(true).open(&log_path);
        let log = log.map_err(ClusterError::file("open", &log_path))?;
        let error_log = log.try_clone().map_err(ClusterError::file("open", &log_path))?;
        let program = files.program(self.name());
        let mut command = Command::new(&program);
        command
            .args(self.arguments(files))
            .current_dir(&place)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(error_log)
            .process_group(0);
        let child = network.spawn(&mut command).map_err(crate::host::RigError::from)?;
        // It is found again by its name and directory; see rig/processes.rs.
        child.map(drop).map_err(|source| ClusterError::Start { program, source })
    }

    fn arguments(self, files: &Files) -> Vec<String> {
        let file = |option: &str, name: &str| format!("--{option}={}", files.text(name));
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match self {
            Self::Etcd => {
                let mut arguments = words(&["--unsafe-no-fsync", "--name=rig"]);
                arguments.push(file("data-dir", "etcd"));
                arguments.extend([
                    format!("--listen-client-urls={ETCD}"),
                    format!("--advertise-client-urls={ETCD}"),
                    format!("--listen-peer-urls={ETCD_PEERS}"),
                    format!("--initial-advertise-peer-urls={ETCD_PEERS}"),
                    format!("--initial-cluster=rig={ETCD_PEERS}"),
                ]);
                arguments
            }
            Self::ApiServer | Self::OtherApiServer => {
                let other = self == Self::OtherApiServer;
                let (port, prefix) = if other { (OTHER_API_PORT, "/other") } else { (API_PORT, "/registry") };
                let mut arguments = vec![
                    format!("--etcd-servers={ETCD}"),
                    format!("--etcd-prefix={prefix}"),
                    format!("--bind-address={OUTSIDE_ADDRESS}"),
                    format!("--advertise-address={OUTSIDE_ADDRESS}"),
                    format!("--secure-port={port}"),
                    // Services have an IPv6 address only where one is asked for.
                    format!("--service-cluster-ip-range={SERVICES},{SERVICES_V6}"),
                    file("client-ca-file", "ca.crt"),
                    file("tls-cert-file", "apiserver.crt"),
                    file("tls-private-key-file", "apiserver.key"),
                    file("service-account-key-file", "sa.pub"),
                    file("service-account-signing-key-file", "sa.key"),
                    file("kubelet-certificate-authority", "ca.crt"),
                    file("kubelet-client-certificate", "apiserver-kubelet-client.crt"),
                    file("kubelet-client-key", "apiserver-kubelet-client.key"),
                ];
                arguments.extend(words(&[
                    "--authorization-mode=Node,RBAC",
                    "--enable-admission-plugins=NodeRestriction",
                    "--service-account-issuer=https://kubernetes.default.svc",
                    "--kubelet-preferred-address-types=InternalIP",
                    "--allow-privileged=true",
                ]));
                arguments
            }
            Self::ControllerManager => {
                let mut arguments =
                    words(&["--use-service-account-credentials=true", "--leader-elect=false"]);
                arguments.push(file("kubeconfig", "controller-manager.kubeconfig"));
                arguments.push(file("service-account-private-key-file", "sa.key"));
                arguments.push(file("root-ca-file", "ca.crt"));
                arguments
            }
            Self::Scheduler => {
                vec!["--leader-elect=false".to_owned(), file("kubeconfig", "scheduler.kubeconfig")]
            }
            Self::Dns => vec!["-conf".to_owned(), files.text("Corefile")],
        }
    }
}

/// What CoreDNS answers: the cluster's names, and nothing else, for there is nothing else.
pub(crate) fn corefile(files: &Files) -> String {
    format!(
        ".:53 {{\n    errors\n    kubernetes cluster.local in-addr.arpa {{\n        \
         kubeconfig {} rig\n        ttl 5\n    }}\n    cache 5\n}}\n",
        files.text("coredns.kubeconfig")
    )
}

/// Waits until the API server that this kubeconfig names answers that it is ready.
pub(crate) fn await_api(files: &Files, network: &Network, kubeconfig: &str) -> Result<(), ClusterError> {
    let end = Instant::now() + LIMIT;
    loop {
        let mut command = Command::new(files.program("kubectl"));
        command.args(["--kubeconfig", &files.text(kubeconfig), "get", "--raw", "/readyz"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let answered = network.run(|| command.status()).map_err(crate::host::RigError::from)?;
        if answered.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        if Instant::now() > end {
            let log = files.path("kube-apiserver.log");
            return Err(ClusterError::NotReady { seconds: LIMIT.as_secs(), log });
        }
        sleep(Duration::from_millis(250));
    }
}
