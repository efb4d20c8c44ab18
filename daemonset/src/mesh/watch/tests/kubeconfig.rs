//! The kubeconfig that leads to the API server.

use super::*;

#[tokio::test]
async fn an_expired_token_is_read_anew_from_the_kubeconfig() {
    let (api, source) = server(|_, seen| match (seen.token.as_str(), seen.watches()) {
        ("Bearer second-token", true) => Reply::watch(&[], Then::HoldOpen),
        ("Bearer second-token", false) => list(&[on()]),
        _ => Reply::status(401, "Unauthorized"),
    })
    .await;
    let path = api.kubeconfig();
    let mut agent = Agent::follow(source);
    let problem = agent.has_problem(&SERVER).await;
    assert!(problem.contains("401") && problem.contains("credentials"), "{problem}");
    api.write_kubeconfig(&path, "second-token");
    agent.becomes(Why::SmcEnabled).await;
    agent.has_no_problem(&SERVER).await;
}

#[tokio::test]
async fn a_kubeconfig_may_come_later_and_a_wrong_one_is_told_without_its_secrets() {
    let (api, _) =
        server(|_, seen| if seen.watches() { Reply::watch(&[], Then::HoldOpen) } else { list(&[on()]) })
            .await;
    let path = api.dir().join("later");
    let mut agent = Agent::follow(Source::Kubeconfig(path.clone()));
    let problem = agent.has_problem(&SERVER).await;
    assert!(problem.contains("cannot read the kubeconfig") && problem.contains("later"), "{problem}");
    assert!(problem.contains("Secret smc-agent-asm"), "{problem}");

    for wrong in [
        "users: [{name: u, user: {token: geheim}}\n  - broken",
        "apiVersion: v1\nkind: Config\nusers: [{name: u, user: {token: [geheim]}}]",
        "geheim",
        "",
        "{\"current-context\": \"none\", \"users\": [{\"name\": \"u\", \"user\": {\"token\": \"geheim\"}}]}",
    ] {
        std::fs::write(&path, wrong).unwrap();
        let told = eventually("another problem", || {
            agent.problem(&SERVER).filter(|problem| !problem.contains("cannot read"))
        })
        .await;
        assert!(told.contains("kubeconfig") && !told.contains("geheim"), "{wrong:?}: {told}");
        std::fs::remove_file(&path).unwrap();
        eventually("the file is missed", || {
            agent.problem(&SERVER).filter(|problem| problem.contains("cannot read"))
        })
        .await;
    }
    api.write_kubeconfig(&path, "token");
    agent.becomes(Why::SmcEnabled).await;
}

/// A Secret is mended while the agent runs, and whose address was wrong gave no answer at all.
#[tokio::test]
async fn a_kubeconfig_with_a_wrong_address_or_of_another_cluster_is_read_anew_when_it_is_mended() {
    let (right, _) =
        server(|_, seen| if seen.watches() { Reply::watch(&[], Then::HoldOpen) } else { list(&[on()]) })
            .await;
    let (other, _) = server(|_, _| Reply::text(404, "404 page not found\n")).await;
    let path = right.dir().join("mended");
    right.write_kubeconfig(&path, "token");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace("http://127.0.0.1:", "http://127.255.255.254:")).unwrap();
    let mut agent = Agent::follow(Source::Kubeconfig(path.clone()));
    let problem = agent.has_problem(&SERVER).await;
    assert!(problem.contains("127.255.255.254"), "{problem}");
    other.write_kubeconfig(&path, "token");
    agent.becomes(Why::NoResource).await;
    std::fs::write(&path, good).unwrap();
    agent.becomes(Why::SmcEnabled).await;
    agent.has_no_problem(&SERVER).await;
}
