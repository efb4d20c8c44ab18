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
mod tests;
