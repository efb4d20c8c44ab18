use k8s_cri::v1;

use super::*;
use manifests::{directory, render};

fn workload() -> Workload {
    let documents = render(&directory()).unwrap();
    let place = Place { node_name: "node1".to_owned(), node_ip: Ipv4Addr::new(10, 0, 0, 11) };
    Workload::of(&documents, "smc-agent", &place).unwrap()
}

#[test]
fn the_manifests_security_context_reaches_the_runtime() {
    let workload = workload();
    let sandbox = workload.sandbox("uid");
    let container = workload.container(&sandbox, 3).unwrap();
    let context = container.linux.unwrap().security_context.unwrap();
    assert!(!context.privileged && context.no_new_privs && context.readonly_rootfs);
    assert_eq!(context.seccomp.unwrap().profile_type, 0);
    assert!(context.readonly_paths.contains(&"/proc/sys".to_owned()));
    let capabilities = context.capabilities.unwrap();
    assert_eq!(capabilities.drop_capabilities, ["ALL"]);
    assert!(capabilities.add_capabilities.contains(&"NET_ADMIN".to_owned()));
    let options = context.namespace_options.unwrap();
    assert_eq!(options.network, i32::from(v1::NamespaceMode::Node));
    assert_eq!(options.pid, i32::from(v1::NamespaceMode::Container));
}

#[test]
fn arguments_environment_and_mounts_are_the_manifests() {
    let workload = workload();
    let container = workload.container(&workload.sandbox("uid"), 0).unwrap();
    assert_eq!(container.args[0], "run");
    for (name, value) in
        [("NODE_NAME", "node1"), ("POD_NAME", "smc-agent-node1"), ("SMC_AGENT_UEID", "SMCV2-DEFAULT-UEID")]
    {
        let variable = container.envs.iter().find(|variable| variable.key == name).unwrap();
        assert_eq!(variable.value, value, "{name}");
    }
    let netns = container.mounts.iter().find(|mount| mount.container_path == "/run/netns").unwrap();
    assert_eq!(netns.propagation, i32::from(v1::MountPropagation::PropagationHostToContainer));
    assert!(workload.directories.contains(&"/run/kube-smc".to_owned()));
    let settings = container.mounts.iter().find(|mount| mount.container_path == "/etc/kube-smc").unwrap();
    assert!(workload.directories.contains(&settings.host_path));
}

#[test]
fn references_to_variables_are_expanded_as_kubernetes_does() {
    let environment = [("A".to_owned(), "1".to_owned()), ("A".to_owned(), "2".to_owned())];
    for (word, expanded) in
        [("x$(A)y$(A)", "x2y2"), ("$(B)$", "$(B)$"), ("$$(A)", "$(A)"), ("$A $( $(A", "$A $( $(A")]
    {
        assert_eq!(expand(word, &environment), expanded, "{word}");
    }
}

#[test]
fn what_the_kubelet_would_do_and_the_rig_does_not_is_an_error() {
    let place = Place { node_name: "node1".to_owned(), node_ip: Ipv4Addr::LOCALHOST };
    let render = |change: &dyn Fn(&mut Value)| {
        let mut documents = render(&directory()).unwrap();
        let pod = documents.iter_mut().find(|document| document["kind"] == "DaemonSet").unwrap();
        change(&mut pod["spec"]["template"]["spec"]);
        let workload = Workload::of(&documents, "smc-agent", &place)?;
        workload.container(&workload.sandbox("uid"), 0).map(drop)
    };
    assert!(render(&|_| ()).is_ok());
    assert!(render(&|pod| pod["initContainers"] = serde_json::json!([{ "name": "a" }])).is_err());
    assert!(
        render(&|pod| pod["volumes"][0] = serde_json::json!({ "name": "state", "emptyDir": {} })).is_err()
    );
    assert!(render(&|pod| pod["containers"][0]["envFrom"][0]["configMapRef"]["name"] = "x".into()).is_err());
    assert!(
        render(&|pod| pod["containers"][0]["volumeMounts"][0]["mountPropagation"] = "Bidirectional".into())
            .is_err()
    );
}
