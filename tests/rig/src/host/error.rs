//! Why the rig could not do something.

use std::io;
use std::path::PathBuf;

/// Says what was attempted on what; the cause is the error's source.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// A name that cannot be a directory and a part of a process's name.
    #[error("{0:?} is not a name for a rig: 1 to 32 of a-z, 0-9 and -")]
    Name(String),
    /// A file or directory operation failed.
    #[error("{action} {path:?}")]
    File {
        /// What was attempted.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A program of this machine could not be started.
    #[error("start {program} (installed by hack/setup)")]
    Start {
        /// Its name.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program of this machine failed.
    #[error("{program} failed: {stderr}")]
    Program {
        /// Its name.
        program: String,
        /// What it said.
        stderr: String,
    },
    /// `hack/setup` has no such kernel.
    #[error("{0}")]
    Kernel(String),
    /// The link of the nodes' NICs carries fewer nodes.
    #[error(
        "{0} nodes need a bridge: /dev/net/tun cannot be opened here (or --link socket was asked for); two work"
    )]
    LinkTooSmall(u8),
    /// The rig's network, or what is done on it.
    #[error("use the rig's network")]
    Network(#[from] smc_host::HostError),
    /// What was to be done before the nodes boot failed; whoever does it knows why.
    #[error("prepare the nodes' boot")]
    Prepare,
    /// A path cannot be told to a node.
    #[error("tell the nodes where things are")]
    BootWords(#[from] crate::layout::BootWordsError),
    /// An agent ended, or did not say that its start was over.
    #[error("wait for the agent; its log:\n{log}")]
    AgentNotStarted {
        /// What it has logged.
        log: String,
        /// Why it was not waited for any longer.
        source: Box<Self>,
    },
    /// A rig of that name runs, or is being brought up.
    #[error(
        "a rig named {name:?} is up already: use it, take it down (rig down --name {name}), or take another --name"
    )]
    AlreadyUp {
        /// Its name.
        name: String,
    },
    /// There is no rig of that name.
    #[error("no rig named {name:?} is up: rig up --name {name}")]
    NotUp {
        /// The name.
        name: String,
    },
    /// What the state directory holds is not what this version writes.
    #[error("read {path:?}: take the rig down and up again")]
    State {
        /// The state file.
        path: PathBuf,
        /// Why it is not understood.
        source: serde_json::Error,
    },
    /// The rig has fewer nodes.
    #[error("this rig has no node {0}")]
    NoNode(u8),
    /// The node is up.
    #[error("node {0} is up already")]
    NodeIsThere(u8),
    /// The image that is tested here has not been built, or not of the present binaries.
    #[error(
        "{0:?} is not there, or older than the binaries: run ./hack/image (or bring the rig up with --bare)"
    )]
    NotBuilt(PathBuf),
    /// The manifests cannot be rendered, or ask for what the rig does not do.
    #[error("use the manifests of the agent")]
    Manifests(#[from] manifests::ManifestError),
    /// The rig was brought up without the agent.
    #[error("node {0} has no agent: the rig was brought up with --bare")]
    NoAgent(u8),
    /// The program that runs inside the nodes has not been built.
    #[error("{0:?} is not there: run cargo build -p rig")]
    GuestNotBuilt(PathBuf),
    /// A node's emulator ended, or the node could not set itself up.
    #[error("node {node} {what}; the end of {log:?}:\n{tail}")]
    NodeDied {
        /// The node's number.
        node: u8,
        /// What happened.
        what: String,
        /// The node's serial log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// A connection to a node failed.
    #[error("{action} node {node}")]
    Session {
        /// What was attempted.
        action: &'static str,
        /// The node's number.
        node: u8,
        /// The system's answer.
        source: io::Error,
    },
    /// A node did not do what it was asked.
    #[error("node {node} refused: {why}")]
    Refused {
        /// The node's number.
        node: u8,
        /// The node's words.
        why: String,
    },
    /// Something took longer than it may.
    #[error("{what} on node {node} did not happen within {seconds} s")]
    Timeout {
        /// What was awaited.
        what: String,
        /// The node's number.
        node: u8,
        /// The limit.
        seconds: u64,
    },
    /// A command in a node failed that the rig itself relies on.
    #[error("{command} on node {node}: {status}: {stderr}")]
    Command {
        /// The command line.
        command: String,
        /// The node's number.
        node: u8,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// containerd answered with an error.
    #[error("{action} on node {node}: {message}")]
    Cri {
        /// The CRI call and its subject.
        action: String,
        /// The node's number.
        node: u8,
        /// containerd's words.
        message: String,
    },
    /// No pod of that name on the node.
    #[error("no pod {pod:?} on node {node}")]
    NoPod {
        /// The pod's name.
        pod: String,
        /// The node's number.
        node: u8,
    },
    /// A pod of that name is there already.
    #[error("node {node} has a pod {pod:?} already: rig rm {node} {pod}")]
    PodExists {
        /// The pod's name.
        pod: String,
        /// The node's number.
        node: u8,
    },
    /// The pod has no such container.
    #[error("pod {pod:?} on node {node} has no container {container:?}")]
    NoContainer {
        /// The container's name.
        container: String,
        /// The pod's name.
        pod: String,
        /// The node's number.
        node: u8,
    },
}

impl RigError {
    /// For `map_err` after a file operation.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// For `map_err` after an operation on the connection to a node.
    pub(crate) fn session(action: &'static str, node: u8) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Session { action, node, source }
    }
}
