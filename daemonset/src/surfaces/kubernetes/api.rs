//! A client of one API server: paced, never waiting without end, and telling what went wrong in one line.

mod fault;

use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use hyper::http;
use kube::api::{Patch, PatchParams, PostParams};
use kube::client::{ClientBuilder, DynBody};
use kube::config::{Config, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::request::Request;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::Notify;
use tower::BoxError;
use tower::util::MapFutureLayer;

use super::COMPONENT;
use crate::surfaces::kubernetes::token_bucket::TokenBucket;

pub use fault::{Fault, explain, explain_connect, explain_status, fault, fault_of};

/// Longest wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Longest wait until an answer begins. A watch answers at once and then stays open.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Longest silence inside an answer: watches last 290 s at most.
const SILENCE: Duration = Duration::from_secs(300);
/// Longest text of a server that is repeated in a message: some answer with a whole page.
const SERVER_TEXT_BYTES: usize = 200;

/// Which API server, and with whose rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// That of the cluster this pod runs in, as its service account.
    InCluster,
    /// As a kubeconfig file says.
    Kubeconfig(PathBuf),
}

impl Source {
    /// The file when there is one, else the cluster.
    pub fn new(kubeconfig: Option<PathBuf>) -> Self {
        kubeconfig.map_or(Self::InCluster, Self::Kubeconfig)
    }

    /// Whether there is any hope: outside of a cluster there is no service account.
    pub fn exists(&self) -> bool {
        match self {
            Self::InCluster => env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
            Self::Kubeconfig(_) => true,
        }
    }
}

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// This process does not run in a pod with a service account.
    #[error("cannot use the pod's service account")]
    InCluster(#[source] InClusterError),
    /// The file is not there, or cannot be read.
    #[error("cannot read the kubeconfig {}", path.display())]
    ReadKubeconfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is no kubeconfig. The parser's own words are left out: they can repeat lines of the file, and the file
    /// holds secrets.
    #[error("{} is not a kubeconfig in YAML", path.display())]
    NoKubeconfig {
        /// The file.
        path: PathBuf,
    },
    /// What the kubeconfig names is missing or unusable.
    #[error("the kubeconfig {} cannot be used", path.display())]
    UseKubeconfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: KubeconfigError,
    },
    /// Keys, certificates or the address are unusable.
    #[error("cannot make a client for {server}")]
    Client {
        /// The server's URL.
        server: String,
        /// Why not.
        source: Box<kube::Error>,
    },
}

/// How often a server is asked at most, whatever it answers: one that ends every watch at once would otherwise be asked
/// as fast as it can answer.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How many requests may follow each other at once.
    pub burst: u32,
    /// One more may follow every so often.
    pub every: Duration,
}

impl Pace {
    /// For what changes seldom.
    pub const SELDOM: Self = Self { burst: 10, every: Duration::from_secs(2) };
    /// For what has a limit of its own.
    pub const OFTEN: Self = Self { burst: 50, every: Duration::from_millis(500) };
}

/// A client. It holds no promise that the server can be reached.
#[derive(Clone)]
pub struct ApiClient {
    /// For kube's own calls.
    pub client: kube::Client,
    /// The server's URL.
    pub server: String,
    answers: Arc<Answers>,
}

/// What is remembered of a server's answers.
struct Answers {
    good: Notify,
    retry_after_s: AtomicU64,
    pace: Mutex<TokenBucket>,
}

impl ApiClient {
    /// Reads the configuration anew and makes a client of it; nothing is sent yet.
    pub async fn connect(source: &Source, pace: Pace) -> Result<Self, ConnectError> {
        let mut config = match source {
            Source::InCluster => Config::incluster().map_err(ConnectError::InCluster)?,
            Source::Kubeconfig(path) => read_kubeconfig(path).await?,
        };
        config.connect_timeout = Some(CONNECT_WITHIN);
        config.read_timeout = Some(SILENCE);
        config.reset_reader_on_write = true;
        // Retries are ours: they must be seen, and wait longer.
        config.default_retry = false;
        let server = config.cluster_url.to_string();
        let answers = Arc::new(Answers {
            good: Notify::new(),
            retry_after_s: AtomicU64::new(0),
            pace: Mutex::new(TokenBucket::new(pace.burst, pace.every)),
        });
        let builder = ClientBuilder::try_from(config)
            .map_err(|source| ConnectError::Client { server: server.clone(), source: Box::new(source) })?;
        let layer = {
            let answers = Arc::clone(&answers);
            MapFutureLayer::new(move |answer| answers.clone().watch_over(answer))
        };
        Ok(Self { client: builder.with_layer(&layer).build(), server, answers })
    }

    /// Sends a request that changes something, and drops what comes back.
    pub async fn write(&self, request: ApiRequest) -> kube::Result<()> {
        let request = request.map_err(kube::Error::BuildRequest)?;
        self.client.request_text(request).await.map(drop)
    }

    /// What went wrong with a call, on one line: with the server's name where it is the server that is missed.
    pub fn explain(&self, error: &kube::Error) -> String {
        let why = explain(error);
        if matches!(error, kube::Error::Api(_)) || fault(error) != Fault::Unreachable {
            return why;
        }
        format!("the API server {} cannot be reached: {why}", self.server.trim_end_matches('/'))
    }

    /// Waits for the next answer that is no error, also one that came since the last call.
    pub async fn answered(&self) {
        self.answers.good.notified().await;
    }

    /// Forgets an answer that nobody waited for: what went wrong since then counts.
    pub fn forget_answer(&self) {
        let _ = self.answered().now_or_never();
    }

    /// How long the server asked to wait in its last answer, if it did.
    pub fn asked_to_wait(&self) -> Duration {
        Duration::from_secs(self.answers.retry_after_s.swap(0, Ordering::Relaxed))
    }
}

impl Answers {
    async fn watch_over<F>(self: Arc<Self>, answer: F) -> Result<http::Response<Box<DynBody>>, BoxError>
    where
        F: Future<Output = Result<http::Response<Box<DynBody>>, BoxError>>,
    {
        self.turn().await;
        let answer = tokio::time::timeout(ANSWER_WITHIN, answer)
            .await
            .map_err(|_| format!("no answer within {} s", ANSWER_WITHIN.as_secs()))??;
        if answer.status().is_success() {
            self.good.notify_one();
        } else {
            let header = answer.headers().get(http::header::RETRY_AFTER);
            let seconds = header.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
            // An hour is more than any server means.
            self.retry_after_s.store(u64::min(seconds, 3600), Ordering::Relaxed);
        }
        Ok(answer)
    }

    async fn turn(&self) {
        loop {
            let turn = self.pace.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
            match turn {
                Ok(()) => return,
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
    }
}

async fn read_kubeconfig(path: &Path) -> Result<Config, ConnectError> {
    let use_error = |source| ConnectError::UseKubeconfig { path: path.to_owned(), source };
    let kubeconfig = match Kubeconfig::read_from(path) {
        Ok(kubeconfig) => kubeconfig,
        Err(KubeconfigError::ReadConfig(source, _)) => {
            return Err(ConnectError::ReadKubeconfig { path: path.to_owned(), source });
        }
        Err(KubeconfigError::Parse(_)) => return Err(ConnectError::NoKubeconfig { path: path.to_owned() }),
        Err(source) => return Err(use_error(source)),
    };
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(use_error)
}

/// What went wrong with a call about this node, on one line, and how long the server asked to wait. A client whose credentials
/// are not accepted is dropped, so that the next call reads them anew.
pub fn node_call_failed(kept: &mut Option<ApiClient>, error: &kube::Error) -> (String, Duration) {
    let Some(client) = kept else { return (explain(error), Duration::ZERO) };
    let asked = client.asked_to_wait();
    let mut why = client.explain(error);
    match fault(error) {
        Fault::NotFound => why.push_str("; is --node-name right?"),
        Fault::Unauthenticated => *kept = None,
        _ => {}
    }
    (why, asked)
}

type ApiRequest = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

/// The request that creates an object under a collection's path.
pub fn create(collection: &str, body: &Value) -> ApiRequest {
    let parameters = PostParams { field_manager: Some(COMPONENT.to_owned()), ..PostParams::default() };
    Request::new(collection).create(&parameters, body.to_string().into_bytes())
}

/// The request that replaces some fields of an object.
pub fn patch(collection: &str, name: &str, patch: &Value) -> ApiRequest {
    Request::new(collection).patch(name, &patch_parameters(), &Patch::Merge(patch))
}

/// The request that merges something into an object's status, and into lists by the keys of their items.
pub fn patch_status(collection: &str, name: &str, patch: &Value) -> ApiRequest {
    Request::new(collection).patch_subresource("status", name, &patch_parameters(), &Patch::Strategic(patch))
}

fn patch_parameters() -> PatchParams {
    PatchParams { field_manager: Some(COMPONENT.to_owned()), ..PatchParams::default() }
}

#[cfg(test)]
mod tests;
