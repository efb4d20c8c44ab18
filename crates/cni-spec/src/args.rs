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
mod tests;
