//! What the container runtime itself says about its chain.
//!
//! containerd tells it in the verbose answer to the CRI's `Status`: `info["cniconfig"]` is the chain in memory, and
//! `info["lastCNILoadStatus"]` what came of the last attempt to read it from the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cni_spec::PLUGIN_TYPE;
use cni_spec::conflist::Entry;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use super::Problem;

/// Asks the container runtime.
pub trait Runtime: Sync {
    /// The chain that the runtime has loaded.
    fn loaded_chain(&self) -> impl Future<Output = Result<LoadedChain, RuntimeError>> + Send;
}

/// Why the runtime's chain is not known.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// Nobody was given to ask.
    #[error("no container runtime to ask")]
    Nobody,
    /// The call failed.
    #[error("cannot ask the container runtime: {0}")]
    Call(String),
    /// The runtime does not tell; CRI-O does not.
    #[error("the container runtime does not tell which CNI chain it has loaded")]
    Silent,
    /// The answer cannot be understood.
    #[error("cannot understand the container runtime's {key}: {source}")]
    Malformed {
        /// The key of `info`.
        key: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Nobody to ask.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRuntime;

impl Runtime for NoRuntime {
    async fn loaded_chain(&self) -> Result<LoadedChain, RuntimeError> {
        Err(RuntimeError::Nobody)
    }
}

/// The chain in a runtime's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedChain {
    /// Where the runtime reads its configurations, by its own name for the place.
    pub conf_dir: PathBuf,
    /// Where it looks for plugins, by its own names; none where it does not tell.
    pub bin_dirs: Vec<PathBuf>,
    /// The networks that it gives to pods, the loopback included.
    pub networks: Vec<LoadedNetwork>,
    /// What kept it from loading the files as they are now.
    pub load_error: Option<String>,
}

/// A network in a runtime's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedNetwork {
    /// The list's name.
    pub name: String,
    /// The plugins in their order, drop-ins included.
    pub plugins: Vec<LoadedPlugin>,
}

/// A plugin in a runtime's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedPlugin {
    /// Its `type`.
    pub plugin_type: String,
    /// Its whole configuration as JSON.
    pub source: String,
}

/// containerd's `cniconfig` (go-cni's `ConfigResult`). Keys that are not needed are passed over.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CniConfig {
    plugin_conf_dir: PathBuf,
    #[serde(default, deserialize_with = "or_default")]
    plugin_dirs: Vec<PathBuf>,
    #[serde(default, deserialize_with = "or_default")]
    networks: Vec<Network>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    config: NetworkConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkConfig {
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    plugins: Vec<Plugin>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Plugin {
    #[serde(default, deserialize_with = "or_default")]
    network: PluginType,
    #[serde(default)]
    source: String,
}

#[derive(Default, Deserialize)]
struct PluginType {
    #[serde(default, rename = "type")]
    plugin_type: String,
}

/// Go writes empty slices and pointers as `null`.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl LoadedChain {
    /// From `info` of the CRI's verbose `Status`.
    pub fn from_status(info: &BTreeMap<String, String>) -> Result<Self, RuntimeError> {
        let chain = info.get("cniconfig").ok_or(RuntimeError::Silent)?;
        let chain: CniConfig = serde_json::from_str(chain)
            .map_err(|source| RuntimeError::Malformed { key: "cniconfig", source })?;
        let plugin =
            |plugin: Plugin| LoadedPlugin { plugin_type: plugin.network.plugin_type, source: plugin.source };
        let network = |network: Network| LoadedNetwork {
            name: network.config.name,
            plugins: network.config.plugins.into_iter().map(plugin).collect(),
        };
        Ok(Self {
            conf_dir: chain.plugin_conf_dir,
            bin_dirs: chain.plugin_dirs,
            networks: chain.networks.into_iter().map(network).collect(),
            load_error: info.get("lastCNILoadStatus").filter(|status| *status != "OK").cloned(),
        })
    }

    /// Why nothing written to these directories could work with this runtime. Paths are compared by name, as the agent's pod
    /// mounts them where the node has them, and by what they lead to.
    pub fn looks_elsewhere(&self, conf_dir: &Path, bin_dir: &Path) -> Option<Problem> {
        let same = |ours: &Path, theirs: &Path| {
            let target = |path: &Path| path.canonicalize().ok();
            ours == theirs || target(ours).is_some_and(|ours| Some(ours) == target(theirs))
        };
        if !same(conf_dir, &self.conf_dir) {
            return Some(Problem::OtherConfDir { ours: conf_dir.to_owned(), theirs: self.conf_dir.clone() });
        }
        let found = self.bin_dirs.is_empty() || self.bin_dirs.iter().any(|theirs| same(bin_dir, theirs));
        let theirs = || self.bin_dirs.clone();
        (!found).then(|| Problem::OtherBinDir { ours: bin_dir.to_owned(), theirs: theirs() })
    }

    /// Whether the network of this name has our plugin with these settings.
    pub fn has(&self, list: &str, entry: &Entry) -> Loaded {
        let no = |why: String| Loaded::No { why };
        if let Some(error) = &self.load_error {
            return no(format!("it could not read its configuration: {error}"));
        }
        let Some(network) = self.networks.iter().find(|network| network.name == list) else {
            let names: Vec<&str> = self.networks.iter().map(|network| network.name.as_str()).collect();
            let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            return no(format!("it reads {}, and has {names} instead of {list}", self.conf_dir.display()));
        };
        let mut ours = network.plugins.iter().filter(|plugin| plugin.plugin_type == PLUGIN_TYPE);
        match (ours.next(), ours.next()) {
            (Some(plugin), None) if Entry::parse(&plugin.source).as_ref() == Ok(entry) => Loaded::Yes,
            (Some(_), None) => no(format!("its {list} has {PLUGIN_TYPE} with other settings")),
            (Some(_), Some(_)) => no(format!("its {list} has {PLUGIN_TYPE} more than once")),
            (None, _) => no(format!("its {list} is without {PLUGIN_TYPE}")),
        }
    }
}

/// Whether the runtime uses the entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "loaded")]
pub enum Loaded {
    /// It does.
    Yes,
    /// It does not.
    No {
        /// What it has instead.
        why: String,
    },
    /// It tells nobody.
    Untold,
    /// Not known.
    Unknown {
        /// Why not.
        why: String,
    },
}

impl Default for Loaded {
    fn default() -> Self {
        Self::Unknown { why: "not asked yet".to_owned() }
    }
}

#[cfg(test)]
mod tests;
