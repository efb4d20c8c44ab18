//! What the agent answers: metrics, health and status, for reading only. Nothing can be changed by it.
//!
//! | path | answers |
//! |---|---|
//! | `/metrics` | OpenMetrics |
//! | `/healthz` | 200, or 503 when the agent is stuck and better restarted |
//! | `/healthz?wait=ready` | the same, when the agent is ready or its start took too long: for a startup probe |
//! | `/readyz` | 200, or 503 with the reason |
//! | `/status` | what the agent knows, as JSON; its fields are an interface, see [`status`] |
//!
//! Every answer names the pod that gives it, in the header [`POD_HEADER`]: a probe believes its own pod's agent and no other.
//!
//! It has a thread of its own, so that probes are answered while the main loop works in the kernel. One request per
//! connection, a limit on open connections and on how long each may last: whoever is slow is cut off.

mod doors;
mod routes;
pub mod status;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::sync::Semaphore;

pub use doors::{Door, Stream, keep_port, keep_socket};
pub use routes::{Answer, answer};

use crate::board::{Board, START_WITHIN};
use crate::surfaces::metrics::Metrics;

/// Where the agent listens unless told otherwise: only this node's processes can reach it.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:9810";
/// Names the pod whose agent answers, by its UID.
pub const POD_HEADER: &str = smc_state::AGENT_POD_HEADER;
/// How many connections may be open; one more is closed at once.
const CONNECTIONS: usize = 32;
/// How long a client may take for the head of its request.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may last in all.
const ALL_WITHIN: Duration = Duration::from_secs(15);
/// How often it is looked whether the start is over, while somebody waits for that.
const LOOK_WHETHER_STARTED: Duration = Duration::from_millis(100);
/// Longest head of a request.
const HEAD_BYTES: usize = 8192;

/// Where to listen, `--listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Here.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

/// Neither an address nor `off`.
#[derive(Debug, Error)]
#[error("`{0}` is neither an address with a port, such as 127.0.0.1:9810 or [::]:9810, nor `off`")]
pub struct BadListen(String);

impl FromStr for Listen {
    type Err = BadListen;

    fn from_str(text: &str) -> Result<Self, BadListen> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| BadListen(text.to_owned()))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Off => f.write_str("off"),
        }
    }
}

/// How patient the server is.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections may be open.
    pub connections: usize,
    /// How long a client may take for the head of its request.
    pub head_within: Duration,
    /// How long a connection may last in all.
    pub all_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: CONNECTIONS, head_within: HEAD_WITHIN, all_within: ALL_WITHIN }
    }
}

/// Answers at a door for ever.
pub async fn serve(door: Door, board: Board, metrics: Metrics, limits: Limits) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    loop {
        let stream = match door.next().await {
            Ok(stream) => stream,
            Err(error) => {
                // Such as a client that is gone already, or no free descriptor: neither lasts.
                tracing::debug!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
        let (board, metrics) = (board.clone(), metrics.clone());
        tokio::spawn(async move {
            connection(stream, &board, &metrics, limits).await;
            drop(permit);
        });
    }
}

async fn connection(stream: Box<dyn Stream>, board: &Board, metrics: &Metrics, limits: Limits) {
    let waits = AtomicBool::new(false);
    let waiting = &waits;
    let service = service_fn(|request: Request<Incoming>| async move {
        if (request.uri().path(), request.uri().query()) == ("/healthz", Some("wait=ready")) {
            waiting.store(true, Ordering::Relaxed);
            while !board.read(|view| view.readiness.start_is_over(std::time::Instant::now())) {
                tokio::time::sleep(LOOK_WHETHER_STARTED).await;
            }
        }
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = std::time::Instant::now();
        let answer = answer(request.method(), request.uri().path(), board, metrics, now, wall);
        let pod_uid = board.read(|view| view.pod_uid.clone());
        Ok::<_, Infallible>(response(answer, pod_uid.as_deref()))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let mut ended = tokio::time::timeout(limits.all_within, served.as_mut()).await;
    if ended.is_err() && waits.load(Ordering::Relaxed) {
        ended = tokio::time::timeout(START_WITHIN, served).await;
    }
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a request failed: {error}"),
        Err(_) => tracing::debug!("a client was too slow"),
    }
}

fn response(answer: Answer, pod_uid: Option<&str>) -> Response<Full<Bytes>> {
    let Answer { status, media_type, body } = answer;
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    if let Some(Ok(uid)) = pod_uid.map(header::HeaderValue::from_str) {
        headers.insert(POD_HEADER, uid);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests;
