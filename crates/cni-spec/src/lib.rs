//! The Container Network Interface, versions 0.3.0 to 1.1.0, as a chained plugin and its installer see it.
//!
//! Everything here is a function of its arguments: no files, no environment, no clock. A plugin hands in its
//! environment ([`Environment::from_lookup`]) and its standard input ([`NetworkConfig::parse`]), and gets back
//! what to print ([`success`], [`version_result`], [`CniError::to_json`]). The installer hands in the bytes of
//! a network configuration list and gets back edited bytes ([`conflist`]).
//!
//! The previous plugin's result is passed on byte for byte: this crate looks at it ([`PrevResult`]) but never
//! writes it anew, so nothing another plugin said is lost or reworded.
#![forbid(unsafe_code)]

mod annotations;
mod args;
mod config;
pub mod conflist;
mod environment;
mod error;
mod json;
mod options;
mod result;
mod salvage;
mod version;

pub use annotations::PodAnnotations;
pub use args::CniArgs;
pub use config::{Attachment, ConfigError, NetworkConfig, RuntimeConfig};
pub use environment::{Command, Environment, EnvironmentError, validate_container_id, validate_ifname};
pub use error::{CniError, code};
pub use options::{InvalidPolicy, PluginOptions, Policy};
pub use result::{Interface, IpNet, PrevResult, empty_success, success};
pub use salvage::Salvage;
pub use serde_json::value::RawValue;
pub use version::{UnsupportedVersion, Version, requested_version, version_result};

/// The type of this plugin in a configuration list, and the name of its binary.
pub const PLUGIN_TYPE: &str = "smc-cni";

/// The capability by which a runtime is asked for the pod's annotations (containerd >= 1.5, CRI-O >= 1.29).
pub const POD_ANNOTATIONS_CAPABILITY: &str = "io.kubernetes.cri.pod-annotations";
