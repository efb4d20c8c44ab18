//! A stand-in for the container runtime: it lists the sandboxes that it is told of, and where their network namespaces
//! are. gRPC by hand, since k8s-cri's server wants an answer to every call of CRI.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_cri::v1;
use prost::Message;
use serde_json::json;
use tokio::net::UnixListener;

/// gRPC's `UNIMPLEMENTED` and `NOT_FOUND`.
const UNIMPLEMENTED: u16 = 12;
const NOT_FOUND: u16 = 5;

/// A running, annotated pod.
#[derive(Debug, Clone)]
pub struct StandIn {
    /// The sandbox's id.
    pub id: String,
    /// The pod's name.
    pub name: String,
    /// Where its network namespace is.
    pub netns: PathBuf,
}

/// The sandboxes that run, to be changed while the stand-in serves.
#[derive(Debug, Clone, Default)]
pub struct Sandboxes(Arc<Mutex<Vec<StandIn>>>);

impl Sandboxes {
    /// Lists these instead.
    pub fn set(&self, sandboxes: Vec<StandIn>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sandboxes;
    }

    fn get(&self) -> Vec<StandIn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves on `socket`, for ever.
    pub async fn serve(self, socket: &Path) -> io::Result<Infallible> {
        let listener = UnixListener::bind(socket)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let sandboxes = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let sandboxes = sandboxes.clone();
                    async move { Ok::<_, Infallible>(sandboxes.answer(request).await) }
                });
                // Clients may break off.
                let _ = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Response<StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>> {
        let call = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let body =
            request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        // A byte that says whether it is compressed, and the length, stand before each message.
        let answer = self.call(&call, body.get(5..).unwrap_or_default());
        let mut trailers = HeaderMap::new();
        let status = answer.as_ref().err().copied().unwrap_or(0);
        trailers.insert("grpc-status", HeaderValue::from(status));
        let mut frames = Vec::new();
        if let Ok(message) = answer {
            let mut bytes = vec![0];
            bytes.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend(message);
            frames.push(Ok(Frame::data(Bytes::from(bytes))));
        }
        frames.push(Ok(Frame::trailers(trailers)));
        let mut response = Response::new(StreamBody::new(stream::iter(frames)));
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        response
    }

    /// The answer to one call, or a gRPC status.
    fn call(&self, call: &str, request: &[u8]) -> Result<Vec<u8>, u16> {
        match call {
            "Version" => {
                let version = v1::VersionResponse {
                    runtime_name: "stand-in".to_owned(),
                    runtime_version: "1.0.0".to_owned(),
                    ..Default::default()
                };
                Ok(version.encode_to_vec())
            }
            "ListPodSandbox" => {
                let items = self.get().iter().map(listed).collect();
                Ok(v1::ListPodSandboxResponse { items }.encode_to_vec())
            }
            "PodSandboxStatus" => {
                let request = v1::PodSandboxStatusRequest::decode(request).map_err(|_| NOT_FOUND)?;
                let sandboxes = self.get();
                let found = sandboxes.iter().find(|sandbox| sandbox.id == request.pod_sandbox_id);
                Ok(status(found.ok_or(NOT_FOUND)?).encode_to_vec())
            }
            _ => Err(UNIMPLEMENTED),
        }
    }
}

fn metadata(sandbox: &StandIn) -> v1::PodSandboxMetadata {
    v1::PodSandboxMetadata {
        name: sandbox.name.clone(),
        uid: sandbox.name.clone(),
        namespace: "default".to_owned(),
        attempt: 0,
    }
}

fn listed(sandbox: &StandIn) -> v1::PodSandbox {
    v1::PodSandbox {
        id: sandbox.id.clone(),
        metadata: Some(metadata(sandbox)),
        state: v1::PodSandboxState::SandboxReady.into(),
        annotations: [(smc_model::ANNOTATION.to_owned(), "true".to_owned())].into(),
        ..Default::default()
    }
}

fn status(sandbox: &StandIn) -> v1::PodSandboxStatusResponse {
    let namespaces = json!([{ "type": "network", "path": sandbox.netns }]);
    let info = json!({ "runtimeSpec": { "linux": { "namespaces": namespaces } } });
    v1::PodSandboxStatusResponse {
        status: Some(v1::PodSandboxStatus {
            id: sandbox.id.clone(),
            metadata: Some(metadata(sandbox)),
            state: v1::PodSandboxState::SandboxReady.into(),
            ..Default::default()
        }),
        info: [("info".to_owned(), info.to_string())].into(),
        ..Default::default()
    }
}
