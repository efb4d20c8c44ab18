//! Against a fake API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::board::{Chain, View};
use crate::mesh::{MeshMode, MeshSwitch};
use crate::testing::fake_api::{AtOnce, FakeApi, Reply, Seen, eventually};

const READ: &str = "GET /api/v1/nodes/node-1";
const WRITE: &str = "PATCH /api/v1/nodes/node-1";
const KEY: &str = "smc.asm.alibabacloud.com/agent-not-ready";

fn taint(key: &str) -> Value {
    json!({"key": key, "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"})
}

fn node(taints: &[Value]) -> Value {
    json!({
        "kind": "Node", "metadata": {"name": "node-1", "resourceVersion": "17"},
        "spec": {"podCIDR": "10.0.0.0/24", "taints": taints},
    })
}

fn board() -> Board {
    Board::new(View::new(MeshMode::Enabled, MeshSwitch::NOT_KNOWN_YET, Chain::Unknown, Instant::now()))
}

fn make_ready(board: &Board) {
    board.update(|view| {
        view.readiness.node_was_checked();
        view.readiness.chain_is(Chain::Loaded, Instant::now());
    });
}

fn start(api: &FakeApi, board: &Board) -> tokio::task::JoinHandle<()> {
    let (source, board) = (Source::Kubeconfig(api.kubeconfig()), board.clone());
    tokio::spawn(async move {
        keep_off(&source, "node-1", &KEY.parse().unwrap(), &board, AtOnce).await;
    })
}

fn problem(board: &Board) -> Option<String> {
    board.read(|view| view.problems.of(&SUBJECT).map(str::to_owned))
}

#[tokio::test]
async fn only_the_taint_of_this_key_is_taken_off_and_only_when_the_agent_is_ready() {
    let other = taint("dedicated");
    let all = [taint(KEY), other.clone()];
    let api = FakeApi::start(move |_, _| Reply::json(&node(&all))).await;
    let board = board();
    let _task = start(&api, &board);
    tokio::time::sleep(LOOK_WHETHER_READY * 2).await;
    assert!(api.seen().is_empty(), "{:?}", api.seen());

    make_ready(&board);
    let written = |seen: &Seen| seen.method == "PATCH";
    let patch = eventually("a patch", || api.seen().into_iter().find(written)).await;
    assert_eq!(patch.media_type, "application/merge-patch+json");
    assert_eq!(patch.json(), json!({"metadata": {"resourceVersion": "17"}, "spec": {"taints": [other]}}));
    api.assert_only(&[READ, WRITE]);
}

#[tokio::test]
async fn a_node_without_the_taint_is_only_read() {
    let api = FakeApi::start(|_, _| Reply::json(&node(&[taint("dedicated")]))).await;
    let board = board();
    make_ready(&board);
    let _task = start(&api, &board);
    eventually("a look", || (!api.seen().is_empty()).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    api.assert_only(&[READ]);
    assert_eq!(problem(&board), None);
}

#[tokio::test]
async fn a_node_that_somebody_else_changes_meanwhile_is_read_again() {
    let changed = Arc::new(AtomicBool::new(false));
    let api = FakeApi::start(move |_, seen| {
        if seen.method == "PATCH" && !changed.swap(true, Ordering::Relaxed) {
            return Reply::status(409, "Conflict");
        }
        Reply::json(&node(&[taint(KEY)]))
    })
    .await;
    let board = board();
    make_ready(&board);
    let _task = start(&api, &board);
    let verbs = || api.seen().into_iter().map(|seen| seen.method).collect::<Vec<_>>();
    eventually("a second patch", || (verbs().len() >= 4).then_some(())).await;
    assert_eq!(verbs()[..4], ["GET", "PATCH", "GET", "PATCH"]);
    assert_eq!(problem(&board), None);
}

#[tokio::test]
async fn a_missing_right_is_told_with_the_file_that_gives_it_and_is_tried_again() {
    let given = Arc::new(AtomicBool::new(false));
    let right = given.clone();
    let api = FakeApi::start(move |_, _| {
        if right.load(Ordering::Relaxed) { Reply::json(&node(&[])) } else { Reply::status(403, "Forbidden") }
    })
    .await;
    let board = board();
    make_ready(&board);
    let _task = start(&api, &board);
    let told = eventually("a problem", || problem(&board)).await;
    for part in [KEY, "node-1", "pods may not start", "components/startup-taint"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    given.store(true, Ordering::Relaxed);
    eventually("no problem", || problem(&board).is_none().then_some(())).await;
}

#[test]
fn a_key_is_a_key_and_not_a_whole_taint() {
    for good in [KEY, "a", "node.cilium.io/agent-not-ready"] {
        assert_eq!(good.parse::<TaintKey>().unwrap().to_string(), good);
    }
    for whole in ["a:NoSchedule", "a=b:NoExecute", "a="] {
        assert_eq!(whole.parse::<TaintKey>(), Err(TaintKeyError::WholeTaint), "{whole}");
    }
    let long = "a".repeat(64);
    for bad in ["", "/", "a/", "/a", "a/b/c", "-a", "a b", "ä", &long] {
        assert_eq!(bad.parse::<TaintKey>(), Err(TaintKeyError::Form), "{bad}");
    }
}
