//! The Kubernetes manifests of this repository, rendered as `kubectl kustomize` renders them, and their alert rules, tried as Prometheus does.
#![forbid(unsafe_code)]

mod error;
mod kustomize;
mod promtool;

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use error::ManifestError;
pub use kustomize::render;
pub use promtool::{Promtool, alert_rules};

/// The directory of the agent's manifests.
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The top directory of the repository, of which the manifests are part.
pub fn repository() -> PathBuf {
    directory().join("../..")
}

/// The documents of a YAML file; empty ones are left out.
pub(crate) fn parse(path: &std::path::Path) -> Result<Vec<Value>, ManifestError> {
    let text = std::fs::read_to_string(path).map_err(ManifestError::read(path))?;
    serde_saphyr::from_multiple(&text).map_err(ManifestError::yaml(path))
}

/// The one object of this kind and name, as its own type. Fields that the type lacks are ignored; the tests of the
/// manifests see to it that there are none.
pub fn find<T: DeserializeOwned>(documents: &[Value], kind: &str, name: &str) -> Result<T, ManifestError> {
    let wanted = |document: &&Value| document["kind"] == kind && document["metadata"]["name"] == name;
    let missing = || ManifestError::Missing { kind: kind.to_owned(), name: name.to_owned() };
    let document = documents.iter().find(wanted).ok_or_else(missing)?;
    serde_json::from_value(document.clone()).map_err(|source| ManifestError::Type {
        kind: kind.to_owned(),
        name: name.to_owned(),
        source,
    })
}
