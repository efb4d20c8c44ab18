use std::fs;

use super::*;

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (version, kind) = if name.starts_with("component/") { COMPONENT } else { OVERLAY };
        let header = format!("apiVersion: {version}\nkind: {kind}\n");
        let header = if name.ends_with(FILE) { &header } else { "" };
        fs::write(path, format!("{header}{content}")).unwrap();
    }
    directory
}

const POD: &str =
    "kind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n    - envFrom: [{configMapRef: {name: c}}]\n";
const GENERATOR: &str =
    "resources: [pod.yaml]\nconfigMapGenerator:\n  - {name: c, namespace: n, literals: [K=a=b]}\n";

#[test]
fn a_generated_config_map_is_named_by_its_content_wherever_it_is_referred_to() {
    let files = [("base/kustomization.yaml", GENERATOR), ("base/pod.yaml", POD)];
    let overlay = "resources: [../base]\nconfigMapGenerator:\n  \
                   - {name: c, namespace: n, behavior: merge, literals: [L=<&>]}\n";
    let directory = directory(&[files[0], files[1], ("overlay/kustomization.yaml", overlay)]);
    let names = |layer: &str| {
        let documents = render(&directory.path().join(layer)).unwrap();
        let reference = &documents[0]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"];
        assert_eq!(documents[1]["metadata"]["name"], *reference);
        (reference.as_str().unwrap().to_owned(), documents[1]["data"].clone())
    };
    let (base, data) = names("base");
    assert_eq!(data, json!({ "K": "a=b" }));
    let (overlay, data) = names("overlay");
    assert_eq!(data, json!({ "K": "a=b", "L": "<&>" }));
    assert!(base.starts_with("c-") && overlay.starts_with("c-") && base != overlay, "{base} {overlay}");
}

#[test]
fn a_component_changes_what_the_overlay_that_lists_it_builds_on() {
    let files = [
        ("base/kustomization.yaml", GENERATOR),
        ("base/pod.yaml", POD),
        (
            "component/kustomization.yaml",
            "configMapGenerator:\n  - {name: c, namespace: n, behavior: merge, literals: [L=m]}\n",
        ),
        ("overlay/kustomization.yaml", "resources: [../base]\ncomponents: [../component]\n"),
        ("alone/kustomization.yaml", "resources: [../component]\n"),
    ];
    let directory = directory(&files);
    let documents = render(&directory.path().join("overlay")).unwrap();
    assert_eq!(documents[1]["data"], json!({ "K": "a=b", "L": "m" }));
    assert!(render(&directory.path().join("alone")).is_err(), "a component is no resource");
}

#[test]
fn the_hash_is_that_of_kubectl_kustomize() {
    let data = json!({
        "SMC_AGENT_LOG_LEVEL": "info",
        "SMC_AGENT_LOG_FORMAT": "text",
        "SMC_AGENT_UEID": "SMCV2-DEFAULT-UEID",
    });
    assert_eq!(hash(&data), "k25mb57ct2");
}

#[test]
fn patches_change_their_target_only() {
    let kustomization =
        "resources: [pod.yaml]\npatches:\n  - {target: {kind: Pod, name: a}, path: patch.yaml}\n";
    let patch = "- {op: add, path: /spec/hostNetwork, value: true}\n";
    let pods = format!("{POD}---\n{}", POD.replace("name: a", "name: b"));
    let files = [("kustomization.yaml", kustomization), ("pod.yaml", &pods), ("patch.yaml", patch)];
    let documents = render(directory(&files).path()).unwrap();
    assert_eq!(documents[0]["spec"]["hostNetwork"], true);
    assert_eq!(documents[1]["spec"]["hostNetwork"], Value::Null);
}

#[test]
fn what_is_not_understood_is_an_error() {
    for kustomization in [
        "namePrefix: x\n",
        "resources: [none.yaml]\n",
        "resources: [pod.yaml]\npatches: [{target: {kind: Pod, name: z}, path: pod.yaml}]\n",
        "resources: [pod.yaml]\npatches: [{target: {kind: Pod, name: a}, path: patch.yaml}]\n",
        "configMapGenerator: [{name: c, namespace: n, literals: [K]}]\n",
        "configMapGenerator: [{name: c, namespace: n, behavior: merge, literals: [K=V]}]\n",
    ] {
        let patch = "- {op: remove, path: /spec/none}\n";
        let files = [("kustomization.yaml", kustomization), ("pod.yaml", POD), ("patch.yaml", patch)];
        assert!(render(directory(&files).path()).is_err(), "{kustomization}");
    }
}
