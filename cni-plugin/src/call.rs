//! One call of the plugin.

use std::path::PathBuf;

use cni_spec::{CniError, Environment, NetworkConfig, PodAnnotations, code};
use smc_model::{Particulars, Wish};
use smc_state::{AttachmentId, DEFAULT_STATE_DIR, PodName, Store};

use crate::clock::Clock;

/// One call: what the runtime gave, and when.
pub(crate) struct Call<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) config: &'a NetworkConfig<'a>,
    pub(crate) clock: &'a Clock,
}

impl Call<'_> {
    /// What the pod asks for.
    pub(crate) fn wish(&self) -> Wish {
        wish(self.config.runtime_config.pod_annotations.as_ref())
    }

    /// Whether a pod of Kubernetes came without what the runtime knows of its annotations.
    pub(crate) fn is_without_annotations(&self) -> bool {
        self.config.runtime_config.pod_annotations.is_none() && self.environment.args.pod_namespace.is_some()
    }

    /// The state directory.
    pub(crate) fn store(&self) -> Store {
        store(Some(self.config))
    }

    /// The attachment.
    pub(crate) fn attachment(&self) -> Result<AttachmentId, CniError> {
        attachment(self.environment)
    }

    /// The pod in Kubernetes' words; empty where the runtime is not Kubernetes'.
    pub(crate) fn pod(&self) -> PodName {
        let args = &self.environment.args;
        PodName {
            namespace: args.pod_namespace.clone().unwrap_or_default(),
            name: args.pod_name.clone().unwrap_or_default(),
            uid: args.pod_uid.clone().unwrap_or_default(),
        }
    }
}

/// What a pod with these annotations asks for; where the runtime passes none, nothing.
pub(crate) fn wish(annotations: Option<&PodAnnotations<'_>>) -> Wish {
    annotations.map_or(Wish::Disabled, |annotations| Wish::of(annotations.iter()))
}

/// How such a pod is to be set up.
pub(crate) fn particulars(annotations: Option<&PodAnnotations<'_>>) -> Particulars {
    annotations.map(|annotations| Particulars::of(annotations.iter())).unwrap_or_default()
}

/// The state directory, also when the configuration could not be read.
pub(crate) fn store(config: Option<&NetworkConfig<'_>>) -> Store {
    let configured = config.and_then(|config| config.options.state_dir.clone());
    Store::new(configured.unwrap_or_else(|| PathBuf::from(DEFAULT_STATE_DIR)))
}

/// The attachment that the environment names.
pub(crate) fn attachment(environment: &Environment) -> Result<AttachmentId, CniError> {
    AttachmentId::new(&environment.container_id, &environment.ifname)
        .map_err(|error| CniError::new(code::INVALID_ENVIRONMENT, error.to_string()))
}
