use super::*;

#[test]
fn the_runtimes_type_is_told_by_containerd_and_not_by_cri_o() {
    let containerd =
        r#"{"pid":1,"runtimeHandler":"kata","runtimeType":"io.containerd.kata.v2","runtimeOptions":null}"#;
    assert_eq!(runtime_type(containerd).as_deref(), Some("io.containerd.kata.v2"));
    for none in [r#"{"image":"pause","pid":1,"runtimeSpec":{}}"#, r#"{"runtimeType":""}"#, "{", ""] {
        assert_eq!(runtime_type(none), None, "{none}");
    }
}

#[test]
fn the_network_namespace_is_that_of_the_oci_configuration() {
    let info = r#"{"pid":1,"netNamespaceClosed":false,"runtimeSpec":{"ociVersion":"1.1.0","linux":{"namespaces":[
            {"type":"pid"},{"type":"ipc"},
            {"type":"network","path":"/var/run/netns/cni-1d3a0e4e-53ba-0c8f-8a5c-1b2f6c0f8d11"}]}}}"#;
    assert_eq!(
        netns_path(info).unwrap(),
        PathBuf::from("/var/run/netns/cni-1d3a0e4e-53ba-0c8f-8a5c-1b2f6c0f8d11")
    );
}

#[test]
fn an_answer_without_a_network_namespace_is_an_error_and_no_guess() {
    for namespaces in
        [r#"[{"type":"pid"}]"#, r#"[{"type":"network"}]"#, r#"[{"type":"network","path":"x"}]"#, "[]"]
    {
        let info = format!(r#"{{"runtimeSpec":{{"linux":{{"namespaces":{namespaces}}}}}}}"#);
        assert!(matches!(netns_path(&info), Err(InfoError::NoNetns)), "{namespaces}");
    }
    for text in ["", "{}", "null", r#"{"runtimeSpec":{}}"#, r#"{"runtimeSpec":{"linux":{"namespaces":7}}}"#] {
        assert!(matches!(netns_path(text), Err(InfoError::Json(_))), "{text}");
    }
}
