//! The container runtime, asked over CRI which pods run on this node.

mod info;
mod kernel;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerEventResponse, GetEventsRequest, ListPodSandboxRequest, NamespaceMode, PodSandbox,
    PodSandboxState, PodSandboxStatusRequest, PodSandboxStatusResponse, StatusRequest, VersionRequest,
};
use smc_model::{Particulars, Wish};
use smc_state::PodName;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status, Streaming};

use crate::chain::{LoadedChain, Runtime, RuntimeError};

pub use info::InfoError;
pub use kernel::PodRuntime;

/// Where containerd listens.
pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
/// Longest wait for one answer. A runtime that starts, or a busy node, takes seconds.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Verbose answers of big nodes; the default of 4 MiB would do for some hundred pods.
const MESSAGE_LIMIT: usize = 32 << 20;

/// Why the runtime could not tell.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// The runtime did not answer, or refused.
    #[error("the container runtime at {} did not {action}: {}", socket.display(), told(status))]
    Call {
        /// Its socket.
        socket: PathBuf,
        /// What was asked of it.
        action: &'static str,
        /// What came back.
        status: Box<Status>,
    },
    /// The answer lacks what is needed.
    #[error("the container runtime's answer about pod sandbox {sandbox} cannot be used")]
    Answer {
        /// The sandbox.
        sandbox: String,
        /// What is missing.
        #[source]
        source: InfoError,
    },
}

impl CriError {
    /// Whether the runtime says that there is no such sandbox (any more).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Call { status, .. } if status.code() == Code::NotFound)
    }

    /// Whether the runtime does not know the call at all.
    pub fn is_unknown_call(&self) -> bool {
        matches!(self, Self::Call { status, .. } if status.code() == Code::Unimplemented)
    }
}

/// A status in words: code and message, and the cause that a transport error hides.
fn told(status: &Status) -> String {
    let causes = std::iter::successors(std::error::Error::source(status), |cause| cause.source());
    let own = format!("{:?}: {}", status.code(), status.message());
    std::iter::once(own).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

/// A pod sandbox, as the runtime lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Its id: `CNI_CONTAINERID`.
    pub id: String,
    /// The pod.
    pub pod: PodName,
    /// What the pod asks for.
    pub wish: Wish,
    /// How, as its owner says it.
    pub particulars: Particulars,
    /// Whether it runs.
    pub ready: bool,
    /// The runtime's handler that runs it; empty for its default.
    pub handler: String,
}

/// What is known of one sandbox only when asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxNetwork {
    /// Whether it runs.
    pub ready: bool,
    /// Path of its network namespace; `None` for a pod in the host's own.
    pub netns: Option<PathBuf>,
    /// What runs it.
    pub runtime: PodRuntime,
}

/// A connection to the runtime; made when first needed, and again when it broke.
#[derive(Debug, Clone)]
pub struct Cri {
    socket: PathBuf,
    client: RuntimeServiceClient<Channel>,
}

impl Cri {
    /// For the runtime that listens on `socket`. Nothing is sent yet.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        let socket = socket.into();
        let path = socket.clone();
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel =
            Endpoint::from_static("http://cri").timeout(CALL_LIMIT).connect_with_connector_lazy(connector);
        let client = RuntimeServiceClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT);
        Self { socket, client }
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The runtime's name and version.
    pub async fn version(&self) -> Result<(String, String), CriError> {
        let answer = self.client.clone().version(VersionRequest::default()).await;
        let version = self.answer("tell its version", answer)?;
        Ok((version.runtime_name, version.runtime_version))
    }

    /// What the runtime tells of itself when asked for everything, by topic, each in JSON.
    pub async fn verbose_status(&self) -> Result<std::collections::HashMap<String, String>, CriError> {
        let answer = self.client.clone().status(StatusRequest { verbose: true }).await;
        self.answer("tell its status", answer).map(|status| status.info)
    }

    /// Every pod sandbox, running or not.
    pub async fn sandboxes(&self) -> Result<Vec<Sandbox>, CriError> {
        let answer = self.client.clone().list_pod_sandbox(ListPodSandboxRequest::default()).await;
        Ok(self.answer("list the pod sandboxes", answer)?.items.into_iter().map(sandbox).collect())
    }

    /// One sandbox's state and network namespace.
    pub async fn network(&self, sandbox: &str) -> Result<SandboxNetwork, CriError> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: sandbox.to_owned(), verbose: true };
        let answer = self.client.clone().pod_sandbox_status(request).await;
        let answer = self.answer("tell a pod sandbox's status", answer)?;
        network(&answer).map_err(|source| CriError::Answer { sandbox: sandbox.to_owned(), source })
    }

    /// A message whenever a container begins or ends; containerd has this from 1.7 on.
    pub async fn events(&self) -> Result<Streaming<ContainerEventResponse>, CriError> {
        // Not through the client with its time limit: the stream lasts.
        let answer = self.client.clone().get_container_events(GetEventsRequest {}).await;
        self.answer("tell of its containers' events", answer)
    }

    fn answer<T>(&self, action: &'static str, answer: Result<Response<T>, Status>) -> Result<T, CriError> {
        answer.map(Response::into_inner).map_err(|status| CriError::Call {
            socket: self.socket.clone(),
            action,
            status: Box::new(status),
        })
    }
}

/// Asks the runtime which CNI chain it has loaded, over a connection for each question: it is asked seldom, and from
/// another thread than the rest.
#[derive(Debug, Clone)]
pub struct LoadedByRuntime {
    socket: PathBuf,
}

impl LoadedByRuntime {
    /// For the runtime that listens on `socket`.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }
}

impl Runtime for LoadedByRuntime {
    async fn loaded_chain(&self) -> Result<LoadedChain, RuntimeError> {
        let status = Cri::at(&self.socket).verbose_status().await;
        let status = status.map_err(|error| RuntimeError::Call(error.to_string()))?;
        LoadedChain::from_status(&status.into_iter().collect())
    }
}

fn sandbox(listed: PodSandbox) -> Sandbox {
    let metadata = listed.metadata.unwrap_or_default();
    let annotations = || listed.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    Sandbox {
        wish: Wish::of(annotations()),
        particulars: Particulars::of(annotations()),
        ready: listed.state == PodSandboxState::SandboxReady as i32,
        pod: PodName { namespace: metadata.namespace, name: metadata.name, uid: metadata.uid },
        id: listed.id,
        handler: listed.runtime_handler,
    }
}

fn network(answer: &PodSandboxStatusResponse) -> Result<SandboxNetwork, InfoError> {
    let status = answer.status.as_ref().ok_or(InfoError::NoStatus)?;
    let options = status.linux.as_ref().and_then(|linux| linux.namespaces.as_ref()?.options.as_ref());
    let ready = status.state == PodSandboxState::SandboxReady as i32;
    if options.is_some_and(|options| options.network == NamespaceMode::Node as i32) {
        return Ok(SandboxNetwork { ready, netns: None, runtime: PodRuntime::default() });
    }
    let info = answer.info.get("info").ok_or(InfoError::NotVerbose)?;
    let runtime = PodRuntime { handler: status.runtime_handler.clone(), kind: info::runtime_type(info) };
    Ok(SandboxNetwork { ready, netns: Some(info::netns_path(info)?), runtime })
}
