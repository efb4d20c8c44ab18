use super::*;

fn network(spec: &PodSpec) -> i32 {
    let config = spec.to_cri("uid");
    config.linux.unwrap().security_context.unwrap().namespace_options.unwrap().network
}

#[test]
fn a_pods_annotations_name_and_uid_reach_the_sandbox() {
    let spec = PodSpec::new("web", &["nginx"]).namespace("shop").annotate("a/b", "c");
    let config = spec.to_cri("some-uid");
    assert_eq!(config.annotations["a/b"], "c");
    assert_eq!(config.labels[POD_NAME_LABEL], "web");
    let metadata = config.metadata.unwrap();
    assert_eq!(
        (metadata.name, metadata.namespace, metadata.uid),
        ("web".into(), "shop".into(), "some-uid".into())
    );
}

#[test]
fn only_a_host_network_pod_shares_the_nodes_network() {
    let spec = PodSpec::new("web", &["nginx"]);
    assert_eq!(network(&spec), i32::from(v1::NamespaceMode::Pod));
    assert_eq!(network(&spec.host_network()), i32::from(v1::NamespaceMode::Node));
}

#[test]
fn a_container_sees_the_nodes_programs_read_only_and_its_own_mounts_after_them() {
    let spec = PodSpec::new("web", &["nginx"]).mount("/run/a", "/a").capability("NET_ADMIN").env("K", "V");
    let config = spec.container.to_cri(&spec.to_cri("uid"));
    let usr = config.mounts.iter().find(|mount| mount.container_path == "/usr").unwrap();
    assert!(usr.readonly);
    let last = config.mounts.last().unwrap();
    assert_eq!(
        (last.host_path.as_str(), last.container_path.as_str(), last.readonly),
        ("/run/a", "/a", false)
    );
    let security = config.linux.unwrap().security_context.unwrap();
    assert_eq!(security.capabilities.unwrap().add_capabilities, ["NET_ADMIN"]);
    assert_eq!(config.envs[0].value, "V");
}

#[test]
fn the_repository_is_mounted_into_containers() {
    let spec = PodSpec::new("web", &["nginx"]);
    let config = spec.container.to_cri(&spec.to_cri("uid"));
    let repository = repository().display().to_string();
    assert!(config.mounts.iter().any(|mount| repository.starts_with(&mount.container_path)));
}
