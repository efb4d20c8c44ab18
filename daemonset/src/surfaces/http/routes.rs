//! What is answered, as a function of the request and the board.

use std::time::Instant;

use hyper::{Method, StatusCode};

use super::status::status;
use crate::board::Board;
use crate::surfaces::metrics::{MEDIA_TYPE, Metrics};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// What the body is.
    pub media_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    fn text(status: StatusCode, body: impl Into<String>) -> Self {
        let mut body = body.into();
        body.push('\n');
        Self { status, media_type: TEXT, body }
    }
}

/// Answers a request; `wall` is the time in seconds since the epoch.
pub fn answer(
    method: &Method,
    path: &str,
    board: &Board,
    metrics: &Metrics,
    now: Instant,
    wall: u64,
) -> Answer {
    let known = ["/metrics", "/healthz", "/readyz", "/status"].contains(&path);
    if !known {
        let body = "there is /metrics, /healthz, /readyz and /status";
        return Answer::text(StatusCode::NOT_FOUND, body);
    }
    if method != Method::GET && method != Method::HEAD {
        return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "this port is for reading only");
    }
    match path {
        "/metrics" => match metrics.text() {
            Ok(body) => Answer { status: StatusCode::OK, media_type: MEDIA_TYPE, body },
            Err(_) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written"),
        },
        "/healthz" => match board.read(|view| view.readiness.alive(now)) {
            Ok(()) => Answer::text(StatusCode::OK, "ok"),
            Err(silent) => {
                let body = format!("the agent has been at one piece of work for {} s", silent.as_secs());
                Answer::text(StatusCode::SERVICE_UNAVAILABLE, body)
            }
        },
        "/readyz" => match board.read(|view| view.readiness.ready(now)) {
            Ok(()) => Answer::text(StatusCode::OK, "ok"),
            Err(why) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
        },
        _ => match serde_json::to_string_pretty(&board.read(|view| status(view, now, wall))) {
            Ok(body) => Answer { status: StatusCode::OK, media_type: JSON, body: body + "\n" },
            Err(_) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the status cannot be written"),
        },
    }
}
