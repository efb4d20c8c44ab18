//! Against a fake API server.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use smc_model::{Reason, Verdict};

use super::*;
use crate::testing::fake_api::{AtOnce, FakeApi, Reply, Seen, eventually, status};
use crate::testing::test_values::{announcement, board};

const PATH: &str = "/api/v1/namespaces/shop/events";

struct Agent {
    api: FakeApi,
    board: Board,
    announce: mpsc::Sender<Announcement>,
}

impl Agent {
    async fn start(script: impl FnMut(usize, &Seen) -> Reply + Send + 'static) -> Self {
        let api = FakeApi::start(script).await;
        let (source, board) = (Source::Kubeconfig(api.kubeconfig()), board());
        let (announce, announcements) = mpsc::channel(64);
        let of_task = board.clone();
        tokio::spawn(async move {
            let queue = EventQueue::new("node-1".to_owned());
            publish(&source, announcements, queue, &of_task, AtOnce).await;
        });
        Self { api, board, announce }
    }

    async fn refused(&self, pod: &str) {
        let verdict = Verdict::refused(Reason::NoRdmaDevice);
        self.announce.send(announcement(pod, verdict)).await.unwrap();
    }

    async fn written(&self, how_many: u64) {
        let written = || self.board.read(|view| view.events.written >= how_many).then_some(());
        eventually("events are written", written).await;
    }

    fn problem(&self) -> Option<String> {
        self.board.read(|view| view.problems.iter().map(|(_, problem)| problem.to_owned()).next())
    }
}

fn created() -> Reply {
    Reply::Whole { status: 201, retry_after: None, body: "{}".to_owned() }
}

#[tokio::test]
async fn a_verdict_is_one_write_and_its_repetition_a_patch_of_the_count() {
    let agent = Agent::start(|_, _| created()).await;
    agent.refused("web-1").await;
    agent.written(1).await;
    agent.refused("web-1").await;
    agent.written(2).await;
    let seen = agent.api.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("POST", PATH));
    assert!(seen[0].query.contains("fieldManager=kube-smc"), "{}", seen[0].query);
    let name = seen[0].json()["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!((seen[1].method.as_str(), seen[1].path.clone()), ("PATCH", format!("{PATH}/{name}")));
    assert_eq!(seen[1].media_type, "application/merge-patch+json");
    assert_eq!(seen[1].json()["count"], 2);
    assert_eq!(seen.len(), 2, "nothing is read");
}

#[tokio::test]
async fn an_event_of_an_earlier_run_is_found_written() {
    let agent = Agent::start(|_, _| Reply::status(409, "AlreadyExists")).await;
    agent.refused("web-1").await;
    agent.written(1).await;
    assert_eq!(agent.problem(), None);
}

#[tokio::test]
async fn missing_rights_are_one_problem_and_the_event_is_written_when_they_come() {
    let allowed = Arc::new(AtomicBool::new(false));
    let given = allowed.clone();
    let agent =
        Agent::start(
            move |_, _| {
                if given.load(Ordering::SeqCst) { created() } else { Reply::status(403, "Forbidden") }
            },
        )
        .await;
    agent.refused("web-1").await;
    let problem = eventually("a problem", || agent.problem()).await;
    assert!(problem.contains("cannot write events") && problem.contains("rbac.yaml"), "{problem}");
    allowed.store(true, Ordering::SeqCst);
    agent.written(1).await;
    assert_eq!(agent.problem(), None);
}

#[tokio::test]
async fn events_of_a_namespace_that_ends_or_that_the_server_refuses_do_not_hold_up_the_others() {
    let agent = Agent::start(|_, seen| {
        let mut terminating = status(403, "Forbidden");
        terminating["details"] = json!({"causes": [{"reason": "NamespaceTerminating"}]});
        let mut no_namespace = status(404, "NotFound");
        no_namespace["details"] = json!({"name": "shop", "kind": "namespaces"});
        match seen.json()["involvedObject"]["name"].as_str().unwrap() {
            "terminating" => Reply::text(403, &terminating.to_string()),
            "gone" => Reply::text(404, &no_namespace.to_string()),
            "refused" => Reply::status(422, "Invalid"),
            _ => created(),
        }
    })
    .await;
    for pod in ["terminating", "gone", "refused", "web-1"] {
        agent.refused(pod).await;
    }
    agent.written(1).await;
    let counts = agent.board.read(|view| view.events);
    assert_eq!((counts.written, counts.dropped_gone, counts.dropped_rejected), (1, 2, 1));
    assert_eq!(agent.problem(), None);
}

#[tokio::test]
async fn an_event_that_is_gone_when_its_count_is_to_rise_is_made_anew() {
    let agent = Agent::start(|_, seen| match seen.method.as_str() {
        "PATCH" => {
            let mut gone = status(404, "NotFound");
            gone["details"] = json!({"name": "x", "kind": "events"});
            Reply::text(404, &gone.to_string())
        }
        _ => created(),
    })
    .await;
    agent.refused("web-1").await;
    agent.written(1).await;
    agent.refused("web-1").await;
    agent.written(2).await;
    let seen = agent.api.seen();
    let methods: Vec<&str> = seen.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(methods, ["POST", "PATCH", "POST"]);
    let names: BTreeSet<_> =
        [&seen[0], &seen[2]].map(|seen| seen.json()["metadata"]["name"].to_string()).into();
    assert_eq!(names.len(), 2);
}

#[tokio::test]
async fn a_server_that_comes_late_and_a_token_that_expires_lose_no_event() {
    let agent = Agent::start(|before, seen| match before {
        0 => Reply::text(503, "not ready"),
        1 => Reply::text(429, "slow down"),
        _ if seen.token == "Bearer first-token" => Reply::status(401, "Unauthorized"),
        _ => created(),
    })
    .await;
    agent.refused("web-1").await;
    eventually("the token is refused", || agent.problem().filter(|problem| problem.contains("401"))).await;
    agent.api.write_kubeconfig(&agent.api.dir().join("kubeconfig"), "second-token");
    agent.written(1).await;
    assert_eq!(agent.problem(), None);
}

#[tokio::test]
async fn without_a_kubeconfig_the_queue_drops_and_counts_and_nothing_else_happens() {
    let board = board();
    let (announce, announcements) = mpsc::channel(2000);
    for pod in 0..1000 {
        announce.send(announcement(&format!("web-{pod}"), Verdict::Configured)).await.unwrap();
    }
    let of_task = board.clone();
    let task = tokio::spawn(async move {
        let source = Source::Kubeconfig("/nowhere/kubeconfig".into());
        publish(&source, announcements, EventQueue::new(String::new()), &of_task, AtOnce).await;
    });
    let dropped = || board.read(|view| view.events.dropped_full >= 1000 - 512).then_some(());
    eventually("drops are counted", dropped).await;
    let problem = eventually("a problem", || {
        board.read(|view| view.problems.iter().map(|(_, problem)| problem.to_owned()).next())
    })
    .await;
    assert!(problem.contains("/nowhere/kubeconfig"), "{problem}");
    assert!(!task.is_finished());
    task.abort();
}

#[tokio::test]
async fn it_ends_when_nobody_can_announce_any_more_and_all_is_written() {
    let agent = Agent::start(|_, _| created()).await;
    let (announce, announcements) = mpsc::channel(8);
    announce.send(announcement("web-1", Verdict::Configured)).await.unwrap();
    drop(announce);
    let source = Source::Kubeconfig(agent.api.kubeconfig());
    let queue = EventQueue::new(String::new());
    tokio::time::timeout(
        crate::testing::fake_api::PATIENCE,
        publish(&source, announcements, queue, &agent.board, AtOnce),
    )
    .await
    .unwrap();
    assert_eq!(agent.api.seen().len(), 1);
}
