//! A small stand-in for kube-apiserver, for tests and measurements: it keeps one `ASMMeshConfig`, which can be listed,
//! watched, put and deleted; knows no nodes; takes every Event and every patch; shows the Events at `/events`; and counts what it is asked.
//! On the loopback, without TLS.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

const COLLECTION: &str = "/apis/istio.alibabacloud.com/v1beta1/asmmeshconfigs";
const NAME: &str = "default";
const NODES: &str = "/api/v1/nodes";
/// Not an API server's: how many requests there were, by verb.
const COUNTS: &str = "/requests";
/// Not an API server's: every write of an Event in the order of the writes, each with the whole Event as it was then.
const EVENTS: &str = "/events";

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The server's memory.
#[derive(Debug, Default)]
struct State {
    /// The resource version of the last change.
    version: u64,
    object: Option<Value>,
    /// Every change of the object, as a watch tells it.
    events: Vec<Value>,
    /// By verb: the method, or `WATCH`.
    requests: BTreeMap<String, u64>,
    /// The Events about pods that were written, whole, in the order of the writes.
    written: Vec<Value>,
}

impl State {
    /// `None` deletes the object.
    fn change(&mut self, object: Option<Value>) {
        self.version += 1;
        let kind = match (&self.object, &object) {
            (_, None) => "DELETED",
            (None, Some(_)) => "ADDED",
            (Some(_), Some(_)) => "MODIFIED",
        };
        let Some(mut told) = object.clone().or_else(|| self.object.take()) else { return };
        told["metadata"]["name"] = json!(NAME);
        told["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.object = object.map(|_| told.clone());
        self.events.push(json!({ "type": kind, "object": told }));
    }

    /// The last state of the Event at this path of the collection, or of the Event itself.
    fn event(&self, namespace: &str, name: &str) -> Option<&Value> {
        let is =
            |event: &&Value| event["metadata"]["namespace"] == namespace && event["metadata"]["name"] == name;
        self.written.iter().rev().find(is)
    }

    /// Takes a new Event, as an API server does: a name can be given once.
    fn create_event(&mut self, namespace: &str, event: Value) -> Result<(), &'static str> {
        let name = event["metadata"]["name"].as_str().unwrap_or_default();
        if self.event(namespace, name).is_some() {
            return Err("AlreadyExists");
        }
        let mut event = event;
        event["metadata"]["namespace"] = json!(namespace);
        self.written.push(event);
        Ok(())
    }

    /// Changes an Event's fields.
    fn patch_event(&mut self, namespace: &str, name: &str, patch: &Value) -> Result<(), &'static str> {
        let mut event = self.event(namespace, name).cloned().ok_or("NotFound")?;
        for (field, value) in patch.as_object().into_iter().flatten() {
            event[field] = value.clone();
        }
        self.written.push(event);
        Ok(())
    }
}

/// A table of no nodes.
fn nodes() -> Value {
    let column = |name: &str| json!({ "name": name, "type": "string" });
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "columnDefinitions": [column("Name"), column("Internal-IP"), column("External-IP")], "rows": [],
    })
}

/// What of a collection of Events a path means: the namespace, and the Event's name unless it is the collection.
fn events_path(path: &str) -> Option<(&str, Option<&str>)> {
    let (namespace, rest) = path.strip_prefix("/api/v1/namespaces/")?.split_once("/events")?;
    match rest.strip_prefix('/') {
        Some(name) => Some((namespace, Some(name))),
        None => rest.is_empty().then_some((namespace, None)),
    }
}

/// The server.
#[derive(Debug, Clone, Default)]
pub struct ApiServer {
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<()>>,
}

impl ApiServer {
    /// Serves whoever connects, for ever.
    pub async fn serve(self, listener: TcpListener) -> io::Result<Infallible> {
        loop {
            let (stream, _) = listener.accept().await?;
            let server = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let server = server.clone();
                    async move { Ok::<_, Infallible>(server.answer(request).await) }
                });
                // Clients may break off.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    /// A kubeconfig that leads to a server on this port of the loopback.
    pub fn kubeconfig(port: u16) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "k", "cluster": {
                "server": format!("http://127.0.0.1:{port}"),
                // Not used, but a client without any authority is refused before it is known that it needs none.
                "certificate-authority-data": include_str!("api_server_ca.base64"),
            } }],
            "users": [{ "name": "u", "user": { "token": "t" } }],
            "contexts": [{ "name": "c", "context": { "cluster": "k", "user": "u" } }],
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let query = uri.query().unwrap_or_default();
        let parameter =
            |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let watches = matches!(parameter("watch"), Some("true" | "1"));
        if uri.path() == COUNTS {
            return whole(StatusCode::OK, &self.with(|state| json!(state.requests)));
        }
        if uri.path() == EVENTS {
            return whole(StatusCode::OK, &self.with(|state| json!(state.written)));
        }
        let verb = if watches { "WATCH" } else { method.as_str() };
        self.with(|state| *state.requests.entry(verb.to_owned()).or_default() += 1);
        let body =
            request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if let Some((namespace, name)) = events_path(uri.path()) {
            return self.event(&method, namespace, name, &body);
        }
        let item = uri.path().strip_prefix(COLLECTION).map(|rest| rest.strip_prefix('/').unwrap_or(rest));
        match (&method, item) {
            (&Method::GET, Some("")) if watches => {
                let since = parameter("resourceVersion").and_then(|version| version.parse().ok());
                self.watch(since.unwrap_or(0))
            }
            (&Method::GET, Some("")) => whole(StatusCode::OK, &self.list()),
            (&Method::PUT, Some(NAME)) => {
                self.change(Some(body.clone()));
                whole(StatusCode::OK, &body)
            }
            (&Method::DELETE, Some(NAME)) => {
                self.change(None);
                whole(StatusCode::OK, &json!({ "kind": "Status", "status": "Success" }))
            }
            (&Method::GET, None) if uri.path() == NODES => whole(StatusCode::OK, &nodes()),
            (&Method::POST, None) => whole(StatusCode::CREATED, &body),
            (&Method::PATCH, None) => whole(StatusCode::OK, &body),
            _ => whole(StatusCode::NOT_FOUND, &json!({ "kind": "Status", "status": "Failure", "code": 404 })),
        }
    }

    fn event(&self, method: &Method, namespace: &str, name: Option<&str>, body: &Value) -> Response<Body> {
        let done = match (method, name) {
            (&Method::POST, None) => self.with(|state| state.create_event(namespace, body.clone())),
            (&Method::PATCH, Some(name)) => self.with(|state| state.patch_event(namespace, name, body)),
            _ => Err("MethodNotAllowed"),
        };
        match done {
            Ok(()) if name.is_none() => whole(StatusCode::CREATED, body),
            Ok(()) => whole(StatusCode::OK, body),
            Err(reason) => {
                let status = match reason {
                    "AlreadyExists" => StatusCode::CONFLICT,
                    "NotFound" => StatusCode::NOT_FOUND,
                    _ => StatusCode::METHOD_NOT_ALLOWED,
                };
                let failure = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason,
                    "message": reason, "code": status.as_u16(),
                });
                whole(status, &failure)
            }
        }
    }

    fn change(&self, object: Option<Value>) {
        self.with(|state| state.change(object));
        self.changed.send_replace(());
    }

    fn list(&self) -> Value {
        self.with(|state| {
            json!({
                "apiVersion": "istio.alibabacloud.com/v1beta1", "kind": "ASMMeshConfigList",
                "metadata": { "resourceVersion": state.version.to_string() },
                "items": state.object.iter().collect::<Vec<_>>(),
            })
        })
    }

    /// Changes after a version as they come; the client ends it.
    fn watch(&self, since: u64) -> Response<Body> {
        let told = usize::try_from(since).unwrap_or(usize::MAX);
        let events = stream::unfold(
            (self.clone(), self.changed.subscribe(), told),
            async |(server, mut changed, told)| {
                loop {
                    // One event for each version, so the version is how many were told.
                    let event = server.with(|state| state.events.get(told).cloned());
                    if let Some(event) = event {
                        let frame = Frame::data(Bytes::from(format!("{event}\n")));
                        return Some((Ok(frame), (server, changed, told + 1)));
                    }
                    changed.changed().await.ok()?;
                }
            },
        );
        let mut response = Response::new(UnsyncBoxBody::new(StreamBody::new(events)));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response
    }
}

fn whole(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(UnsyncBoxBody::new(Full::new(Bytes::from(body.to_string()))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
