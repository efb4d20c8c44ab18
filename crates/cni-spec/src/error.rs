//! The error result of a plugin.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::ConfigError;
use crate::environment::EnvironmentError;
use crate::version::Version;

/// Error codes: those of the CNI specification 1.1.0, section "Error", and this plugin's own from 100 on.
pub mod code {
    /// Incompatible CNI version.
    pub const INCOMPATIBLE_VERSION: u32 = 1;
    /// A field of the network configuration is not supported.
    pub const UNSUPPORTED_FIELD: u32 = 2;
    /// The container is unknown or does not exist: the runtime need not send `DEL`.
    pub const UNKNOWN_CONTAINER: u32 = 3;
    /// A necessary environment variable is missing or invalid.
    pub const INVALID_ENVIRONMENT: u32 = 4;
    /// Input or output failed.
    pub const IO_FAILURE: u32 = 5;
    /// The network configuration, or a part of it, cannot be decoded.
    pub const DECODING_FAILURE: u32 = 6;
    /// The network configuration is well formed but not valid.
    pub const INVALID_NETWORK_CONFIG: u32 = 7;
    /// The network namespace is not one. Used by the reference library; not in the specification's table.
    pub const INVALID_NETNS: u32 = 8;
    /// A transient condition. No runtime treats it specially; the kubelet retries every error.
    pub const TRY_AGAIN_LATER: u32 = 11;
    /// `STATUS`: the plugin cannot serve `ADD` requests.
    pub const PLUGIN_NOT_AVAILABLE: u32 = 50;
    /// `STATUS`: the plugin cannot serve `ADD` requests, and existing containers may have limited connectivity.
    pub const PLUGIN_NOT_AVAILABLE_LIMITED_CONNECTIVITY: u32 = 51;
    /// First code of this plugin's own: the pod's policy is `required`, and it cannot be accelerated.
    pub const ACCELERATION_REFUSED: u32 = 100;
    /// The pod's policy is `required`, and setting it up failed half-way; what was done is or will be undone.
    pub const ACCELERATION_FAILED: u32 = 101;
    /// A defect of the plugin. Used by the reference library; not in the specification's table.
    pub const INTERNAL: u32 = 999;
}

/// What a plugin prints instead of a result, before it exits with a status other than 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{msg}")]
pub struct CniError {
    /// One of [`code`].
    pub code: u32,
    /// One short line.
    pub msg: String,
    /// More than one line's worth, or empty. Runtimes show `msg; details`.
    pub details: String,
}

impl CniError {
    /// An error without details.
    pub fn new(code: u32, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into(), details: String::new() }
    }

    /// The same error with these details.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// The JSON object to print. `details` is left out when empty, as the reference library does.
    pub fn to_json(&self, version: Version) -> String {
        let mut object = json!({ "cniVersion": version.as_str(), "code": self.code, "msg": self.msg });
        if !self.details.is_empty() {
            object["details"] = self.details.as_str().into();
        }
        object.to_string()
    }
}

impl From<EnvironmentError> for CniError {
    fn from(error: EnvironmentError) -> Self {
        Self::new(code::INVALID_ENVIRONMENT, error.to_string())
    }
}

impl From<ConfigError> for CniError {
    fn from(error: ConfigError) -> Self {
        let (code, details) = match &error {
            ConfigError::UnsupportedVersion(_) | ConfigError::MissingVersion => {
                (code::INCOMPATIBLE_VERSION, format!("supported: {}", Version::list()))
            }
            ConfigError::Empty
            | ConfigError::NotUtf8 { .. }
            | ConfigError::NotAnObject
            | ConfigError::KeyNotAnObject { .. } => (code::DECODING_FAILURE, String::new()),
            ConfigError::Syntax { source } | ConfigError::Key { source, .. } => {
                (code::DECODING_FAILURE, source.to_string())
            }
            ConfigError::Missing { .. } | ConfigError::RelativePath { .. } => {
                (code::INVALID_NETWORK_CONFIG, String::new())
            }
            ConfigError::Policy { source } => (code::INVALID_NETWORK_CONFIG, source.to_string()),
        };
        Self::new(code, error.to_string()).with_details(details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_printed_as_the_specification_wants() {
        let error = CniError::new(code::TRY_AGAIN_LATER, "not yet");
        assert_eq!(error.to_json(Version::V0_4_0), r#"{"cniVersion":"0.4.0","code":11,"msg":"not yet"}"#);
        let error = CniError::new(code::IO_FAILURE, "a \"quoted\"\nline").with_details("why");
        assert_eq!(
            error.to_json(Version::V1_1_0),
            r#"{"cniVersion":"1.1.0","code":5,"msg":"a \"quoted\"\nline","details":"why"}"#
        );
    }
}
