//! The network configuration on a plugin's standard input.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::annotations::PodAnnotations;
use crate::json::{BorrowedStr, is_null, is_object, present};
use crate::options::{InvalidPolicy, OptionKeys, PluginOptions, Policy};
use crate::version::{UnsupportedVersion, Version};

/// The configuration of one call, borrowed from the input: of a pod without annotations of ours nothing is
/// copied and no tree is built.
///
/// Unknown keys are tolerated, `capabilities` among them: the specification says that it is not passed on,
/// the reference library passes it on.
#[derive(Debug, Clone)]
pub struct NetworkConfig<'a> {
    /// `cniVersion`.
    pub cni_version: Version,
    /// `name` of the network.
    pub name: Cow<'a, str>,
    /// `type` of the plugin.
    pub plugin_type: Cow<'a, str>,
    /// `prevResult`, an object, exactly as given. Missing when this plugin is first in the chain, and on `DEL`
    /// when the runtime has lost it.
    pub prev_result: Option<&'a RawValue>,
    /// `runtimeConfig`.
    pub runtime_config: RuntimeConfig<'a>,
    /// On `GC`, the attachments to keep: `cni.dev/valid-attachments` together with `cni.dev/attachments`, the
    /// name an early text of the specification had. `None` when neither key is there, which says nothing
    /// about what to keep; a `null` is an empty list, as the reference library writes one.
    pub valid_attachments: Option<Vec<Attachment>>,
    /// This plugin's own keys.
    pub options: PluginOptions,
}

/// The capabilities' values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeConfig<'a> {
    /// `io.kubernetes.cri.pod-annotations`; `None` when the runtime does not know this capability.
    pub pod_annotations: Option<PodAnnotations<'a>>,
}

/// One container's interface in a list of valid attachments. Not validated: it is only compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Attachment {
    /// `containerID`.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// `ifname`.
    pub ifname: String,
}

/// The keys this crate reads, each still undecoded, so that a decoding error can name its key.
#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow, rename = "cniVersion")]
    cni_version: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    plugin_type: Option<&'a RawValue>,
    #[serde(borrow, rename = "prevResult")]
    prev_result: Option<&'a RawValue>,
    #[serde(borrow, rename = "runtimeConfig")]
    runtime_config: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present", rename = "cni.dev/valid-attachments")]
    valid_attachments: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present", rename = "cni.dev/attachments")]
    attachments: Option<&'a RawValue>,
    #[serde(borrow)]
    policy: Option<&'a RawValue>,
    #[serde(borrow, rename = "stateDir")]
    state_dir: Option<&'a RawValue>,
    #[serde(borrow, rename = "logDir")]
    log_dir: Option<&'a RawValue>,
    #[serde(borrow, rename = "logMaxBytes")]
    log_max_bytes: Option<&'a RawValue>,
    #[serde(borrow, rename = "bootWaitSeconds")]
    boot_wait_seconds: Option<&'a RawValue>,
}

impl<'a> NetworkConfig<'a> {
    /// Reads the bytes of standard input.
    pub fn parse(stdin: &'a [u8]) -> Result<Self, ConfigError> {
        let text =
            str::from_utf8(stdin).map_err(|error| ConfigError::NotUtf8 { offset: error.valid_up_to() })?;
        match text.trim_ascii_start().bytes().next() {
            None => return Err(ConfigError::Empty),
            Some(b'{') => {}
            Some(_) => return Err(ConfigError::NotAnObject),
        }
        let keys: Keys<'a> = serde_json::from_str(text).map_err(|source| ConfigError::Syntax { source })?;

        // The version first: another version's keys may well look different.
        let cni_version = match keys.cni_version {
            Some(raw) => string("cniVersion", raw)?.parse()?,
            None => return Err(ConfigError::MissingVersion),
        };
        Ok(Self {
            cni_version,
            name: required("name", keys.name)?,
            plugin_type: required("type", keys.plugin_type)?,
            prev_result: keys.prev_result.map(|raw| object("prevResult", raw)).transpose()?,
            runtime_config: keys.runtime_config.map(runtime_config).transpose()?.unwrap_or_default(),
            valid_attachments: valid_attachments(keys.valid_attachments, keys.attachments)?,
            options: OptionKeys {
                policy: keys.policy,
                state_dir: keys.state_dir,
                log_dir: keys.log_dir,
                log_max_bytes: keys.log_max_bytes,
                boot_wait_seconds: keys.boot_wait_seconds,
            }
            .decode()?,
        })
    }
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(key: &'static str, raw: &'a RawValue) -> Result<T, ConfigError> {
    serde_json::from_str(raw.get()).map_err(|source| ConfigError::Key { key, source })
}

fn string<'a>(key: &'static str, raw: &'a RawValue) -> Result<Cow<'a, str>, ConfigError> {
    decode::<BorrowedStr<'a>>(key, raw).map(|text| text.0)
}

fn required<'a>(key: &'static str, raw: Option<&'a RawValue>) -> Result<Cow<'a, str>, ConfigError> {
    let text = string(key, raw.ok_or(ConfigError::Missing { key })?)?;
    if text.is_empty() { Err(ConfigError::Missing { key }) } else { Ok(text) }
}

fn object<'a>(key: &'static str, raw: &'a RawValue) -> Result<&'a RawValue, ConfigError> {
    if is_object(raw) { Ok(raw) } else { Err(ConfigError::KeyNotAnObject { key }) }
}

pub(crate) fn runtime_config(raw: &RawValue) -> Result<RuntimeConfig<'_>, ConfigError> {
    #[derive(Deserialize)]
    struct Capabilities<'a> {
        #[serde(borrow, default, deserialize_with = "present", rename = "io.kubernetes.cri.pod-annotations")]
        pod_annotations: Option<&'a RawValue>,
    }
    let capabilities: Capabilities<'_> = decode("runtimeConfig", object("runtimeConfig", raw)?)?;
    let pod_annotations = capabilities
        .pod_annotations
        .map(|raw| decode("runtimeConfig.\"io.kubernetes.cri.pod-annotations\"", raw))
        .transpose()?;
    Ok(RuntimeConfig { pod_annotations })
}

/// Both keys' attachments, each once: keeping too many does less harm than keeping too few.
fn valid_attachments(
    current: Option<&RawValue>,
    early: Option<&RawValue>,
) -> Result<Option<Vec<Attachment>>, ConfigError> {
    let mut valid: Option<Vec<Attachment>> = None;
    for (key, raw) in [("cni.dev/valid-attachments", current), ("cni.dev/attachments", early)] {
        let Some(raw) = raw else { continue };
        let listed: Vec<Attachment> = if is_null(raw) { Vec::new() } else { decode(key, raw)? };
        match &mut valid {
            None => valid = Some(listed),
            Some(known) => {
                for attachment in listed {
                    if !known.contains(&attachment) {
                        known.push(attachment);
                    }
                }
            }
        }
    }
    Ok(valid)
}

pub(crate) fn policy(raw: &RawValue) -> Result<Policy, ConfigError> {
    string("policy", raw)?.parse().map_err(|source| ConfigError::Policy { source })
}

/// A runtime's working directory is not ours to know, so a relative path would mean any place.
pub(crate) fn absolute_path(key: &'static str, raw: &RawValue) -> Result<PathBuf, ConfigError> {
    let path = PathBuf::from(string(key, raw)?.into_owned());
    if path.is_absolute() { Ok(path) } else { Err(ConfigError::RelativePath { key, path }) }
}

/// Why a network configuration was refused. [`crate::CniError`] is made from it, with the specification's code.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nothing but white space.
    #[error("the network configuration is empty")]
    Empty,
    /// JSON is UTF-8.
    #[error("the network configuration is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Position of the first wrong byte.
        offset: usize,
    },
    /// Some other JSON value, or no JSON at all.
    #[error("the network configuration is not a JSON object")]
    NotAnObject,
    /// Not JSON, cut short, or with one of our keys twice.
    #[error("cannot decode the network configuration")]
    Syntax {
        /// What is wrong, at which line and column.
        source: serde_json::Error,
    },
    /// A key's value has the wrong type.
    #[error("cannot decode {key} of the network configuration")]
    Key {
        /// The key, with those above it.
        key: &'static str,
        /// What is wrong, at which line and column of the value.
        source: serde_json::Error,
    },
    /// A key's value is not an object.
    #[error("{key} of the network configuration is not a JSON object")]
    KeyNotAnObject {
        /// The key.
        key: &'static str,
    },
    /// No `cniVersion`, which by the specification's history means 0.1.0.
    #[error("the network configuration has no cniVersion")]
    MissingVersion,
    /// See [`Version::ALL`].
    #[error(transparent)]
    UnsupportedVersion(#[from] UnsupportedVersion),
    /// A required key is missing or empty.
    #[error("the network configuration has no {key}")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A path that is not absolute.
    #[error("{key} of the network configuration is not an absolute path: {}", path.display())]
    RelativePath {
        /// The key.
        key: &'static str,
        /// Its value.
        path: PathBuf,
    },
    /// See [`Policy`].
    #[error("cannot use the policy of the network configuration")]
    Policy {
        /// The value.
        source: InvalidPolicy,
    },
}

#[cfg(test)]
pub(crate) mod tests;
