//! Against a fake API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::*;
use crate::testing::fake_api::{AtOnce, FakeApi, Reply, Seen, eventually, status};
use crate::testing::test_values::board;

const PATH: &str = "PATCH /api/v1/nodes/node-1/status";

struct Agent {
    api: FakeApi,
    store: Store,
    board: Board,
    conditions: watch::Sender<Option<Condition>>,
}

impl Agent {
    async fn start(script: impl FnMut(usize, &Seen) -> Reply + Send + 'static) -> Self {
        let api = FakeApi::start(script).await;
        let agent = Self {
            store: Store::new(api.dir().join("state")),
            board: board(),
            conditions: watch::channel(None).0,
            api,
        };
        agent.run();
        agent
    }

    fn run(&self) {
        let source = Source::Kubeconfig(self.api.kubeconfig());
        let (conditions, store, board) =
            (self.conditions.subscribe(), self.store.clone(), self.board.clone());
        tokio::spawn(async move { publish(&source, "node-1", conditions, &store, &board, AtOnce).await });
    }

    async fn seen(&self, how_many: usize) -> Vec<Seen> {
        let seen = || Some(self.api.seen()).filter(|seen| seen.len() >= how_many);
        eventually("requests", seen).await
    }

    fn problem(&self) -> Option<String> {
        self.board.read(|view| view.problems.iter().map(|(_, problem)| problem.to_owned()).next())
    }
}

fn is(ready: bool) -> Condition {
    let reason = if ready { "Ready" } else { "NoRdmaDevice" };
    Condition { ready, reason, message: "as the test says".to_owned() }
}

#[tokio::test]
async fn a_change_is_one_strategic_patch_of_the_nodes_status_and_nothing_is_read() {
    let agent = Agent::start(|_, _| Reply::json(&json!({}))).await;
    agent.conditions.send_replace(Some(is(true)));
    agent.seen(1).await;
    agent.conditions.send_replace(Some(is(false)));
    let seen = agent.seen(2).await;
    agent.api.assert_only(&[PATH]);
    assert_eq!(seen[0].media_type, "application/strategic-merge-patch+json");
    let bodies = [seen[0].json(), seen[1].json()];
    let statuses = bodies.each_ref().map(|body| body["status"]["conditions"][0]["status"].clone());
    assert_eq!(statuses, [json!("True"), json!("False")]);
    let labels = bodies.each_ref().map(|body| body["metadata"]["labels"].clone());
    let label = |value: &str| json!({"smc.asm.alibabacloud.com/ready": value});
    assert_eq!(labels, [label("true"), label("false")]);
}

#[tokio::test]
async fn a_restart_keeps_the_transition_time() {
    let agent = Agent::start(|_, _| Reply::json(&json!({}))).await;
    agent.store.write_document(&Since { ready: true, since: 120 }).unwrap();
    agent.conditions.send_replace(Some(is(true)));
    agent.run();
    for seen in agent.seen(2).await {
        let condition = &seen.json()["status"]["conditions"][0];
        assert_ne!(condition["lastHeartbeatTime"], condition["lastTransitionTime"]);
    }
    assert_eq!(agent.store.read_document().unwrap(), Some(Since { ready: true, since: 120 }));
}

#[tokio::test]
async fn nothing_is_written_before_anything_is_known() {
    let agent = Agent::start(|_, _| Reply::json(&json!({}))).await;
    agent.conditions.send_replace(None);
    agent.conditions.send_replace(Some(is(true)));
    assert_eq!(agent.seen(1).await.len(), 1);
}

#[tokio::test]
async fn a_refused_patch_is_one_problem_and_tried_again() {
    let mut unknown = status(404, "NotFound");
    unknown["details"] = json!({"name": "node-1", "kind": "nodes"});
    for (reply, words) in [
        (Reply::status(403, "Forbidden"), "rbac.yaml"),
        (Reply::text(404, &unknown.to_string()), "is --node-name right?"),
        (Reply::text(500, "etcdserver: request timed out"), "etcdserver"),
    ] {
        let mended = Arc::new(AtomicBool::new(false));
        let sound = mended.clone();
        let agent =
            Agent::start(
                move |_, _| {
                    if sound.load(Ordering::SeqCst) { Reply::json(&json!({})) } else { reply.clone() }
                },
            )
            .await;
        agent.conditions.send_replace(Some(is(true)));
        let problem = eventually("a problem", || agent.problem()).await;
        assert!(problem.contains(words) && problem.contains("node-1"), "{problem}");
        mended.store(true, Ordering::SeqCst);
        eventually("the end of it", || agent.problem().is_none().then_some(())).await;
    }
}

#[tokio::test]
async fn an_expired_token_is_read_anew() {
    let agent = Agent::start(|_, seen| match seen.token.as_str() {
        "Bearer second-token" => Reply::json(&json!({})),
        _ => Reply::status(401, "Unauthorized"),
    })
    .await;
    agent.conditions.send_replace(Some(is(true)));
    eventually("a problem", || agent.problem()).await;
    agent.api.write_kubeconfig(&agent.api.dir().join("kubeconfig"), "second-token");
    eventually("the end of it", || agent.problem().is_none().then_some(())).await;
}
