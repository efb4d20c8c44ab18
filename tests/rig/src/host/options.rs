//! What kind of rig to bring up.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::RigError;
use super::network::Link;

/// Which kernel the nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
pub enum Kernel {
    /// Debian 12's backported 6.12: SMC with `IPPROTO_SMC`, so TCP sockets can be converted.
    #[default]
    #[serde(rename = "6.12")]
    #[value(name = "6.12")]
    V6_12,
    /// Debian 12's own 6.1: SMC, but no way to convert TCP sockets.
    #[serde(rename = "6.1")]
    #[value(name = "6.1")]
    V6_1,
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V6_12 => "6.12",
            Self::V6_1 => "6.1",
        })
    }
}

/// What converts TCP sockets on the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Conversion {
    /// The agent's BPF program, as on mainline kernels.
    #[default]
    Bpf,
    /// `net.smc.tcp2smc`, as on Alibaba's 5.10, by the module of `hack/rig-module`; tracing by BPF and namespace cookies are hidden.
    Sysctl,
}

/// Which addresses nodes and pods have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Families {
    /// IPv4 alone.
    #[default]
    Ipv4,
    /// IPv4 and IPv6.
    Both,
}

/// A rig's name: 1 to 32 of `a`–`z`, `0`–`9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RigName(String);

impl RigName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RigName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for RigName {
    type Err = RigError;

    fn from_str(text: &str) -> Result<Self, RigError> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        // A leading dash would be an option on some command line.
        let usable = (1..=32).contains(&text.len()) && text.chars().all(known) && !text.starts_with('-');
        if usable { Ok(Self(text.to_owned())) } else { Err(RigError::Name(text.to_owned())) }
    }
}

impl TryFrom<String> for RigName {
    type Error = RigError;

    fn try_from(text: String) -> Result<Self, RigError> {
        text.parse()
    }
}

impl From<RigName> for String {
    fn from(name: RigName) -> Self {
        name.0
    }
}

impl fmt::Display for RigName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What [`Rig::up`](super::Rig::up) brings up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpOptions {
    /// Rigs of different names may be up at the same time.
    pub name: RigName,
    /// The nodes' kernel.
    pub kernel: Kernel,
    /// The directory of another kernel, laid out like those of `hack/setup`, to be used instead.
    pub kernel_dir: Option<PathBuf>,
    /// What converts TCP sockets on them; the sysctl is there for [`Kernel::V6_12`] only.
    pub conversion: Conversion,
    /// 1 to 3; with [`Link::Socket`] at most 2.
    pub nodes: u8,
    /// What joins them.
    pub link: Link,
    /// Leave out the agent: nodes with containerd and the Terway-shaped chain only.
    pub bare: bool,
    /// Let a nanosecond of the nodes be an instruction of their CPU, so that what they measure is exact and the same each
    /// time. They are slower then.
    pub count_instructions: bool,
    /// Each node's memory in MiB.
    pub memory: u32,
    /// A directory with the programs of containerd 2; `None` for this machine's own containerd.
    pub containerd: Option<PathBuf>,
    /// Archives of images that every node imports beside the rig's own.
    pub images: Vec<PathBuf>,
    /// Let a kubelet run on each node, by the files of [`crate::cluster`].
    pub kubernetes: bool,
    /// Which addresses nodes and pods have.
    pub families: Families,
}

impl Default for UpOptions {
    fn default() -> Self {
        let (name, kernel) = (RigName::default(), Kernel::default());
        Self {
            name,
            kernel,
            kernel_dir: None,
            conversion: Conversion::default(),
            nodes: 2,
            link: Link::of_this_machine(),
            bare: false,
            count_instructions: false,
            memory: 1536,
            containerd: None,
            images: Vec::new(),
            kubernetes: false,
            families: Families::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_paths_or_options_are_refused() {
        for name in ["", ".", "..", "a/b", "A", "-a", "a b", "ä", &"x".repeat(33)] {
            assert!(name.parse::<RigName>().is_err(), "{name:?}");
        }
        for name in ["a", "default", "two-nodes", "6", &"x".repeat(32)] {
            assert_eq!(name.parse::<RigName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn kernels_are_written_as_their_series() {
        for kernel in [Kernel::V6_12, Kernel::V6_1] {
            assert_eq!(serde_json::to_string(&kernel).unwrap(), format!("\"{kernel}\""));
        }
    }
}
