use super::*;

fn call(command: &str) -> Call {
    Call {
        command: command.into(),
        container: "0123456789abcdef".into(),
        netns: "/var/run/netns/cni-1".into(),
        interface: "eth0".into(),
        arguments: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;\
                    K8S_POD_INFRA_CONTAINER_ID=0123456789abcdef;K8S_POD_UID=u"
            .into(),
    }
}

#[test]
fn version_names_terways_versions() {
    let answer = answer(&call("VERSION"), "").unwrap().unwrap();
    assert_eq!(answer["supportedVersions"], json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0"]));
}

#[test]
fn the_result_has_a_container_id_as_sandbox_and_no_hardware_address() {
    let result = result(&call("ADD"), &json!({ "cniVersion": "0.4.0" }), Ipv4Addr::new(10, 0, 1, 1), None);
    assert_eq!(result["interfaces"], json!([{ "name": "eth0", "sandbox": "0123456789abcdef" }]));
    assert_eq!(result["ips"][0]["address"], "10.0.1.1/32");
    assert_eq!(result["ips"][0]["interface"], 0);
    assert_eq!(result["ips"][0]["version"], "4");
}

#[test]
fn a_pod_of_two_families_has_an_address_of_each() {
    let (first, second) = (Ipv4Addr::new(10, 0, 1, 1), "fd00:10:0:1::1".parse().unwrap());
    let result = result(&call("ADD"), &json!({ "cniVersion": "0.4.0" }), first, Some(second));
    assert_eq!(result["ips"][1]["address"], "fd00:10:0:1::1/128");
    assert_eq!(result["ips"][1]["version"], "6");
    assert_eq!(result["ips"][1]["gateway"], "fe80::1");
}

#[test]
fn from_cni_1_0_addresses_have_no_version() {
    let result = result(&call("ADD"), &json!({ "cniVersion": "1.0.0" }), Ipv4Addr::new(10, 0, 1, 1), None);
    assert_eq!(result["ips"][0].get("version"), None);
}

#[test]
fn an_add_without_netns_container_or_interface_is_an_environment_error() {
    for broken in [
        Call { netns: String::new(), ..call("ADD") },
        Call { container: String::new(), ..call("ADD") },
        Call { interface: String::new(), ..call("ADD") },
    ] {
        assert_eq!(answer(&broken, "{}").unwrap_err().code(), 4);
    }
}

#[test]
fn a_configuration_that_is_not_json_is_a_decoding_error() {
    let error = answer(&call("ADD"), "{").unwrap_err();
    assert_eq!(error.code(), 6);
    assert_eq!(error_object(&error)["code"], 6);
}

#[test]
fn arguments_are_found_by_their_whole_key() {
    let call = call("ADD");
    assert_eq!(call.argument("K8S_POD_NAME"), Some("web"));
    assert_eq!(call.argument("K8S_POD"), None);
    assert_eq!(call.argument("POD_NAME"), None);
}

#[test]
fn an_unknown_verb_is_an_error() {
    assert!(
        matches!(answer(&call("PAINT"), "{}"), Err(TerwayError::UnknownCommand(verb)) if verb == "PAINT")
    );
}
