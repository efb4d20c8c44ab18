use serde_json::json;

use super::*;
use crate::testing::fake_api::{FakeApi, Reply};

fn options(api: Option<Source>, node_name: Option<&str>) -> Options {
    let nowhere = PathBuf::from("/nonexistent");
    Options {
        pin_dir: nowhere.clone(),
        proc: nowhere.clone(),
        conf_dir: nowhere.clone(),
        provenance_dir: nowhere,
        api,
        node_name: node_name.map(str::to_owned),
    }
}

async fn in_kubernetes_of(store: &Store, options: &Options) -> Undone {
    let mut undone = Undone::default();
    in_kubernetes(store, options, &mut undone).await;
    assert_eq!(undone.problems, [""; 0], "it never makes uninstalling fail");
    undone
}

#[tokio::test]
async fn the_nodes_label_and_condition_go_where_there_is_an_api_server() {
    let api = FakeApi::start(|_, _| Reply::json(&json!({}))).await;
    let store = Store::new(api.dir().join("state"));
    let options = options(Some(Source::Kubeconfig(api.kubeconfig())), Some("node-1"));
    let undone = in_kubernetes_of(&store, &options).await;
    assert_eq!(undone.left, [""; 0]);
    assert!(undone.done[0].contains("condition SMCReady of node node-1"), "{undone:?}");
    api.assert_only(&["PATCH /api/v1/nodes/node-1/status"]);
}

#[tokio::test]
async fn what_is_left_is_named_with_the_command_that_removes_it() {
    let api = FakeApi::start(|_, _| Reply::status(422, "Invalid")).await;
    let store = Store::new(api.dir().join("state"));
    let source = Some(Source::Kubeconfig(api.kubeconfig()));
    for (options, why) in [
        (options(source.clone(), Some("node-1")), "422"),
        (options(source, None), "this node's name is not known"),
    ] {
        let undone = in_kubernetes_of(&store, &options).await;
        let node = options.node_name.as_deref().unwrap_or("NODE");
        let command = node_removal::by_hand(node);
        for part in [READY_LABEL, READY_CONDITION, why, &command] {
            assert!(undone.left[0].contains(part), "{part}: {undone:?}");
        }
    }
}

#[tokio::test]
async fn by_hand_without_an_api_server_it_is_told_only_where_an_agent_wrote_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let options = options(None, None);
    let undone = in_kubernetes_of(&store, &options).await;
    assert_eq!((undone.done, undone.left), (vec![], vec![]));
    store.write_document(&Since { ready: true, since: 1 }).unwrap();
    let undone = in_kubernetes_of(&store, &options).await;
    assert!(undone.left[0].contains("no API server is known here"), "{undone:?}");
}
