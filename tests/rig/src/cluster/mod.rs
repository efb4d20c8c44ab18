//! A Kubernetes cluster: the rig's nodes with kubelets and kube-proxies, and a control plane beside them. All of it are
//! Kubernetes' own programs.
//!
//! kubelet and kube-proxy are services of each node; etcd, API server, controller manager, scheduler and CoreDNS are processes of this machine
//! on the rig's network. They are built from pinned Go modules (`hack/kubernetes`: one program that is each of them by its name; `hack/coredns`,
//! `hack/containerd`, `hack/fortio`) by `hack/go-build`, once, into the cache. Certificates are real and new for each cluster; authorization is
//! Node and RBAC. What is not Kubernetes' own: the CNI plugin in front (the stand-in for Terway), and the NIC.

mod control_plane;
mod files;
mod pki;

use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use control_plane::Program;

use self::files::Files;
use crate::host::{Families, Link, Progress, Rig, RigError, RigName, StateDirectory, UpOptions};
use crate::layout::{KUBERNETES_DIRECTORY, NodeNumber};

/// A node's memory in MiB: kubelet, containerd, agent and 110 pods, each with a process of the runtime.
const MEMORY: u32 = 4096;
/// How long kubelets may take to join, on a busy machine.
const JOIN_LIMIT: Duration = Duration::from_secs(240);

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The nodes.
    #[error("the cluster's nodes")]
    Rig(#[from] RigError),
    /// A certificate could not be made.
    #[error("make the cluster's certificates")]
    Certificates(#[from] rcgen::Error),
    /// A file operation failed.
    #[error("{action} {path:?}")]
    File {
        /// What was attempted.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// One of Kubernetes' programs could not be started.
    #[error("start {program:?} (hack/cluster builds it)")]
    Start {
        /// Its path.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The control plane does not come.
    #[error("the API server did not answer within {seconds} s; see {log:?}")]
    NotReady {
        /// The limit.
        seconds: u64,
        /// What it said.
        log: PathBuf,
    },
    /// kubectl failed.
    #[error("kubectl {arguments}: {stderr}")]
    Kubectl {
        /// What it was asked.
        arguments: String,
        /// What it said.
        stderr: String,
    },
    /// Nodes do not come.
    #[error("only {ready} of {nodes} nodes were Ready within {seconds} s; the end of what they say:\n{said}")]
    NodesNotReady {
        /// How many are.
        ready: usize,
        /// How many should be.
        nodes: usize,
        /// The limit.
        seconds: u64,
        /// The end of the kubelets' logs.
        said: String,
    },
}

impl ClusterError {
    /// For `map_err` after a file operation.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

/// How kube-proxy does Services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ProxyMode {
    /// The default of all clusters but the newest.
    #[default]
    Iptables,
    /// By nftables.
    Nftables,
    /// By the kernel's load balancer.
    Ipvs,
}

impl fmt::Display for ProxyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iptables => "iptables",
            Self::Nftables => "nftables",
            Self::Ipvs => "ipvs",
        })
    }
}

/// What [`Cluster::up`] brings up.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The rig's name.
    pub name: RigName,
    /// 1 to 3.
    pub nodes: u8,
    /// Directories with Kubernetes' programs and CoreDNS.
    pub programs: Vec<PathBuf>,
    /// Archives of images that are to be on every node.
    pub images: Vec<PathBuf>,
    /// A directory with the programs of containerd 2, to be used instead of this machine's own.
    pub containerd: Option<PathBuf>,
    /// What kube-proxy does.
    pub proxy: ProxyMode,
    /// Whether nodes, pods and Services have IPv6 addresses, too.
    pub dual_stack: bool,
}

/// A cluster that is up.
#[derive(Debug)]
pub struct Cluster {
    rig: Rig,
    files: Files,
}

impl Cluster {
    /// Brings it up: control plane and nodes at once. Returns when all nodes are Ready and Services have names.
    pub fn up(options: &ClusterOptions, progress: Progress<'_>) -> Result<Self, ClusterError> {
        let rig_options = UpOptions {
            name: options.name.clone(),
            nodes: options.nodes,
            link: Link::Bridge,
            bare: true,
            memory: MEMORY,
            kubernetes: true,
            families: if options.dual_stack { Families::Both } else { Families::Ipv4 },
            images: options.images.clone(),
            containerd: options.containerd.clone(),
            ..UpOptions::default()
        };
        // What is prepared fails with this cause; the rig's own error has no place for it.
        let mut failed = None;
        let failure = std::cell::RefCell::new(&mut failed);
        let prepare = |state: &StateDirectory, network: &crate::host::Network| {
            let files = Files::of(state.path().join(KUBERNETES_DIRECTORY));
            let prepared = files.write(&options.programs, options.proxy).and_then(|()| {
                let corefile = files.path("Corefile");
                std::fs::write(&corefile, control_plane::corefile(&files))
                    .map_err(ClusterError::file("write", corefile))?;
                Program::ALL.iter().try_for_each(|program| program.start(&files, state, network))
            });
            prepared.map_err(|error| {
                **failure.borrow_mut() = Some(error);
                RigError::Prepare
            })
        };
        let up = Rig::up_prepared(&rig_options, progress, &prepare);
        let rig = match (up, failed) {
            (Err(RigError::Prepare), Some(error)) => return Err(error),
            (up, _) => up?,
        };
        let cluster = Self::of(rig);
        cluster.await_api()?;
        progress("the API server answers");
        cluster.await_nodes(progress)?;
        Ok(cluster)
    }

    /// A cluster that another process brought up, or this one has kept.
    pub fn attach(name: &RigName) -> Result<Self, ClusterError> {
        Ok(Self::of(Rig::attach(name)?))
    }

    fn of(rig: Rig) -> Self {
        let files = Files::of(rig.directory().path().join(KUBERNETES_DIRECTORY));
        Self { rig, files }
    }

    /// Its nodes.
    pub fn rig(&self) -> &Rig {
        &self.rig
    }

    /// Its nodes, to add or keep.
    pub fn rig_mut(&mut self) -> &mut Rig {
        &mut self.rig
    }

    /// kubectl as the cluster's administrator, to be spawned on the [`Rig::network`].
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(self.files.program("kubectl"));
        command.env("KUBECONFIG", self.files.path("admin.kubeconfig"));
        command
    }

    /// Runs kubectl to its end. An unsuccessful end is not an error.
    pub fn kubectl_output(&self, arguments: &[&str]) -> Result<Output, ClusterError> {
        let mut command = self.kubectl();
        command.args(arguments).stdin(Stdio::null());
        let output = self.rig.network().run(|| command.output()).map_err(RigError::from)?;
        output.map_err(|source| ClusterError::Start { program: self.files.program("kubectl"), source })
    }

    /// Runs kubectl and returns what it printed; any but a successful end is an error.
    pub fn kubectl_text(&self, arguments: &[&str]) -> Result<String, ClusterError> {
        let output = self.kubectl_output(arguments)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(ClusterError::Kubectl { arguments: arguments.join(" "), stderr })
    }

    /// Ends a program of the control plane at once, as a crash does.
    pub fn kill(&self, program: Program) {
        crate::host::end_named(&program.place(self.rig.directory()), program.name());
    }

    /// Starts a program of the control plane that was ended.
    pub fn start(&self, program: Program) -> Result<(), ClusterError> {
        program.start(&self.files, self.rig.directory(), self.rig.network())
    }

    /// Waits until the API server answers.
    pub fn await_api(&self) -> Result<(), ClusterError> {
        control_plane::await_api(&self.files, self.rig.network(), files::ADMIN)
    }

    /// Starts the API server of another control plane beside this one, and waits until it answers. Returns the kubeconfig of
    /// its administrator.
    pub fn start_other_api(&self) -> Result<PathBuf, ClusterError> {
        self.start(Program::OtherApiServer)?;
        control_plane::await_api(&self.files, self.rig.network(), files::OTHER_ADMIN)?;
        Ok(self.files.path(files::OTHER_ADMIN))
    }

    /// A file of the cluster's certificate authority, for other kubeconfigs.
    pub fn authority(&self) -> PathBuf {
        self.files.path("ca.crt")
    }

    /// Has a node register itself with this taint, its key and effect, when it joins next.
    pub fn join_with_taint(&self, node: u8, taint: Option<(&str, &str)>) -> Result<(), ClusterError> {
        let number = NodeNumber::new(node).ok_or(RigError::NoNode(node))?;
        self.files.write_kubelet(number, taint)
    }

    /// Waits until every node of the rig is Ready.
    pub fn await_nodes(&self, progress: Progress<'_>) -> Result<(), ClusterError> {
        let (nodes, end) = (self.rig.nodes().count(), Instant::now() + JOIN_LIMIT);
        let mut told = 0;
        loop {
            let path =
                r#"jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}"#;
            // The API server may be away for a moment.
            let said = self.kubectl_text(&["get", "nodes", "-o", path]).unwrap_or_default();
            let ready = said.lines().filter(|status| *status == "True").count();
            if ready > told {
                progress(&format!("{ready} of {nodes} nodes Ready"));
                told = ready;
            }
            if ready == nodes {
                return Ok(());
            }
            if Instant::now() > end {
                let (seconds, said) = (JOIN_LIMIT.as_secs(), self.logs(5));
                return Err(ClusterError::NodesNotReady { ready, nodes, seconds, said });
            }
            sleep(Duration::from_millis(500));
        }
    }

    /// The last lines of what the control plane and the nodes' services have said.
    pub fn logs(&self, lines: usize) -> String {
        let mut said = String::new();
        for program in Program::ALL {
            let path = self.files.path(&format!("{}.log", program.name()));
            let log = std::fs::read(&path).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let all: Vec<&str> = log.lines().collect();
            let last = &all[all.len().saturating_sub(lines)..];
            // Writing to a String cannot fail.
            let _ = writeln!(said, "==> {}\n{}", path.display(), last.join("\n"));
        }
        let lines = lines.to_string();
        let script =
            r#"tail -v -n "$1" /var/log/kubelet.log /var/log/kube-proxy.log /var/log/containerd.log"#;
        for node in self.rig.nodes() {
            let output = node.exec(&["sh", "-c", script, "sh", &lines]);
            let log = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            let log = log.unwrap_or_else(|error| error.to_string());
            let _ = write!(said, "==> node {}\n{log}", node.number());
        }
        said
    }
}
