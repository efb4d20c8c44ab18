//! What can be read of a network configuration that is wrong somewhere.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::annotations::PodAnnotations;
use crate::config::{absolute_path, policy, runtime_config};
use crate::json::is_object;
use crate::options::Policy;

/// The parts of a configuration that [`crate::NetworkConfig::parse`] refuses, each as far as it can be read. A mistake in this
/// plugin's own entry, or in the list it stands in, is no reason to keep a pod from its network that asked for nothing.
#[derive(Debug)]
pub struct Salvage<'a> {
    /// `prevResult`, an object.
    pub prev_result: Option<&'a RawValue>,
    /// The pod's annotations; `None` when the runtime passed none, or none that can be read.
    pub pod_annotations: Option<PodAnnotations<'a>>,
    /// `policy`; one that cannot be read asks for nothing.
    pub policy: Policy,
    /// `logDir`.
    pub log_dir: Option<PathBuf>,
}

impl<'a> Salvage<'a> {
    /// Reads the bytes of standard input; `None` when they are no JSON object.
    pub fn read(stdin: &'a [u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Keys<'a> {
            #[serde(borrow, rename = "prevResult")]
            prev_result: Option<&'a RawValue>,
            #[serde(borrow, rename = "runtimeConfig")]
            runtime_config: Option<&'a RawValue>,
            #[serde(borrow)]
            policy: Option<&'a RawValue>,
            #[serde(borrow, rename = "logDir")]
            log_dir: Option<&'a RawValue>,
        }
        let text = str::from_utf8(stdin).ok()?;
        // The derived structure would also be read from an array.
        if !text.trim_ascii_start().starts_with('{') {
            return None;
        }
        let keys: Keys<'a> = serde_json::from_str(text).ok()?;
        let runtime_config = keys.runtime_config.and_then(|raw| runtime_config(raw).ok());
        Some(Self {
            prev_result: keys.prev_result.filter(|raw| is_object(raw)),
            pod_annotations: runtime_config.and_then(|config| config.pod_annotations),
            policy: keys.policy.and_then(|raw| policy(raw).ok()).unwrap_or_default(),
            log_dir: keys.log_dir.and_then(|raw| absolute_path("logDir", raw).ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;

    #[test]
    fn what_is_well_formed_is_read_whatever_is_wrong_beside_it() {
        for wrong in [
            r#""cniVersion":"","name":"n","type":"smc-cni""#,
            r#""name":"n","type":"smc-cni""#,
            r#""cniVersion":"0.2.0","name":"n","type":"smc-cni""#,
            r#""cniVersion":"1.0.0","type":"smc-cni""#,
            r#""cniVersion":"1.0.0","name":"n","type":"smc-cni","stateDir":"x""#,
            r#""cniVersion":"1.0.0","name":"n","type":"smc-cni","logMaxBytes":"4M""#,
            r#""cniVersion":"1.0.0","name":"n","type":"smc-cni","cni.dev/attachments":3"#,
        ] {
            let text = format!(
                r#"{{{wrong},"policy":"required","logDir":"/l","prevResult":{{"a":1}},
                    "runtimeConfig":{{"io.kubernetes.cri.pod-annotations":{{"k":"v"}}}}}}"#
            );
            assert!(NetworkConfig::parse(text.as_bytes()).is_err(), "{wrong}");
            let salvage = Salvage::read(text.as_bytes()).unwrap();
            assert_eq!(salvage.prev_result.map(RawValue::get), Some(r#"{"a":1}"#), "{wrong}");
            assert_eq!(salvage.pod_annotations.unwrap().get("k"), Some("v"), "{wrong}");
            assert_eq!((salvage.policy, salvage.log_dir), (Policy::Required, Some("/l".into())), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_itself_is_left_out() {
        let text = br#"{"policy":"Required","logDir":"l","prevResult":[],"runtimeConfig":[]}"#;
        let salvage = Salvage::read(text).unwrap();
        assert!(salvage.prev_result.is_none() && salvage.pod_annotations.is_none());
        assert_eq!((salvage.policy, salvage.log_dir), (Policy::Preferred, None));
        for text in [&b""[..], b"[]", b"{", b"\xff", b"{}{}", br#"["x",{},{},{},{}]"#] {
            assert!(Salvage::read(text).is_none(), "{}", String::from_utf8_lossy(text));
        }
    }
}
