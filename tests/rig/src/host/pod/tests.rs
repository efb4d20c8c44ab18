use super::*;

#[test]
fn the_network_namespace_is_found_in_the_runtimes_specification() {
    let info = r#"{"runtimeSpec":{"linux":{"namespaces":[{"type":"pid"},
            {"type":"network","path":"/var/run/netns/cni-1"}]}}}"#;
    assert_eq!(netns_path(info), Path::new("/var/run/netns/cni-1"));
}

#[test]
fn without_a_network_namespace_of_its_own_the_path_is_empty() {
    for info in ["", "{", "{}", r#"{"runtimeSpec":{"linux":{"namespaces":[{"type":"network"}]}}}"#] {
        assert_eq!(netns_path(info), Path::new(""), "{info}");
    }
}

#[test]
fn uids_differ() {
    assert_ne!(random_uid().unwrap(), random_uid().unwrap());
}
