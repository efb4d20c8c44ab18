//! Manifests with a few things changed, by an overlay as users write them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rig::host::repository;
use serde_json::{Value, json};
use tempfile::TempDir;

/// An overlay on these manifests; its directory goes when it is dropped.
pub(super) fn overlay(manifests: &Path, changes: &Value) -> Result<TempDir> {
    let target = repository().join("target");
    let directory =
        tempfile::tempdir_in(&target).with_context(|| format!("a directory in {}", target.display()))?;
    // Kustomize takes relative paths only, and resolves links before it goes up.
    let up = "../".repeat(directory.path().canonicalize()?.components().count() - 1);
    let mut overlay = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": [format!("{up}{}", manifests.display().to_string().trim_start_matches('/'))],
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        overlay[key] = value.clone();
    }
    let path = directory.path().join("kustomization.yaml");
    std::fs::write(&path, overlay.to_string()).with_context(|| format!("write {}", path.display()))?;
    Ok(directory)
}

/// README's manifests.
pub(super) fn manifests() -> PathBuf {
    repository().join("daemonset/manifests")
}
