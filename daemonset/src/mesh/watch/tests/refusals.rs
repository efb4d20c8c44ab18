//! An API server that refuses.

use super::*;

#[tokio::test]
async fn missing_rights_are_told_once_and_their_coming_ends_it() {
    let allowed = Arc::new(AtomicBool::new(false));
    let given = allowed.clone();
    let (_api, source) = server(move |_, seen| match given.load(Ordering::SeqCst) {
        false => no_rights(),
        true if seen.watches() => Reply::watch(&[], Then::HoldOpen),
        true => list(&[on()]),
    })
    .await;
    let mut agent = Agent::follow(source);
    let problem = agent.has_problem(&SERVER).await;
    for part in ["403", "rbac.yaml", "nothing is known"] {
        assert!(problem.contains(part), "{part}: {problem}");
    }
    assert!(!agent.switch.borrow().is_known());
    allowed.store(true, Ordering::SeqCst);
    agent.becomes(Why::SmcEnabled).await;
    agent.has_no_problem(&SERVER).await;
}

#[tokio::test]
async fn a_watch_that_is_refused_while_the_list_works_keeps_what_the_list_said() {
    let (api, source) = server(|_, seen| if seen.watches() { no_rights() } else { list(&[on()]) }).await;
    let mut agent = Agent::follow(source);
    agent.becomes(Why::SmcEnabled).await;
    let problem = agent.has_problem(&SERVER).await;
    assert!(problem.contains("the last known value holds: on"), "{problem}");
    // The list's success, before that, does not end it.
    let tries = api.seen().len();
    eventually("more tries", || {
        assert!(agent.problem(&SERVER).is_some());
        (api.seen().len() > tries + 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_404_of_something_that_is_no_api_server_says_nothing_about_the_cluster() {
    let (_api, source) = server(|_, _| Reply::text(404, "<html>no such site</html>")).await;
    let agent = Agent::follow(source);
    let problem = agent.has_problem(&SERVER).await;
    assert!(problem.contains("no such site"), "{problem}");
    assert!(!agent.switch.borrow().is_known());
}
