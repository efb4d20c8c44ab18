use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::CniError;

/// What containerd 1.6 put on a chained plugin's standard input, shortened.
const CONTAINERD_ADD: &str = r#"{"capabilities":{"io.kubernetes.cri.pod-annotations":true},"cniVersion":"0.4.0",
"name":"terway-chainer","policy":"required","logMaxBytes":65536,"stateDir":"/run/kube-smc","logDir":"/var/log/x",
"prevResult":{"cniVersion":"0.4.0","dns":{},"interfaces":[{"name":"eth0","sandbox":"c7"}],"ips":[]},
"runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"example.com/a":"on","kubectl":"{\"x\":1}"},
"portMappings":[]},"somebody-elses-key":[1,2,{"deep":null}],"type":"smc-cni"}"#;

/// A minimal configuration with these members added or replaced.
fn with(members: Value) -> Vec<u8> {
    let mut config = json!({ "cniVersion": "1.0.0", "name": "net", "type": "smc-cni" });
    if let (Value::Object(config), Value::Object(members)) = (&mut config, members) {
        config.extend(members);
    }
    config.to_string().into_bytes()
}

/// Code and full text of the refusal.
fn refusal(stdin: &[u8]) -> (u32, String) {
    let error = CniError::from(NetworkConfig::parse(stdin).unwrap_err());
    (error.code, format!("{}; {}", error.msg, error.details))
}

/// JSON objects of moderate depth with the keys this crate looks at among others.
pub(crate) fn json_object() -> impl Strategy<Value = Value> {
    let keys = prop_oneof![
        prop::sample::select(vec![
            "ips",
            "interfaces",
            "address",
            "interface",
            "name",
            "sandbox",
            "type",
            "policy"
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![
            "runtimeConfig",
            "io.kubernetes.cri.pod-annotations",
            "cni.dev/attachments"
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from("10.0.0.1/8")),
    ];
    let value = leaf.prop_recursive(4, 32, 6, {
        let keys = keys.clone();
        move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((keys.clone(), inner), 0..6).prop_map(|all| all.into_iter().collect()),
            ]
        }
    });
    prop::collection::vec((keys, value), 0..6).prop_map(|all| all.into_iter().collect())
}

#[test]
fn a_real_configuration_is_read() {
    let config = NetworkConfig::parse(CONTAINERD_ADD.as_bytes()).unwrap();
    assert_eq!(config.cni_version, Version::V0_4_0);
    assert_eq!((config.name.as_ref(), config.plugin_type.as_ref()), ("terway-chainer", "smc-cni"));
    assert!(config.prev_result.unwrap().get().starts_with(r#"{"cniVersion":"0.4.0","dns":{}"#));
    let annotations = config.runtime_config.pod_annotations.unwrap();
    assert_eq!(annotations.get("example.com/a"), Some("on"));
    assert_eq!(annotations.get("kubectl"), Some(r#"{"x":1}"#));
    assert_eq!(config.valid_attachments, None);
    assert_eq!(
        config.options,
        PluginOptions {
            policy: Policy::Required,
            state_dir: Some("/run/kube-smc".into()),
            log_dir: Some("/var/log/x".into()),
            log_max_bytes: Some(65536),
            boot_wait_seconds: None,
        }
    );
}

#[test]
fn a_plain_configuration_borrows_everything() {
    let stdin = with(json!({ "prevResult": {} }));
    let config = NetworkConfig::parse(&stdin).unwrap();
    assert!(matches!(config.name, Cow::Borrowed("net")));
    assert!(matches!(config.plugin_type, Cow::Borrowed("smc-cni")));
    let input = stdin.as_ptr_range();
    assert!(input.contains(&config.prev_result.unwrap().get().as_ptr()));
}

#[test]
fn options_have_defaults_and_null_is_absent() {
    for members in [
        json!({}),
        json!({ "policy": null, "stateDir": null, "logDir": null, "logMaxBytes": null, "prevResult": null }),
    ] {
        let stdin = with(members);
        let config = NetworkConfig::parse(&stdin).unwrap();
        assert_eq!(config.options, PluginOptions::default());
        assert_eq!(config.options.policy, Policy::Preferred);
        assert!(config.prev_result.is_none());
    }
}

#[test]
fn annotations_are_absent_or_empty_or_there() {
    let key = crate::POD_ANNOTATIONS_CAPABILITY;
    for (runtime_config, expected) in [
        (json!(null), None),
        (json!({}), None),
        (json!({ "portMappings": [] }), None),
        (json!({ key: null }), Some(0)),
        (json!({ key: {} }), Some(0)),
        (json!({ key: { "a": "b", "c": "" } }), Some(2)),
    ] {
        let stdin = with(json!({ "runtimeConfig": runtime_config }));
        let config = NetworkConfig::parse(&stdin).unwrap();
        let count = config.runtime_config.pod_annotations.map(|annotations| annotations.iter().count());
        assert_eq!(count, expected, "{runtime_config}");
    }
}

#[test]
fn attachments_are_read_under_both_names() {
    let a = json!({ "containerID": "a", "ifname": "eth0" });
    let b = json!({ "containerID": "b", "ifname": "eth0" });
    for (members, expected) in [
        (json!({}), None),
        (json!({ "cni.dev/valid-attachments": [a, b] }), Some(vec!["a", "b"])),
        (json!({ "cni.dev/attachments": [a] }), Some(vec!["a"])),
        (json!({ "cni.dev/valid-attachments": [a], "cni.dev/attachments": [a] }), Some(vec!["a"])),
        (json!({ "cni.dev/valid-attachments": [a], "cni.dev/attachments": [b, a] }), Some(vec!["a", "b"])),
        (json!({ "cni.dev/valid-attachments": [] }), Some(vec![])),
        (json!({ "cni.dev/valid-attachments": null, "cni.dev/attachments": null }), Some(vec![])),
    ] {
        let stdin = with(members.clone());
        let attachments = NetworkConfig::parse(&stdin).unwrap().valid_attachments;
        let ids = attachments.as_ref().map(|all| all.iter().map(|one| one.container_id.as_str()).collect());
        assert_eq!(ids, expected, "{members}");
    }
}

#[test]
fn every_version_is_accepted_and_others_are_told_which() {
    for version in Version::ALL {
        let stdin = with(json!({ "cniVersion": version.as_str() }));
        assert_eq!(NetworkConfig::parse(&stdin).unwrap().cni_version, version);
    }
    let supported = "supported: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0";
    let unsupported = with(json!({ "cniVersion": "0.2.0", "runtimeConfig": 5 }));
    assert_eq!(refusal(&unsupported), (1, format!("CNI version \"0.2.0\" is not supported; {supported}")));
    let missing = br#"{"name":"n","type":"t"}"#;
    assert_eq!(refusal(missing), (1, format!("the network configuration has no cniVersion; {supported}")));
}

#[test]
fn input_that_is_no_object_is_a_decoding_error() {
    for (stdin, text) in [
        (&b""[..], "is empty"),
        (b" \n", "is empty"),
        (b"[\"1.0.0\",\"n\",\"t\"]", "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b"nonsense", "is not a JSON object"),
        (b"{\"name\":\"\xff\"}", "is not UTF-8 at byte 9"),
        (b"{\"name\":\"n\",", "EOF while parsing a value at line 1 column 12"),
        (b"{} {}", "trailing characters at line 1 column 4"),
        (b"{\"name\":\"a\",\"name\":\"b\"}", "duplicate field `name`"),
    ] {
        let (code, message) = refusal(stdin);
        assert_eq!(code, 6, "{message}");
        assert!(message.contains(text), "{message}");
    }
}

#[test]
fn every_truncation_of_a_real_configuration_is_a_decoding_error() {
    for length in 0..CONTAINERD_ADD.len() {
        assert_eq!(refusal(&CONTAINERD_ADD.as_bytes()[..length]).0, 6, "{length}");
    }
}

#[test]
fn a_wrong_type_names_its_key() {
    for (members, text) in [
        (json!({ "cniVersion": 1 }), "cniVersion"),
        (json!({ "name": [] }), "name"),
        (json!({ "type": {} }), "type"),
        (json!({ "prevResult": "x" }), "prevResult"),
        (json!({ "prevResult": [] }), "prevResult"),
        (json!({ "runtimeConfig": [null] }), "runtimeConfig"),
        (json!({ "runtimeConfig": { "io.kubernetes.cri.pod-annotations": 1 } }), "pod-annotations"),
        (json!({ "runtimeConfig": { "io.kubernetes.cri.pod-annotations": { "a": 1 } } }), "pod-annotations"),
        (json!({ "cni.dev/valid-attachments": {} }), "cni.dev/valid-attachments"),
        (json!({ "cni.dev/attachments": [{ "ifname": "x" }] }), "cni.dev/attachments"),
        (json!({ "policy": true }), "policy"),
        (json!({ "stateDir": 1 }), "stateDir"),
        (json!({ "logDir": {} }), "logDir"),
        (json!({ "logMaxBytes": -1 }), "logMaxBytes"),
        (json!({ "logMaxBytes": "1" }), "logMaxBytes"),
    ] {
        let (code, message) = refusal(&with(members.clone()));
        assert_eq!(code, 6, "{members}");
        assert!(message.contains(text), "{message}");
    }
}

#[test]
fn a_wrong_value_is_an_invalid_configuration() {
    for (members, text) in [
        (json!({ "name": null }), "no name"),
        (json!({ "name": "" }), "no name"),
        (json!({ "type": null }), "no type"),
        (json!({ "policy": "maybe" }), "neither \"preferred\" nor \"required\""),
        (json!({ "stateDir": "run" }), "stateDir"),
        (json!({ "logDir": "" }), "logDir"),
    ] {
        let (code, message) = refusal(&with(members.clone()));
        assert_eq!(code, 7, "{members}");
        assert!(message.contains(text), "{message}");
    }
    let stdin = with(json!({ "stateDir": "/a/b" }));
    assert_eq!(NetworkConfig::parse(&stdin).unwrap().options.state_dir.as_deref(), Some(Path::new("/a/b")));
}

#[test]
fn nesting_without_end_is_no_stack_overflow() {
    let deep = "[".repeat(1_000_000);
    let stdin = format!(r#"{{"cniVersion":"1.0.0","name":"n","type":"t","x":{deep}"#);
    assert_eq!(refusal(stdin.as_bytes()).0, 6);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(stdin in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = NetworkConfig::parse(&stdin);
    }

    #[test]
    fn one_changed_byte_never_panics(at in 0..CONTAINERD_ADD.len(), byte in any::<u8>()) {
        let mut stdin = CONTAINERD_ADD.as_bytes().to_vec();
        stdin[at] = byte;
        if let Err(error) = NetworkConfig::parse(&stdin) {
            prop_assert!([1, 6, 7].contains(&CniError::from(error).code));
        }
    }

    #[test]
    fn any_object_is_read_or_refused_with_a_code(value in json_object()) {
        let stdin = with(value);
        if let Err(error) = NetworkConfig::parse(&stdin) {
            prop_assert!([1, 6, 7].contains(&CniError::from(error).code));
        }
    }
}
