//! A CNI plugin that gives pods what Terway's policy-route datapath gives them: a veth, a /32, a gateway of 169.254.1.1,
//! and a result whose `sandbox` is a container id.

pub mod datapath;
pub mod erdma;
pub mod ipam;

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde_json::{Value, json};
use smc_host::HostError;

use self::datapath::Veth;
use self::ipam::{Ipam, IpamError};
use super::{GuestError, init};
use crate::layout::{BootWords, REQUESTED_ADDRESSES, second_family};

const IPAM_DIRECTORY: &str = "/run/rig/ipam";
/// As Terway: `plugin/terway/cni.go`.
const VERSIONS: [&str; 4] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0"];

/// Why a pod got no network.
#[derive(Debug, thiserror::Error)]
pub enum TerwayError {
    /// The runtime's call lacks something.
    #[error("CNI call without {0}")]
    Missing(&'static str),
    /// The network configuration is not JSON.
    #[error("read the network configuration")]
    Configuration(#[from] serde_json::Error),
    /// A verb this plugin does not know.
    #[error("unknown CNI_COMMAND {0:?}")]
    UnknownCommand(String),
    /// No address.
    #[error("give the pod an address")]
    Ipam(#[from] IpamError),
    /// No veth.
    #[error("set up the pod's interface")]
    Datapath(#[from] GuestError),
    /// No PNETID.
    #[error("give the pod's interface its PNETID")]
    Erdma(#[from] HostError),
}

impl TerwayError {
    /// The CNI error code (CNI specification 1.0.0, section 5 "Error"); Terway itself always says 11.
    pub fn code(&self) -> u32 {
        match self {
            Self::Missing(_) | Self::UnknownCommand(_) => 4,
            Self::Configuration(_) => 6,
            Self::Ipam(_) | Self::Datapath(_) | Self::Erdma(_) => 11,
        }
    }
}

/// One call by the runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// `CNI_COMMAND`.
    pub command: String,
    /// `CNI_CONTAINERID`.
    pub container: String,
    /// `CNI_NETNS`, empty when the runtime has none any more.
    pub netns: String,
    /// `CNI_IFNAME`.
    pub interface: String,
    /// `CNI_ARGS`: `KEY=VALUE;KEY=VALUE`.
    pub arguments: String,
}

impl Call {
    /// Reads the environment; absent variables are empty.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).unwrap_or_default();
        Self {
            command: variable("CNI_COMMAND"),
            container: variable("CNI_CONTAINERID"),
            netns: variable("CNI_NETNS"),
            interface: variable("CNI_IFNAME"),
            arguments: variable("CNI_ARGS"),
        }
    }

    /// The value of a key of `CNI_ARGS`.
    pub fn argument(&self, key: &str) -> Option<&str> {
        self.arguments.split(';').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
    }
}

/// Answers a call; the result is what goes to standard output, `None` for nothing.
pub fn answer(call: &Call, configuration: &str) -> Result<Option<Value>, TerwayError> {
    match call.command.as_str() {
        "VERSION" => Ok(Some(json!({ "cniVersion": "1.0.0", "supportedVersions": VERSIONS }))),
        "ADD" => add(call, configuration).map(Some),
        "DEL" => delete(call).map(|()| None),
        // Terway's CHECK repairs nothing that this plugin could have broken. The others are CNI 1.1's, which Terway does
        // not know: for lists of that version, as other networks have them.
        "CHECK" | "STATUS" | "GC" => Ok(None),
        other => Err(TerwayError::UnknownCommand(other.to_owned())),
    }
}

/// The error object of the CNI specification.
pub fn error_object(error: &TerwayError) -> Value {
    let details = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    json!({ "cniVersion": "0.4.0", "code": error.code(), "msg": error.to_string(), "details": details })
}

fn add(call: &Call, configuration: &str) -> Result<Value, TerwayError> {
    let configuration: Value = serde_json::from_str(configuration)?;
    for (value, name) in
        [(&call.container, "CNI_CONTAINERID"), (&call.netns, "CNI_NETNS"), (&call.interface, "CNI_IFNAME")]
    {
        if value.is_empty() {
            return Err(TerwayError::Missing(name));
        }
    }
    let words = init::boot_words()?;
    let ipam = ipam(&words);
    let address = ipam.allocate(&call.container, requested_address(call))?;
    let second = words.dual_stack.then(|| second_family(address));
    let veth = Veth::new(&call.container, &call.interface, address, second);
    let netns = Path::new(&call.netns);
    let added = veth.add(netns).map_err(TerwayError::from);
    if let Err(error) = added.and_then(|()| Ok(erdma::configure(netns, &call.interface)?)) {
        veth.delete();
        ipam.release(&call.container)?;
        return Err(error);
    }
    Ok(result(call, &configuration, address, second))
}

fn delete(call: &Call) -> Result<(), TerwayError> {
    // The second DEL of a pod has no network namespace; its address must go all the same.
    Veth::new(&call.container, &call.interface, Ipv4Addr::UNSPECIFIED, None).delete();
    Ok(ipam(&init::boot_words()?).release(&call.container)?)
}

fn ipam(words: &BootWords) -> Ipam {
    Ipam::new(IPAM_DIRECTORY, words.node.pod_addresses())
}

fn requested_address(call: &Call) -> Option<Ipv4Addr> {
    let name = format!("{}_{}", call.argument("K8S_POD_NAMESPACE")?, call.argument("K8S_POD_NAME")?);
    fs::read_to_string(Path::new(REQUESTED_ADDRESSES).join(name)).ok()?.trim().parse().ok()
}

/// As Terway's: one interface without hardware address, whose sandbox is the container id instead of a path.
fn result(call: &Call, configuration: &Value, address: Ipv4Addr, second: Option<Ipv6Addr>) -> Value {
    let version = configuration["cniVersion"].as_str().unwrap_or("0.4.0");
    let sandbox = call.argument("K8S_POD_INFRA_CONTAINER_ID").unwrap_or_default();
    let ip = |family: &str, address: String, gateway: &str| {
        let mut ip = json!({ "interface": 0, "address": address, "gateway": gateway });
        // The field is mandatory before CNI 1.0.0 and unknown from then on.
        if version.starts_with("0.") {
            ip["version"] = json!(family);
        }
        ip
    };
    let first = ip("4", format!("{address}/32"), datapath::GATEWAY);
    let second = second.map(|address| ip("6", format!("{address}/128"), datapath::GATEWAY_V6));
    let ips: Vec<Value> = [first].into_iter().chain(second).collect();
    json!({
        "cniVersion": version,
        "interfaces": [{ "name": call.interface, "sandbox": sandbox }],
        "ips": ips,
        "dns": {},
    })
}

#[cfg(test)]
mod tests;
