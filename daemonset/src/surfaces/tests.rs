//! All of it together, against a fake API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use smc_model::{
    Anchor, Conversion, Datapath, Guard, Kernel, KernelFamily, RdmaNetnsMode, RdmaPort, Reason, Switch, Ueid,
    Verdict,
};
use smc_state::{Record, StepTiming};

use super::*;
use crate::mesh::Why;
use crate::testing::fake_api::{FakeApi, PATIENCE, Reply, eventually};
use crate::testing::test_values::record;

const MESH: &str = "/apis/istio.alibabacloud.com/v1beta1/asmmeshconfigs";

fn facts() -> NodeFacts {
    NodeFacts {
        kernel: Kernel { release: "5.10.134-17.3".to_owned(), family: KernelFamily::Alibaba },
        smc_loaded: true,
        smc_missing: None,
        syn_option: None,
        smc_module: None,
        conversion: Conversion::Tcp2smc,
        rdma_netns_mode: RdmaNetnsMode::Shared,
        ports: Vec::new(),
        ueids: Vec::new(),
        guard: Guard::NotNeeded,
        guard_pins: None,
        inbound: smc_model::Inbound::Any,
        refused_defects: Vec::new(),
        anchor: Anchor::NotNeeded,
        datapath: Datapath::Netfilter,
        switch: Switch::On,
        only_looked_at: false,
    }
}

/// A node on which nothing stands in the way.
fn usable() -> NodeFacts {
    let port = RdmaPort {
        device: "erdma_0".to_owned(),
        port: 1,
        active: true,
        pnetid: "A".parse().ok(),
        netdev: None,
        pods: 0,
    };
    NodeFacts { ports: vec![port], ueids: vec![Ueid::DEFAULT.parse().unwrap()], ..facts() }
}

fn options(api: &FakeApi) -> Options {
    Options {
        mesh: MeshMode::Watch,
        mesh_kubeconfig: Some(api.kubeconfig()),
        kubeconfig: Some(api.kubeconfig()),
        node_name: Some("node-1".to_owned()),
        startup_taint: None,
        listen: Listen::Off,
        proc: PathBuf::from("/proc"),
        pod_uid: None,
    }
}

fn fresh(pod: &str, verdict: Verdict) -> Change {
    let started_ms = u64::try_from(wall().as_millis()).unwrap();
    let timings = vec![StepTiming { phase: "observe".to_owned(), us: 1000 }];
    Change::Seen(Arc::new(Record { started_ms, timings, ..record(pod, verdict) }))
}

#[tokio::test]
async fn only_the_mesh_object_is_read_and_only_events_and_the_nodes_status_are_written() {
    let api = FakeApi::start(|_, seen| match seen.path.as_str() {
        MESH if seen.watches() => Reply::watch(&[], crate::testing::fake_api::Then::HoldOpen),
        MESH => Reply::json(&json!({
            "metadata": {"resourceVersion": "1"},
            "items": [{"metadata": {"name": "default"}, "spec": {"cniConfiguration": {"smcEnabled": true}}}],
        })),
        _ => Reply::json(&json!({})),
    })
    .await;
    let store = Store::new(api.dir().join("state"));
    let mut surfaces = Surfaces::start(options(&api), store, Chain::Unmanaged).unwrap();
    let mut mesh = surfaces.mesh();
    tokio::time::timeout(PATIENCE, mesh.wait_for(|mesh| mesh.on)).await.unwrap().unwrap();
    surfaces.main_loop_turned();
    surfaces.node_is(&facts());
    for start in 0..20 {
        let pod = format!("web-{start}");
        surfaces.records_changed(&[fresh(&pod, Verdict::Configured)]);
    }
    eventually("events", || surfaces.board.read(|view| view.events.written >= 20).then_some(())).await;
    let node = |seen: &&crate::testing::fake_api::Seen| seen.path == "/api/v1/nodes/node-1/status";
    let patch = eventually("a condition", || api.seen().iter().find(node).cloned()).await;
    assert_eq!(patch.json()["status"]["conditions"][0]["reason"], "NoRdmaDevice");
    api.assert_only(&[
        &format!("GET {MESH}"),
        &format!("WATCH {MESH}"),
        "POST /api/v1/namespaces/shop/events",
        "PATCH /api/v1/nodes/node-1/status",
    ]);
    let reads = api.seen().iter().filter(|seen| seen.method == "GET" && !seen.watches()).count();
    assert_eq!(reads, 1, "pod starts cost no read");
}

#[tokio::test]
async fn after_a_restart_old_verdicts_are_shown_and_neither_announced_nor_timed_again() {
    let api = FakeApi::start(|_, _| Reply::json(&json!({}))).await;
    let options = Options { mesh: MeshMode::Enabled, ..options(&api) };
    let store = Store::new(api.dir().join("state"));
    let mut surfaces = Surfaces::start(options, store, Chain::Unmanaged).unwrap();
    let old = Change::Seen(Arc::new(record("old", Verdict::Configured)));
    surfaces.records_changed(&[old, fresh("meanwhile", Verdict::Configured)]);
    surfaces.records_changed(&[fresh("new", Verdict::refused(Reason::NoRdmaDevice))]);
    eventually("events", || surfaces.board.read(|view| view.events.written >= 2).then_some(())).await;
    let bodies: Vec<_> = api.seen().iter().map(crate::testing::fake_api::Seen::json).collect();
    let named: Vec<_> = bodies.iter().map(|body| body["involvedObject"]["name"].as_str().unwrap()).collect();
    assert_eq!(named, ["meanwhile", "new"]);
    assert_eq!(surfaces.board.read(|view| view.pods.len()), 3);
    let text = surfaces.metrics.text().unwrap();
    assert!(text.contains("kube_smc_add_duration_seconds_count{phase=\"total\"} 1\n"), "{text}");

    let ended = record("new", Verdict::Configured).attachment;
    surfaces.records_changed(&[Change::Ended(ended)]);
    assert_eq!(surfaces.board.read(|view| view.pods.len()), 2);
}

#[tokio::test]
async fn a_fixed_switch_asks_nobody_and_a_node_without_a_cluster_works() {
    let dir = tempfile::tempdir().unwrap();
    for (mode, on) in [(MeshMode::Enabled, true), (MeshMode::Disabled, false)] {
        let options = Options {
            mesh: mode,
            mesh_kubeconfig: None,
            kubeconfig: Some(dir.path().join("absent")),
            node_name: Some("node-1".to_owned()),
            startup_taint: None,
            listen: Listen::Off,
            proc: PathBuf::from("/proc"),
            pod_uid: None,
        };
        let mut surfaces = Surfaces::start(options, Store::new(dir.path()), Chain::Unmanaged).unwrap();
        let switch = *surfaces.mesh().borrow();
        assert_eq!((switch.on, switch.why), (on, Why::Fixed));
        surfaces.node_is(&facts());
        surfaces.records_changed(&[]);
        for pod in 0..2000 {
            surfaces.records_changed(&[fresh(&format!("web-{pod}"), Verdict::Configured)]);
        }
        assert_eq!(surfaces.board.read(|view| view.pods.len()), 2000);
        assert!(surfaces.board.read(|view| view.readiness.ready(Instant::now())).is_ok());
        let problems = || surfaces.board.read(|view| view.problems.iter().count() == 2).then_some(());
        eventually("one problem for events and one for the condition", problems).await;
    }
}

#[tokio::test]
async fn the_switch_reaches_the_board_and_the_condition() {
    let on = Arc::new(AtomicBool::new(true));
    let is_on = on.clone();
    let api = FakeApi::start(move |_, seen| {
        let enabled = is_on.load(Ordering::SeqCst);
        match seen.path.as_str() {
            MESH if seen.watches() => Reply::watch(&[], crate::testing::fake_api::Then::End),
            MESH => Reply::json(&json!({
                "metadata": {"resourceVersion": "1"},
                "items": [{"metadata": {"name": "default"}, "spec": {"cniConfiguration": {"smcEnabled": enabled}}}],
            })),
            _ => Reply::json(&json!({})),
        }
    })
    .await;
    let store = Store::new(api.dir().join("state"));
    let surfaces = Surfaces::start(options(&api), store.clone(), Chain::Unmanaged).unwrap();
    let mut mesh = surfaces.mesh();
    let usable = usable();
    surfaces.node_is(&usable);
    tokio::time::timeout(PATIENCE, mesh.wait_for(|mesh| mesh.on)).await.unwrap().unwrap();
    surfaces.main_loop_turned();
    let reasons = || -> Vec<String> {
        let patches = api.seen().into_iter().filter(|seen| seen.method == "PATCH");
        patches
            .map(|seen| seen.json()["status"]["conditions"][0]["reason"].as_str().unwrap().to_owned())
            .collect()
    };
    eventually("ready", || reasons().contains(&"Ready".to_owned()).then_some(())).await;

    // The next run of the agent, while the mesh says off.
    on.store(false, Ordering::SeqCst);
    let again = Surfaces::start(options(&api), store, Chain::Unmanaged).unwrap();
    again.node_is(&usable);
    let mut mesh = again.mesh();
    tokio::time::timeout(PATIENCE, mesh.wait_for(|mesh| !mesh.on)).await.unwrap().unwrap();
    again.main_loop_turned();
    assert!(!again.board.read(|view| view.mesh.on));
    eventually("not ready", || reasons().contains(&"MeshOff".to_owned()).then_some(())).await;
}

#[tokio::test]
async fn a_rewrite_of_the_chain_does_not_touch_the_condition() {
    let api = FakeApi::start(|_, _| Reply::json(&json!({}))).await;
    let options = Options { mesh: MeshMode::Enabled, ..options(&api) };
    let store = Store::new(api.dir().join("state"));
    let surfaces = Surfaces::start(options, store, Chain::Unknown).unwrap();
    surfaces.node_is(&usable());
    surfaces.chain_is(Chain::Loaded);
    let before = surfaces.conditions.borrow().clone();
    assert!(before.as_ref().is_some_and(|condition| condition.ready));
    for _ in 0..100 {
        surfaces.chain_is(Chain::NotLoaded { why: "rewritten".to_owned() });
        surfaces.main_loop_turned();
        assert_eq!(*surfaces.conditions.borrow(), before);
        surfaces.chain_is(Chain::Loaded);
    }
    // What writes it writes to this test's directory, too.
    let written = || api.seen().iter().any(|seen| seen.method == "PATCH").then_some(());
    eventually("the condition is written", written).await;
}

/// `VERB group/resource` of every rule, with what following the mesh takes.
fn rules() -> BTreeSet<String> {
    let text = include_str!("../../manifests/base/rbac.yaml");
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(text).unwrap();
    let role = documents.iter().find(|document| document["kind"] == "ClusterRole").unwrap();
    let of_mesh = include_str!("../../manifests/overlays/ack-asm/rights.yaml");
    let of_mesh: serde_json::Value = serde_saphyr::from_str(of_mesh).unwrap();
    let words = |list: &serde_json::Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut rules = BTreeSet::new();
    let all = [role, &of_mesh].map(|role| role["rules"].as_array().unwrap());
    for rule in all.into_iter().flatten() {
        for (group, resource) in words(&rule["apiGroups"]).iter().zip(words(&rule["resources"])) {
            let names = rule.get("resourceNames").map(|names| words(names).join(",")).unwrap_or_default();
            rules.extend(
                words(&rule["verbs"]).iter().map(|verb| format!("{verb} {group}/{resource} {names}")),
            );
        }
    }
    rules
}

/// The right that a request needs, as the API server reads it.
fn right(seen: &crate::testing::fake_api::Seen) -> String {
    let parts: Vec<&str> = seen.path.trim_start_matches('/').split('/').collect();
    let (resource, names) = match parts[..] {
        ["apis", group, _, resource] => {
            // A list or watch of one name has that name for RBAC.
            let selector =
                seen.query.split('&').find_map(|part| part.strip_prefix("fieldSelector=metadata.name%3D"));
            (format!("{group}/{resource}"), selector.unwrap_or_default())
        }
        ["api", "v1", "nodes"] => ("/nodes".to_owned(), ""),
        ["api", "v1", "nodes", _, "status"] => ("/nodes/status".to_owned(), ""),
        ["api", "v1", "namespaces", _, "events"] | ["api", "v1", "namespaces", _, "events", _] => {
            ("/events".to_owned(), "")
        }
        _ => panic!("{}", seen.path),
    };
    let verb = match seen.method.as_str() {
        "GET" if seen.watches() => "watch",
        "GET" => "list",
        "POST" => "create",
        "PATCH" => "patch",
        other => panic!("{other}"),
    };
    format!("{verb} {resource} {names}")
}

#[tokio::test]
async fn the_rights_in_the_manifest_are_exactly_those_that_are_used() {
    let api = FakeApi::start(|_, seen| match seen.path.as_str() {
        MESH if seen.watches() => Reply::watch(&[], crate::testing::fake_api::Then::HoldOpen),
        MESH => Reply::json(&json!({"metadata": {"resourceVersion": "1"}, "items": []})),
        _ => Reply::json(&json!({})),
    })
    .await;
    let store = Store::new(api.dir().join("state"));
    let mut surfaces = Surfaces::start(options(&api), store, Chain::Unmanaged).unwrap();
    surfaces.node_is(&usable());
    for written in 1..=2 {
        surfaces.records_changed(&[fresh("web-1", Verdict::refused(Reason::NoRdmaDevice))]);
        let refused = || surfaces.board.read(|view| (view.events.written >= written).then_some(()));
        eventually("an event", refused).await;
    }
    let used = || -> BTreeSet<String> { api.seen().iter().map(right).collect() };
    eventually("all requests", || (used().len() >= 6).then_some(())).await;
    assert_eq!(used(), rules());
}

#[test]
fn the_resource_definition_is_the_one_that_is_watched_and_keeps_unknown_fields() {
    let text = include_str!("../../manifests/base/crd-asmmeshconfig.yaml");
    let crd: serde_json::Value = serde_saphyr::from_str(text).unwrap();
    let (spec, version) = (&crd["spec"], &crd["spec"]["versions"][0]);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let (group, plural, version_name) =
        (text(&spec["group"]), text(&spec["names"]["plural"]), text(&version["name"]));
    assert_eq!(format!("/apis/{group}/{version_name}/{plural}"), MESH);
    assert_eq!(crd["metadata"]["name"], format!("{plural}.{group}"));
    assert_eq!((&spec["scope"], &spec["names"]["kind"]), (&json!("Cluster"), &json!("ASMMeshConfig")));
    let keeps = "x-kubernetes-preserve-unknown-fields";
    let root = &version["schema"]["openAPIV3Schema"];
    let cni = &root["properties"]["spec"]["properties"]["cniConfiguration"];
    for level in [root, &root["properties"]["spec"], cni, &cni["properties"]["repair"]] {
        assert_eq!(level[keeps], true, "{level}");
    }
}
