//! Why manifests could not be rendered or used.

use std::io;
use std::path::PathBuf;

/// Says what was attempted on what; the cause is the error's source.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file cannot be read.
    #[error("read {path:?}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is not YAML, or not the YAML that is wanted there.
    #[error("understand {path:?}")]
    Yaml {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<serde_saphyr::Error>,
    },
    /// A kustomization says something in a way that is not understood here.
    #[error("{path:?}: {what}")]
    Kustomization {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A patch does not fit what it is for.
    #[error("apply the patch {path:?}")]
    Patch {
        /// The patch's file.
        path: PathBuf,
        /// What does not fit.
        source: json_patch::PatchError,
    },
    /// There is no such object.
    #[error("the manifests have no {kind} {name:?}")]
    Missing {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// An object is not what its kind says.
    #[error("{kind} {name:?} is not a {kind} as Kubernetes defines it")]
    Type {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The kubelet would do something that the rig does not.
    #[error("the rig cannot run {0}")]
    Unsupported(String),
}

impl ManifestError {
    /// For `map_err` after reading a file.
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }

    /// For `map_err` after parsing a file.
    pub(crate) fn yaml(path: impl Into<PathBuf>) -> impl FnOnce(serde_saphyr::Error) -> Self {
        let path = path.into();
        move |source| Self::Yaml { path, source: Box::new(source) }
    }
}
