use kube::core::Status;
use serde_json::json;

use super::*;

fn status(value: Value) -> Status {
    serde_json::from_value(value).unwrap()
}

#[test]
fn an_api_servers_refusals_are_told_apart() {
    for (answer, expected) in [
        (json!({"code": 401, "reason": "Unauthorized"}), Fault::Unauthenticated),
        (json!({"code": 403, "reason": "Forbidden"}), Fault::Forbidden),
        (
            json!({"code": 403, "reason": "Forbidden", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}),
            Fault::Terminating,
        ),
        (json!({"code": 404, "reason": "NotFound", "details": {"name": "web-1"}}), Fault::NotFound),
        (json!({"code": 404, "reason": "NotFound", "details": {}}), Fault::NoResource),
        (json!({"code": 404, "message": "404 page not found"}), Fault::NoResource),
        (json!({"code": 404, "message": "<html>"}), Fault::Unreachable),
        (json!({"code": 409, "reason": "AlreadyExists"}), Fault::AlreadyExists),
        (json!({"code": 409, "reason": "Conflict"}), Fault::Conflict),
        (json!({"code": 410, "reason": "Expired"}), Fault::Expired),
        (json!({"code": 422, "reason": "Invalid"}), Fault::Invalid),
        (json!({"code": 429}), Fault::Unreachable),
        (json!({"code": 500}), Fault::Unreachable),
    ] {
        assert_eq!(fault_of(&status(answer.clone())), expected, "{answer}");
    }
}

#[test]
fn a_page_of_a_proxy_is_one_short_line() {
    let page = format!("<html>\n\n  <body>\t{}", "no ".repeat(10_000));
    let text = explain_status(&status(json!({"code": 502, "message": page})));
    assert!(text.starts_with("the server answered 502: <html> <body> no no"), "{text}");
    assert!(text.len() < 300 && !text.contains('\n'), "{text}");
}

#[test]
fn requests_go_to_the_objects_own_path() {
    let request = patch_status("/api/v1/nodes", "node-1", &json!({"a": 1})).unwrap();
    assert_eq!(request.uri().path(), "/api/v1/nodes/node-1/status");
    let request = patch("/api/v1/namespaces/shop/events", "web.1", &json!({"a": 1})).unwrap();
    assert_eq!(request.uri().path(), "/api/v1/namespaces/shop/events/web.1");
}

#[tokio::test]
async fn an_address_that_speaks_no_tls_is_told_as_such() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let (path, authority) = (dir.path().join("kubeconfig"), dir.path().join("ca.pem"));
    std::fs::write(&authority, include_str!("test_ca.pem")).unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {
            "server": format!("https://127.0.0.1:{port}"), "certificate-authority": authority,
        }}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    });
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let api = ApiClient::connect(&Source::Kubeconfig(path), Pace::OFTEN).await.unwrap();
    let error = api.write(create("/api/v1/namespaces/shop/events", &json!({}))).await.unwrap_err();
    assert_eq!(fault(&error), Fault::Unreachable);
    let words = api.explain(&error);
    assert!(words.contains("corrupt message"), "{words}");
}

#[tokio::test]
async fn a_server_that_is_away_is_named_and_one_that_refuses_speaks_for_itself() {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    let kubeconfig = json!({
        "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "x",
    });
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let api = ApiClient::connect(&Source::Kubeconfig(path), Pace::OFTEN).await.unwrap();
    let away = api.write(create("/api/v1/namespaces/shop/events", &json!({}))).await.unwrap_err();
    let words = api.explain(&away);
    let named = format!("the API server http://127.0.0.1:{port} cannot be reached: ");
    assert!(words.starts_with(&named) && words.contains("refused"), "{words}");
    let busy = kube::Error::Api(Box::new(status(json!({"code": 503, "message": "shutting down"}))));
    assert_eq!(api.explain(&busy), "the server answered 503: shutting down");
}
