//! Over real connections on the loopback.

use std::time::Instant;

use serde_json::Value;
use smc_model::{Reason, Verdict};
use smc_surfaces::Subject;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::board::{Chain, NodeCheck, PodVerdict, STUCK_AFTER};
use crate::testing::fake_api::PATIENCE;
use crate::testing::test_values::{board, record};

async fn start(limits: Limits) -> (SocketAddr, Board) {
    let (listener, board) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), board());
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(Door::Port(listener), board.clone(), Metrics::new(board.clone()), limits));
    (address, board)
}

/// Sends some bytes and reads until the server closes.
async fn send(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has seen enough may close while the rest is still being sent.
    let _ = stream.write_all(request).await;
    read_all(&mut stream).await
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let reading = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes));
    let _ = reading.await.expect("the server closes");
    String::from_utf8(bytes).unwrap()
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = send(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn readiness_comes_with_the_node_and_the_chain_and_does_not_flap() {
    let (address, board) = start(Limits::default()).await;
    assert_eq!(get(address, "/readyz").await, (503, "the node has not been checked yet\n".to_owned()));
    board.update(|view| view.readiness.node_was_checked());
    assert_eq!(get(address, "/readyz").await.0, 503);
    board.update(|view| view.readiness.chain_is(Chain::Loaded, Instant::now()));
    assert_eq!(get(address, "/readyz").await, (200, "ok\n".to_owned()));

    // None of this has anything to do with being ready.
    board.problem(Subject::MeshServer, Some("unreachable".to_owned()));
    board.problem(Subject::Events, Some("forbidden".to_owned()));
    board.update(|view| {
        view.events.dropped_full = 1000;
        view.node = Some(NodeCheck { kernel: "6.1".to_owned(), obstacle: Some(Reason::NoRdmaDevice) });
        view.mesh = crate::mesh::MeshSwitch::fixed(false);
        view.pods.clear();
    });
    assert_eq!(get(address, "/readyz").await.0, 200);
    board.update(|view| {
        let gone = Chain::NotLoaded { why: "rewritten".to_owned() };
        view.readiness.chain_is(gone, Instant::now());
    });
    assert_eq!(get(address, "/readyz").await.0, 200);
}

#[tokio::test]
async fn whoever_waits_for_the_start_is_answered_when_the_agent_is_ready_and_not_before() {
    let limits = Limits { all_within: Duration::from_millis(200), ..Limits::default() };
    let (address, board) = start(limits).await;
    let mut waiting = tokio::spawn(async move { get(address, "/healthz?wait=ready").await });
    // Longer than any other request may take.
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut waiting).await.is_err());
    assert_eq!(get(address, "/healthz").await.0, 200, "nobody else waits");
    board.update(|view| {
        view.readiness.node_was_checked();
        view.readiness.chain_is(Chain::Loaded, Instant::now());
    });
    assert_eq!(waiting.await.unwrap(), (200, "ok\n".to_owned()));
    assert_eq!(get(address, "/healthz?wait=ready").await.0, 200, "and at once from then on");
}

#[tokio::test]
async fn health_is_lost_when_the_main_loop_is_stuck() {
    let (address, board) = start(Limits::default()).await;
    assert_eq!(get(address, "/healthz").await.0, 200);
    let Some(long_ago) = Instant::now().checked_sub(STUCK_AFTER) else { return };
    board.update(|view| view.readiness.sign_of_life(long_ago));
    let (status, body) = get(address, "/healthz").await;
    assert_eq!(status, 503);
    assert!(body.contains("120 s"), "{body}");
}

#[tokio::test]
async fn every_answer_names_the_pod_that_gives_it() {
    let (address, board) = start(Limits::default()).await;
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    assert!(!send(address, request).await.contains(POD_HEADER), "by hand there is no pod");
    board.update(|view| view.pod_uid = Some("3f2a".to_owned()));
    assert!(send(address, request).await.contains(&format!("{POD_HEADER}: 3f2a\r\n")));
}

#[tokio::test]
async fn metrics_have_the_media_type_of_openmetrics() {
    let (address, _) = start(Limits::default()).await;
    let answer = send(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"), "{answer}");
    assert!(answer.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_status_keeps_its_fields() {
    let (address, board) = start(Limits::default()).await;
    let record = record("web-1", Verdict::refused(Reason::NoRdmaDevice));
    board.update(|view| {
        view.node = Some(NodeCheck { kernel: "6.1".to_owned(), obstacle: Some(Reason::NoRdmaDevice) });
        let verdict = record.verdict.clone().unwrap();
        view.pods.insert(
            record.attachment.clone(),
            PodVerdict { pod: record.pod.clone(), id: record.id, verdict },
        );
        view.devices = vec![crate::board::DeviceUse::default()];
    });
    board.problem(Subject::Events, Some("forbidden".to_owned()));
    let (status, body) = get(address, "/status").await;
    assert_eq!(status, 200);
    let value: Value = serde_json::from_str(&body).unwrap();
    let mut fields = Vec::new();
    list_fields("", &value, &mut fields);
    fields.sort();
    fields.dedup();
    assert_eq!(fields.join("\n") + "\n", include_str!("status_fields.txt"));
    assert_eq!(value["version"], 1);
    assert_eq!(value["pods"][0]["reason"]["name"], "NoRdmaDevice");
    assert_eq!(value["mesh"]["reason"], "not-known-yet");
    assert_eq!(value["problems"][0]["problem"], "forbidden");
}

fn list_fields(path: &str, value: &Value, fields: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                list_fields(&format!("{path}.{key}"), value, fields);
            }
        }
        Value::Array(items) => {
            for value in items {
                list_fields(&format!("{path}[]"), value, fields);
            }
        }
        _ => fields.push(path.trim_start_matches('.').to_owned()),
    }
}

#[tokio::test]
async fn nothing_can_be_changed_and_bad_requests_end_their_connection_only() {
    let (address, _) = start(Limits::default()).await;
    assert_eq!(get(address, "/").await.0, 404);
    assert_eq!(get(address, "/../../etc/passwd").await.0, 404);
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let request = format!("{method} /status HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
        let answer = send(address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, HEAD"), "{answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    for request in
        [&b"\x16\x03\x01\x02\x00"[..], b"GET\r\n\r\n", b"GET /status HTTP/9.9\r\n\r\n", long.as_bytes()]
    {
        let answer = send(address, request).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(get(address, "/healthz").await.0, 200);
    let answer = send(address, b"HEAD /status HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn slow_clients_are_cut_off() {
    let limits = Limits { head_within: Duration::from_millis(100), ..Limits::default() };
    let (address, _) = start(limits).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost:").await.unwrap();
    let answer = read_all(&mut slow).await;
    assert!(!answer.contains("200"), "{answer}");

    let limits = Limits { all_within: Duration::from_millis(100), ..Limits::default() };
    let (address, _) = start(limits).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert_eq!(read_all(&mut silent).await, "");
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_there_is_room_again_afterwards() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let (address, _) = start(limits).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz").await.unwrap();
        open.push(stream);
    }
    // The server takes connections in the order they came.
    let mut surplus = TcpStream::connect(address).await.unwrap();
    assert_eq!(read_all(&mut surplus).await, "");
    drop(open);
    let begun = Instant::now();
    loop {
        let answer = send(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{answer:?}");
    }
}

#[test]
fn where_to_listen_is_an_address_or_off() {
    assert_eq!("off".parse::<Listen>().unwrap(), Listen::Off);
    assert_eq!(DEFAULT_LISTEN.parse::<Listen>().unwrap().to_string(), DEFAULT_LISTEN);
    assert!("[::]:9810".parse::<Listen>().is_ok());
    for bad in ["", "9810", "localhost", "127.0.0.1", "on"] {
        assert!(bad.parse::<Listen>().is_err(), "{bad}");
    }
}

/// In a normal start no probe fails, since that is a warning on the pod: the first one is answered when the agent is ready.
#[test]
fn the_probes_ask_this_pods_own_agent_and_the_startup_probe_waits_for_it() {
    let manifest: Value =
        serde_saphyr::from_str(include_str!("../../../manifests/base/daemonset.yaml")).unwrap();
    let container = &manifest["spec"]["template"]["spec"]["containers"][0];
    let (startup, liveness) = (&container["startupProbe"], &container["livenessProbe"]);
    // smcctl's own tests hold it to these words.
    for (probe, stage) in [(startup, "started"), (liveness, "alive")] {
        assert_eq!(probe["exec"]["command"], serde_json::json!(["/smcctl", "probe", stage]));
        assert!(probe["initialDelaySeconds"].is_null(), "the probe itself waits");
    }
    let seconds = |probe: &Value, field: &str| Duration::from_secs(probe[field].as_u64().unwrap());
    assert!(seconds(startup, "timeoutSeconds") > START_WITHIN, "the kubelet gives up first");
    // Two agents: the second must end by itself, with its own words.
    assert!(
        seconds(startup, "timeoutSeconds") > 3 * crate::process::sole::AGENT_WAITS,
        "killed before it can say why"
    );
    assert!(container["readinessProbe"].is_null(), "what is wrong with a node must not stop a rollout");
    let uid = |variable: &&Value| variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.uid";
    let variable = container["env"].as_array().unwrap().iter().find(uid).unwrap();
    assert_eq!(variable["name"], "POD_UID");
    assert_eq!(container["terminationMessagePolicy"], "FallbackToLogsOnError");
}
