//! Against a fake API server.

mod kubeconfig;
mod refusals;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::mesh::Why;
use crate::testing::fake_api::{AtOnce, FakeApi, PATIENCE, Reply, Seen, Then, eventually, status};
use crate::testing::test_values::board;

const PATH: &str = "/apis/istio.alibabacloud.com/v1beta1/asmmeshconfigs";

fn object(name: &str, version: u32, smc_enabled: &Value) -> Value {
    json!({
        "apiVersion": "istio.alibabacloud.com/v1beta1", "kind": "ASMMeshConfig",
        "metadata": {"name": name, "resourceVersion": version.to_string()},
        "spec": {"cniConfiguration": {"enabled": true, "smcEnabled": smc_enabled}, "manifestPatch": []},
    })
}

fn list(items: &[Value]) -> Reply {
    Reply::json(&json!({
        "apiVersion": "istio.alibabacloud.com/v1beta1", "kind": "ASMMeshConfigList",
        "metadata": {"resourceVersion": "100"}, "items": items,
    }))
}

fn on() -> Value {
    object("default", 1, &json!(true))
}

fn modified(smc_enabled: bool) -> Value {
    json!({"type": "MODIFIED", "object": object("default", 200, &json!(smc_enabled))})
}

/// An agent that follows.
struct Agent {
    store: Store,
    board: Board,
    switch: watch::Receiver<MeshSwitch>,
    _dir: tempfile::TempDir,
}

impl Agent {
    fn follow(source: Source) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        Self::follow_in(dir, source, &store)
    }

    fn follow_in(dir: tempfile::TempDir, source: Source, store: &Store) -> Self {
        let (store, board) = (store.clone(), board());
        let last = last_known(&store, &board).unwrap_or(MeshSwitch::NOT_KNOWN_YET);
        let (sender, switch) = watch::channel(last);
        let (of_task, of_board) = (store.clone(), board.clone());
        tokio::spawn(async move { follow_with(&source, &of_task, &of_board, &sender, AtOnce).await });
        Self { store, board, switch, _dir: dir }
    }

    async fn becomes(&mut self, why: Why) -> MeshSwitch {
        let becoming = self.switch.wait_for(|switch| switch.why == why);
        *tokio::time::timeout(PATIENCE, becoming).await.unwrap().unwrap()
    }

    fn problem(&self, subject: &Subject) -> Option<String> {
        self.board.read(|view| view.problems.of(subject).map(str::to_owned))
    }

    async fn has_problem(&self, subject: &Subject) -> String {
        eventually(subject.name(), || self.problem(subject)).await
    }

    async fn has_no_problem(&self, subject: &Subject) {
        eventually("the end of a problem", || self.problem(subject).is_none().then_some(())).await;
    }
}

async fn server(script: impl FnMut(usize, &Seen) -> Reply + Send + 'static) -> (FakeApi, Source) {
    let api = FakeApi::start(script).await;
    let source = Source::Kubeconfig(api.kubeconfig());
    (api, source)
}

fn no_rights() -> Reply {
    Reply::status(403, "Forbidden")
}

#[tokio::test]
async fn the_switch_follows_the_object_and_reads_nothing_else() {
    let (api, source) =
        server(
            |_, seen| {
                if seen.watches() { Reply::watch(&[modified(false)], Then::HoldOpen) } else { list(&[on()]) }
            },
        )
        .await;
    let mut agent = Agent::follow(source);
    let switch = agent.becomes(Why::SmcNotEnabled).await;
    assert!(!switch.on);
    assert_eq!(agent.store.read_document::<MeshSwitch>().unwrap(), Some(switch));
    api.assert_only(&[&format!("GET {PATH}"), &format!("WATCH {PATH}")]);
    for seen in api.seen() {
        assert!(seen.query.contains("fieldSelector=metadata.name%3Ddefault"), "{}", seen.query);
        assert_eq!(seen.token, "Bearer first-token");
    }
}

#[tokio::test]
async fn an_ended_watch_goes_on_where_the_bookmark_was() {
    let (api, source) = server(|before, seen| match before {
        _ if !seen.watches() => list(&[on()]),
        1 => {
            let object = json!({
                "apiVersion": "istio.alibabacloud.com/v1beta1", "kind": "ASMMeshConfig",
                "metadata": {"resourceVersion": "150"},
            });
            Reply::watch(&[json!({"type": "BOOKMARK", "object": object})], Then::End)
        }
        _ => Reply::watch(&[modified(false)], Then::HoldOpen),
    })
    .await;
    let mut agent = Agent::follow(source);
    agent.becomes(Why::SmcNotEnabled).await;
    let seen = api.seen();
    assert!(seen[1].query.contains("resourceVersion=100"), "{}", seen[1].query);
    assert!(seen[2].watches() && seen[2].query.contains("resourceVersion=150"), "{}", seen[2].query);
    assert_eq!(agent.problem(&SERVER), None);
}

#[tokio::test]
async fn an_expired_history_leads_to_a_new_list_and_is_no_problem() {
    for gone in [
        Reply::watch(&[json!({"type": "ERROR", "object": status(410, "Expired")})], Then::HoldOpen),
        Reply::watch(&[json!({"type": "ERROR", "object": status(410, "Gone")})], Then::End),
    ] {
        let (_api, source) = server(move |before, seen| match before {
            0 => list(&[on()]),
            1 => gone.clone(),
            _ if seen.watches() => Reply::watch(&[], Then::HoldOpen),
            _ => list(&[object("default", 300, &json!(false))]),
        })
        .await;
        let mut agent = Agent::follow(source);
        agent.becomes(Why::SmcNotEnabled).await;
        assert_eq!(agent.problem(&SERVER), None);
    }
}

#[tokio::test]
async fn a_busy_server_is_asked_again_no_sooner_than_it_says() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let asked = times.clone();
    let (_api, source) = server(move |before, seen| {
        asked.lock().unwrap().push(Instant::now());
        match before {
            0 => {
                let body = "Too many requests, please try again later.".to_owned();
                Reply::Whole { status: 429, retry_after: Some(2), body }
            }
            _ if seen.watches() => Reply::watch(&[], Then::HoldOpen),
            _ => list(&[on()]),
        }
    })
    .await;
    let mut agent = Agent::follow(source);
    let problem = agent.has_problem(&SERVER).await;
    assert!(problem.contains("429") && problem.contains("Too many requests"), "{problem}");
    agent.becomes(Why::SmcEnabled).await;
    assert_eq!(agent.problem(&SERVER), None);
    let times = times.lock().unwrap();
    assert!(times[1] - times[0] >= Duration::from_secs(2), "{:?}", times[1] - times[0]);
}

#[tokio::test]
async fn a_watch_that_breaks_off_in_the_middle_of_a_line_is_taken_up_again() {
    let (_api, source) = server(|before, seen| match before {
        _ if !seen.watches() => list(&[on()]),
        1 => {
            let line = modified(false).to_string();
            Reply::Stream { pieces: vec![line[..line.len() / 2].to_owned()], then: Then::Abort }
        }
        2 => Reply::Stream { pieces: vec!["{\"type\":\"MODI".to_owned()], then: Then::End },
        _ => Reply::watch(&[modified(false)], Then::HoldOpen),
    })
    .await;
    let mut agent = Agent::follow(source);
    agent.becomes(Why::SmcEnabled).await;
    agent.becomes(Why::SmcNotEnabled).await;
    agent.has_no_problem(&SERVER).await;
}

#[tokio::test]
async fn a_server_that_is_back_is_no_problem_even_if_the_object_never_changes() {
    let back = Arc::new(AtomicBool::new(false));
    let is_back = back.clone();
    let (_api, source) = server(move |_, seen| match is_back.load(Ordering::SeqCst) {
        _ if !seen.watches() => list(&[on()]),
        false => Reply::text(502, "<html>Bad Gateway</html>"),
        true => Reply::watch(&[], Then::HoldOpen),
    })
    .await;
    let mut agent = Agent::follow(source);
    agent.becomes(Why::SmcEnabled).await;
    let problem = agent.has_problem(&SERVER).await;
    assert!(problem.contains("502"), "{problem}");
    back.store(true, Ordering::SeqCst);
    agent.has_no_problem(&SERVER).await;
}

#[tokio::test]
async fn garbage_is_told_and_changes_nothing() {
    let mended = Arc::new(AtomicBool::new(false));
    let sound = mended.clone();
    let (_api, source) = server(move |before, seen| match sound.load(Ordering::SeqCst) {
        false if before % 2 == 0 => Reply::text(200, "{\"items\": [{\"metadata\": 7}]}"),
        false => Reply::text(200, "<html>login</html>"),
        true if !seen.watches() => list(&[on()]),
        true => Reply::Stream {
            pieces: vec!["garbage\n".to_owned(), format!("{}\n", modified(false))],
            then: Then::HoldOpen,
        },
    })
    .await;
    let mut agent = Agent::follow(source);
    agent.has_problem(&SERVER).await;
    assert!(!agent.switch.borrow().is_known());
    mended.store(true, Ordering::SeqCst);
    agent.becomes(Why::SmcNotEnabled).await;
    agent.has_no_problem(&SERVER).await;
}

#[tokio::test]
async fn a_malformed_object_keeps_the_last_value_and_its_mending_ends_the_problem() {
    let mended = Arc::new(AtomicBool::new(false));
    let again = mended.clone();
    let (_api, source) = server(move |before, seen| {
        let malformed = json!({"type": "MODIFIED", "object": object("default", 150, &json!("yes"))});
        match before {
            _ if !seen.watches() => list(&[on()]),
            1 => Reply::watch(&[malformed], Then::End),
            _ if again.load(Ordering::SeqCst) => Reply::watch(&[modified(false)], Then::HoldOpen),
            _ => Reply::watch(&[], Then::End),
        }
    })
    .await;
    let mut agent = Agent::follow(source);
    let problem = agent.has_problem(&OBJECT).await;
    assert!(problem.contains("smcEnabled is a string"), "{problem}");
    assert_eq!(agent.switch.borrow().why, Why::SmcEnabled);
    mended.store(true, Ordering::SeqCst);
    agent.becomes(Why::SmcNotEnabled).await;
    agent.has_no_problem(&OBJECT).await;
}

#[tokio::test]
async fn a_cluster_without_the_object_or_the_resource_is_off_and_says_which() {
    let (_api, source) = server(|_, seen| {
        if seen.watches() {
            Reply::watch(&[], Then::HoldOpen)
        } else {
            list(&[object("other", 1, &json!(true))])
        }
    })
    .await;
    assert!(!Agent::follow(source).becomes(Why::NoObject).await.on);

    for reply in [Reply::text(404, "404 page not found\n"), Reply::status(404, "NotFound")] {
        let (_api, source) = server(move |_, _| reply.clone()).await;
        let mut agent = Agent::follow(source);
        assert!(!agent.becomes(Why::NoResource).await.on);
        let problem = agent.has_problem(&SERVER).await;
        for part in
            ["has no resource ASMMeshConfig", "not accelerated", "overlays/ack-asm", "SMC_AGENT_MESH=enabled"]
        {
            assert!(problem.contains(part), "{problem}");
        }
    }
}

#[tokio::test]
async fn a_resource_that_comes_later_ends_the_problem() {
    let (_api, source) = server(|before, seen| match (before, seen.watches()) {
        (0, _) => Reply::text(404, "404 page not found\n"),
        (_, true) => Reply::watch(&[], Then::HoldOpen),
        (_, false) => list(&[object("default", 1, &json!(true))]),
    })
    .await;
    let mut agent = Agent::follow(source);
    assert!(agent.becomes(Why::SmcEnabled).await.on);
    eventually("the end of the problem", || agent.problem(&SERVER).is_none().then_some(())).await;
}

#[tokio::test]
async fn a_deleted_object_switches_off() {
    let (_api, source) = server(|_, seen| {
        let deleted = json!({"type": "DELETED", "object": object("default", 200, &json!(true))});
        if seen.watches() { Reply::watch(&[deleted], Then::HoldOpen) } else { list(&[on()]) }
    })
    .await;
    assert!(!Agent::follow(source).becomes(Why::NoObject).await.on);
}

#[tokio::test]
async fn a_restart_without_an_api_server_holds_the_last_known_value() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let last = MeshSwitch { on: true, repair: false, why: Why::SmcEnabled };
    store.write_document(&last).unwrap();
    let kubeconfig = dir.path().join("kubeconfig");
    let api = FakeApi::start(|_, _| Reply::Never).await;
    api.write_kubeconfig(&kubeconfig, "token");
    // A port on which nobody listens any more.
    let text =
        std::fs::read_to_string(&kubeconfig).unwrap().replace("http://127.0.0.1:", "http://127.255.255.254:");
    std::fs::write(&kubeconfig, text).unwrap();
    let agent = Agent::follow_in(dir, Source::Kubeconfig(kubeconfig), &store);
    let problem = agent.has_problem(&SERVER).await;
    assert!(problem.contains("the last known value holds: on"), "{problem}");
    assert_eq!(*agent.switch.borrow(), last);
}

#[tokio::test]
async fn an_unreadable_last_value_is_told_and_begins_as_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    std::fs::write(store.document_path::<MeshSwitch>(), "{\"version\":9}").unwrap();
    let board = board();
    assert_eq!(last_known(&store, &board), None);
    assert_eq!(board.read(|view| view.problems.iter().count()), 1);
}

#[tokio::test]
async fn a_server_that_ends_every_watch_at_once_is_not_asked_as_fast_as_it_can_answer() {
    let (api, source) =
        server(|_, seen| if seen.watches() { Reply::watch(&[], Then::End) } else { list(&[on()]) }).await;
    let mut agent = Agent::follow(source);
    agent.becomes(Why::SmcEnabled).await;
    let begun = Instant::now();
    eventually("some time", || (begun.elapsed() > Duration::from_secs(3)).then_some(())).await;
    let asked = api.seen().len();
    let allowed = 11 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    assert!((3..=allowed).contains(&asked), "{asked} requests");
}
