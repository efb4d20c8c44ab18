use proptest::prelude::*;

use super::*;

#[test]
fn a_kubernetes_runtime_names_its_pod() {
    let args = CniArgs::parse(
        "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=ab12;K8S_POD_UID=7f",
    );
    assert_eq!(args.pod(), Some(("shop", "web-0")));
    assert_eq!(args.pod_infra_container_id.as_deref(), Some("ab12"));
    assert_eq!(args.pod_uid.as_deref(), Some("7f"));
    assert_eq!(args.other, [("IgnoreUnknown".to_owned(), "1".to_owned())]);
    assert!(args.malformed.is_empty());
}

#[test]
fn a_runtime_outside_kubernetes_names_no_pod() {
    for text in ["", ";;", "IgnoreUnknown=1", "K8S_POD_NAME=box", "K8S_POD_NAMESPACE=;K8S_POD_NAME=box"] {
        assert_eq!(CniArgs::parse(text).pod(), None, "{text:?}");
    }
}

#[test]
fn malformed_parts_are_set_aside_and_the_rest_is_read() {
    let args = CniArgs::parse("garbage;=value;K8S_POD_NAME=a=b;;K8S_POD_NAMESPACE=ns;");
    assert_eq!(args.malformed, ["garbage", "=value"]);
    assert_eq!(args.pod(), Some(("ns", "a=b")));
}

#[test]
fn the_last_of_equal_keys_counts() {
    let args = CniArgs::parse("K8S_POD_UID=1;K8S_POD_UID=2;X=1;X=2");
    assert_eq!(args.pod_uid.as_deref(), Some("2"));
    assert_eq!(args.other.len(), 2);
}

proptest! {
    #[test]
    fn every_part_of_any_text_is_accounted_for(parts in prop::collection::vec("[A-Z]{0,2}=?[a-z]{0,2}", 0..8)) {
        let args = CniArgs::parse(&parts.join(";"));
        let given = parts.iter().filter(|part| !part.is_empty()).count();
        prop_assert_eq!(args.other.len() + args.malformed.len(), given);
    }
}
