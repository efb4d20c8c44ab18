//! What runtimes tell in their verbose answers: JSON of their own, not part of CRI.

use std::path::PathBuf;

use serde::Deserialize;

/// What a verbose answer lacks.
#[derive(Debug, thiserror::Error)]
pub enum InfoError {
    /// No status at all.
    #[error("it has no status")]
    NoStatus,
    /// No verbose part.
    #[error("it has no verbose part, so the network namespace is not known")]
    NotVerbose,
    /// The verbose part is no JSON of the expected shape.
    #[error("its verbose part cannot be read")]
    Json(#[from] serde_json::Error),
    /// The OCI configuration names no network namespace.
    #[error("its OCI configuration names no network namespace")]
    NoNetns,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    runtime_spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    linux: Linux,
}

#[derive(Deserialize)]
struct Linux {
    namespaces: Vec<Namespace>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: PathBuf,
}

/// The path of a sandbox's network namespace, from the OCI configuration (`runtimeSpec`) that containerd and CRI-O tell
/// alike.
pub(super) fn netns_path(info: &str) -> Result<PathBuf, InfoError> {
    let info: Info = serde_json::from_str(info)?;
    let network =
        info.runtime_spec.linux.namespaces.into_iter().find(|namespace| namespace.kind == "network");
    network.map(|namespace| namespace.path).filter(|path| path.is_absolute()).ok_or(InfoError::NoNetns)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeInfo {
    #[serde(default)]
    runtime_type: String,
}

/// The type of the runtime that runs a sandbox, such as `io.containerd.runc.v2`; CRI-O tells none.
pub(super) fn runtime_type(info: &str) -> Option<String> {
    let info: RuntimeInfo = serde_json::from_str(info).ok()?;
    Some(info.runtime_type).filter(|kind| !kind.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtimes_type_is_told_by_containerd_and_not_by_cri_o() {
        let containerd = r#"{"pid":1,"runtimeHandler":"kata","runtimeType":"io.containerd.kata.v2","runtimeOptions":null}"#;
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
        for text in
            ["", "{}", "null", r#"{"runtimeSpec":{}}"#, r#"{"runtimeSpec":{"linux":{"namespaces":7}}}"#]
        {
            assert!(matches!(netns_path(text), Err(InfoError::Json(_))), "{text}");
        }
    }
}
