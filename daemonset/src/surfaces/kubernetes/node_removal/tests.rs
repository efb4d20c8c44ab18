//! Against a fake API server.

use serde_json::json;

use super::*;
use crate::testing::fake_api::{AtOnce, FakeApi, PATIENCE as LONG, Reply, status};

const SHORT: Duration = Duration::from_millis(300);
const PATH: &str = "PATCH /api/v1/nodes/node-1/status";

/// Waits for longer than anybody has patience: whatever comes of the first attempt is what came of it all.
struct OneAttempt;

impl Iterator for OneAttempt {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(LONG)
    }
}

impl Backoff for OneAttempt {
    fn reset(&mut self) {}
}

async fn removed_by(api: &FakeApi, patience: Duration) -> Removal {
    remove(&Source::Kubeconfig(api.kubeconfig()), "node-1", patience, AtOnce).await
}

#[tokio::test]
async fn label_and_condition_go_in_one_patch_of_the_nodes_status_and_no_others_with_them() {
    let api = FakeApi::start(|_, _| Reply::json(&json!({}))).await;
    assert_eq!(removed_by(&api, LONG).await, Removal::Removed);
    api.assert_only(&[PATH]);
    let [patch] = &api.seen()[..] else { panic!("one request: {:?}", api.seen()) };
    assert_eq!(patch.media_type, "application/strategic-merge-patch+json");
    let expected = json!({
        "metadata": {"labels": {"smc.asm.alibabacloud.com/ready": null}},
        "status": {"conditions": [{"type": "SMCReady", "$patch": "delete"}]},
    });
    assert_eq!(patch.json(), expected);
}

#[tokio::test]
async fn rights_that_come_a_moment_later_are_waited_for() {
    let api = FakeApi::start(|before, _| match before {
        0..3 => Reply::status(403, "Forbidden"),
        _ => Reply::json(&json!({})),
    })
    .await;
    assert_eq!(removed_by(&api, LONG).await, Removal::Removed);
    assert_eq!(api.seen().len(), 4);
}

#[tokio::test]
async fn missing_rights_are_named_with_the_file_that_gives_them() {
    let api = FakeApi::start(|_, _| Reply::status(403, "Forbidden")).await;
    let source = Source::Kubeconfig(api.kubeconfig());
    let Removal::Left(why) = remove(&source, "node-1", LONG, OneAttempt).await else {
        panic!("it was forbidden")
    };
    assert!(why.contains("403") && why.contains("uninstall/rbac.yaml"), "{why}");
}

#[tokio::test]
async fn a_node_that_is_gone_has_nothing_left() {
    let mut gone = status(404, "NotFound");
    gone["details"] = json!({"name": "node-1", "kind": "nodes"});
    let api = FakeApi::start(move |_, _| Reply::text(404, &gone.to_string())).await;
    assert_eq!(removed_by(&api, LONG).await, Removal::NoNode);
    assert_eq!(api.seen().len(), 1);
}

#[tokio::test]
async fn what_would_be_refused_again_is_not_tried_again() {
    let api = FakeApi::start(|_, _| Reply::status(422, "Invalid")).await;
    let Removal::Left(why) = removed_by(&api, LONG).await else { panic!("it was refused") };
    assert!(why.contains("422"), "{why}");
    assert_eq!(api.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_or_never_answers_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::start(|_, _| Reply::Never).await;
    assert!(matches!(removed_by(&api, SHORT).await, Removal::Left(_)));

    let kubeconfig = dir.path().join("kubeconfig");
    // Bound and closed again: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    });
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    let Removal::Left(why) = remove(&Source::Kubeconfig(kubeconfig), "node-1", LONG, OneAttempt).await else {
        panic!("nobody is there")
    };
    assert!(why.contains("refused"), "{why}");
}

#[test]
fn the_command_for_the_operator_holds_the_same_patch() {
    let command = by_hand("node-1");
    let patch = command.split('\'').nth(1).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(patch).unwrap(), removal());
    assert!(command.starts_with("kubectl patch node node-1 --subresource=status"), "{command}");
}
