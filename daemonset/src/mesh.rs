//! The mesh switch: whether new pods are accelerated at all, as Alibaba Cloud Service Mesh (ASM) says it.
//!
//! ASM's switch is the object `default` of kind `ASMMeshConfig`, cluster-scoped, in the mesh's API server:
//!
//! ```yaml
//! apiVersion: istio.alibabacloud.com/v1beta1
//! kind: ASMMeshConfig
//! metadata: {name: default}
//! spec:
//!   cniConfiguration: {enabled: true, smcEnabled: true, repair: {enabled: true}}
//! ```
//!
//! | `--mesh` | means |
//! |---|---|
//! | `enabled` | on, whatever any mesh says: clusters without ASM (the default) |
//! | `disabled` | off: pods pass through |
//! | `watch` | as that object says |
//!
//! With `watch`, on means exactly one thing: the object is there and says `smcEnabled: true`. A missing object or a
//! missing resource (no ASM here, or one that is older) is off like a missing field, so that deleting the object never
//! switches on what it had switched off. Who wants the annotation alone to decide says `--mesh enabled`. A missing resource
//! is told as a problem, for as long as it lasts: more likely nobody meant to follow a mesh that is not there.
//!
//! While the API server cannot be asked, or the object cannot be understood, the last known value holds. It is kept in
//! the state directory, so a restart of the agent does not change it.

mod follow;
mod object;
mod watch;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smc_model::Switch;
use smc_state::Document;
use thiserror::Error;

pub use follow::{Follower, Input, MISSING_FOR};
pub use object::{Malformed, judge};
pub use watch::{follow, last_known};

/// Whether new pods are accelerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshSwitch {
    /// Whether annotated pods are set up for SMC-R. Off: they pass through, and open connections stay as they are.
    pub on: bool,
    /// Whether pods that started without the plugin are set up in place. Never asks for a pod's deletion.
    pub repair: bool,
    /// What it follows from.
    pub why: Why,
}

/// What a [`MeshSwitch`] follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// `--mesh enabled` or `--mesh disabled`.
    Fixed,
    /// The API server has not answered since this node booted: off for new pods, and no reason to change others.
    NotKnownYet,
    /// The object says `smcEnabled: true`.
    SmcEnabled,
    /// The object says `smcEnabled: false`, or nothing.
    SmcNotEnabled,
    /// The object says `cniConfiguration.enabled: false`.
    CniDisabled,
    /// There is no object of that name.
    NoObject,
    /// The API server does not know the resource.
    NoResource,
}

impl MeshSwitch {
    /// The value before anything is known.
    pub const NOT_KNOWN_YET: Self = Self { on: false, repair: false, why: Why::NotKnownYet };

    /// A value that the command line fixes.
    pub fn fixed(on: bool) -> Self {
        Self { on, repair: on, why: Why::Fixed }
    }

    /// Whether anybody ever said so; if not, pods that are set up are better left as they are.
    pub fn is_known(&self) -> bool {
        self.why != Why::NotKnownYet
    }
}

impl From<MeshSwitch> for Switch {
    fn from(mesh: MeshSwitch) -> Self {
        if mesh.on { Self::On } else { Self::Off { why: mesh.why.to_string() } }
    }
}

impl Why {
    /// One word for files and `/status`, the same as where it is serialised.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::NotKnownYet => "not-known-yet",
            Self::SmcEnabled => "smc-enabled",
            Self::SmcNotEnabled => "smc-not-enabled",
            Self::CniDisabled => "cni-disabled",
            Self::NoObject => "no-object",
            Self::NoResource => "no-resource",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed => "set by --mesh",
            Self::NotKnownYet => {
                "the API server that has ASM's switch has not answered yet; why is in smc-agent's log and /status"
            }
            Self::SmcEnabled => "ASMMeshConfig default has smcEnabled: true",
            Self::SmcNotEnabled => "ASMMeshConfig default has no smcEnabled: true in spec.cniConfiguration",
            Self::CniDisabled => "ASMMeshConfig default has enabled: false in spec.cniConfiguration",
            Self::NoObject => "there is no ASMMeshConfig named default",
            Self::NoResource => {
                "the agent follows ASM's switch and the API server does not know ASMMeshConfig; without ASM apply daemonset/manifests instead of overlays/ack-asm (SMC_AGENT_MESH=enabled, --mesh enabled); with ASM, the kubeconfig must be that of the ASM instance"
            }
        })
    }
}

impl Document for MeshSwitch {
    const FILE: &'static str = "mesh.json";
    const WHAT: &'static str = "mesh switch";
    const VERSION: u32 = 1;
}

/// Where the switch comes from, `--mesh`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MeshMode {
    /// On.
    #[default]
    Enabled,
    /// Off.
    Disabled,
    /// As ASM's object says.
    Watch,
}

/// Not one of the modes.
#[derive(Debug, Error)]
#[error("mesh mode `{0}` is none of `enabled`, `disabled` and `watch`")]
pub struct UnknownMeshMode(String);

impl FromStr for MeshMode {
    type Err = UnknownMeshMode;

    fn from_str(name: &str) -> Result<Self, UnknownMeshMode> {
        match name {
            "enabled" => Ok(Self::Enabled),
            "disabled" => Ok(Self::Disabled),
            "watch" => Ok(Self::Watch),
            other => Err(UnknownMeshMode(other.to_owned())),
        }
    }
}

impl fmt::Display for MeshMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Watch => "watch",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_switch_follows_from_has_one_name_in_files_and_in_the_status() {
        for why in [
            Why::Fixed,
            Why::NotKnownYet,
            Why::SmcEnabled,
            Why::SmcNotEnabled,
            Why::CniDisabled,
            Why::NoObject,
            Why::NoResource,
        ] {
            assert_eq!(serde_json::to_value(why).unwrap(), why.name());
        }
    }
}
