//! `CNI_ARGS`: what Kubernetes runtimes tell about the pod.

/// The pairs of `CNI_ARGS`, e.g. `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0`.
///
/// A key given twice holds its last value; an empty value counts as absent. Nothing in here makes a plugin
/// fail: runtimes outside Kubernetes send none of it (`ctr`), or only a part (podman: a name, no namespace).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CniArgs {
    /// `K8S_POD_NAMESPACE`.
    pub pod_namespace: Option<String>,
    /// `K8S_POD_NAME`.
    pub pod_name: Option<String>,
    /// `K8S_POD_UID` (containerd >= 1.6).
    pub pod_uid: Option<String>,
    /// `K8S_POD_INFRA_CONTAINER_ID`: the pod sandbox's id.
    pub pod_infra_container_id: Option<String>,
    /// The other pairs, in order.
    pub other: Vec<(String, String)>,
    /// The parts that are no `key=value`, in order. Kept for messages only.
    pub malformed: Vec<String>,
}

impl CniArgs {
    /// Reads the value of `CNI_ARGS`.
    pub fn parse(text: &str) -> Self {
        let mut args = Self::default();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((key, value)) if !key.is_empty() => args.set(key, value),
                _ => args.malformed.push(part.to_owned()),
            }
        }
        args
    }

    /// Namespace and name, when the caller is a Kubernetes runtime and gave both.
    pub fn pod(&self) -> Option<(&str, &str)> {
        Some((self.pod_namespace.as_deref()?, self.pod_name.as_deref()?))
    }

    fn set(&mut self, key: &str, value: &str) {
        let known = match key {
            "K8S_POD_NAMESPACE" => &mut self.pod_namespace,
            "K8S_POD_NAME" => &mut self.pod_name,
            "K8S_POD_UID" => &mut self.pod_uid,
            "K8S_POD_INFRA_CONTAINER_ID" => &mut self.pod_infra_container_id,
            _ => {
                self.other.push((key.to_owned(), value.to_owned()));
                return;
            }
        };
        *known = (!value.is_empty()).then(|| value.to_owned());
    }
}

#[cfg(test)]
mod tests {
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
}
