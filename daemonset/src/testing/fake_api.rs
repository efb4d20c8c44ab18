//! An API server for tests: on the loopback, without TLS, answering as a test says, and counting what it is asked.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Longer than anything takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) token: String,
    pub(crate) media_type: String,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn watches(&self) -> bool {
        self.query.split('&').any(|part| part == "watch=true")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Whole { status: u16, retry_after: Option<u32>, body: String },
    Stream { pieces: Vec<String>, then: Then },
    Never,
}

/// How a stream goes on after its pieces.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Then {
    HoldOpen,
    End,
    Abort,
}

impl Reply {
    pub(crate) fn json(body: &Value) -> Self {
        Self::Whole { status: 200, retry_after: None, body: body.to_string() }
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::Whole { status, retry_after: None, body: body.to_owned() }
    }

    /// A `Status` of the API server.
    pub(crate) fn status(code: u16, reason: &str) -> Self {
        let body = status(code, reason);
        Self::Whole { status: code, retry_after: None, body: body.to_string() }
    }

    /// Watch events, one per line.
    pub(crate) fn watch(events: &[Value], then: Then) -> Self {
        Self::Stream { pieces: events.iter().map(|event| format!("{event}\n")).collect(), then }
    }
}

pub(crate) fn status(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("because of {reason}"), "reason": reason, "code": code,
    })
}

type Script = dyn FnMut(usize, &Seen) -> Reply + Send;

/// The server; it ends with the test's runtime.
pub(crate) struct FakeApi {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    dir: tempfile::TempDir,
}

impl FakeApi {
    /// Starts it; `script` is told how many requests came before, and the request.
    pub(crate) async fn start(script: impl FnMut(usize, &Seen) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(script)));
        tokio::spawn(accept(listener, seen.clone(), script));
        Self { port, seen, dir: tempfile::tempdir().unwrap() }
    }

    /// A kubeconfig that leads to it.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let path = self.dir.path().join("kubeconfig");
        self.write_kubeconfig(&path, "first-token");
        path
    }

    pub(crate) fn write_kubeconfig(&self, path: &Path, token: &str) {
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        });
        std::fs::write(path, text.to_string()).unwrap();
    }

    /// A directory that ends with the server.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Asserts that each request is one of `allowed`: `VERB path`, where a watch is the verb WATCH.
    pub(crate) fn assert_only(&self, allowed: &[&str]) {
        for seen in self.seen() {
            let verb = if seen.watches() { "WATCH" } else { &seen.method };
            let what = format!("{verb} {}", seen.path);
            assert!(allowed.contains(&what.as_str()), "{what} was asked for");
        }
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Vec<Seen>>>, script: Arc<Mutex<Box<Script>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (seen, script) = (seen.clone(), script.clone());
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let (seen, script) = (seen.clone(), script.clone());
                async move { Ok::<_, Infallible>(reply(request, &seen, &script).await) }
            });
            // Clients may break off.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn reply(
    request: Request<Incoming>,
    all: &Mutex<Vec<Seen>>,
    script: &Mutex<Box<Script>>,
) -> Response<BoxBody<Bytes, io::Error>> {
    let head = |name: header::HeaderName| {
        let value = request.headers().get(name);
        value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let (token, media_type) = (head(header::AUTHORIZATION), head(header::CONTENT_TYPE));
    let (method, uri) = (request.method().to_string(), request.uri().clone());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let seen = Seen {
        method,
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        token,
        media_type,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let before = {
        let mut all = all.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    let reply = (script.lock().unwrap())(before, &seen);
    let (status, retry_after, pieces, then) = match reply {
        Reply::Never => std::future::pending().await,
        Reply::Whole { status, retry_after, body } => (status, retry_after, vec![body], Then::End),
        Reply::Stream { pieces, then } => (200, None, pieces, then),
    };
    let pieces = stream::iter(pieces).map(|piece| Ok(Frame::data(Bytes::from(piece))));
    let rest = stream::once(async move {
        match then {
            Then::HoldOpen => std::future::pending().await,
            Then::End => None,
            Then::Abort => {
                // What was sent before must be on its way: hyper writes nothing more after an error.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Some(Err(io::Error::other("the test breaks off")))
            }
        }
    });
    let body = StreamBody::new(pieces.chain(rest.filter_map(std::future::ready)));
    let mut response = Response::builder().status(status);
    if let Some(seconds) = retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    response.body(BodyExt::boxed(body)).unwrap()
}

/// Waits until `look` finds something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Retries at once, so that tests need not wait.
pub(crate) struct AtOnce;

impl Iterator for AtOnce {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(10))
    }
}

impl kube::runtime::utils::Backoff for AtOnce {
    fn reset(&mut self) {}
}
