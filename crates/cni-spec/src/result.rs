//! The result of the plugins before us, passed on unchanged.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::error::{CniError, code};
use crate::json::is_object;
use crate::version::Version;

/// The output of a successful `ADD`: the previous result, byte for byte.
///
/// Without one this plugin stands first or alone in its list: an error.
pub fn success(prev_result: Option<&RawValue>) -> Result<&[u8], CniError> {
    prev_result.map(|raw| raw.get().as_bytes()).ok_or_else(|| {
        CniError::new(
            code::INVALID_NETWORK_CONFIG,
            "no prevResult: this plugin must be chained after another",
        )
    })
}

/// The output of an `ADD` without a previous result that is none of this plugin's business: the plugins that follow make the
/// pod's network.
pub fn empty_success(version: Version) -> Vec<u8> {
    json!({ "cniVersion": version.as_str() }).to_string().into_bytes()
}

/// What this plugin wants to know of a previous result, read leniently: an element of another shape is
/// skipped, because it is some other plugin's and the pod's network is already made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrevResult {
    ips: Vec<IpNet>,
    interfaces: Vec<Interface>,
}

/// An address with the length of its network's prefix, as in `192.0.2.7/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpNet {
    /// The address.
    pub address: IpAddr,
    /// The prefix length in bits, at most 32 or 128. An address without one has the full length.
    pub prefix: u8,
    /// Index into [`PrevResult::interfaces`] of the interface with the address, if told and there.
    pub interface: Option<usize>,
}

/// An interface made by the plugins before us.
///
/// Terway's `sandbox` is a container id, not a path, and it gives no `mac`: find the pod's namespace by
/// `CNI_NETNS`, never by this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Interface {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its hardware address, in whatever case and separators.
    pub mac: Option<String>,
    /// The container's namespace or hypervisor; `None` or empty for an interface of the host.
    pub sandbox: Option<String>,
}

impl PrevResult {
    /// Reads a `prevResult` of any version of [`crate::Version`].
    pub fn parse(prev_result: &RawValue) -> Self {
        #[derive(Deserialize)]
        struct Keys<'a> {
            #[serde(borrow)]
            ips: Option<&'a RawValue>,
            #[serde(borrow)]
            interfaces: Option<&'a RawValue>,
        }
        if !is_object(prev_result) {
            return Self::default();
        }
        let Ok(keys) = serde_json::from_str::<Keys<'_>>(prev_result.get()) else {
            return Self::default();
        };
        // Interfaces are addressed by index, so one that cannot be read leaves an empty one in its place.
        let interfaces: Vec<Interface> = elements(keys.interfaces)
            .map(|raw| serde_json::from_str(raw.get()).unwrap_or_default())
            .collect();
        let ips = elements(keys.ips).filter_map(|raw| ip(raw, interfaces.len())).collect();
        Self { ips, interfaces }
    }

    /// The addresses, in order.
    pub fn ips(&self) -> &[IpNet] {
        &self.ips
    }

    /// The interfaces, in order. One that could not be read has an empty name.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }
}

fn elements(list: Option<&RawValue>) -> impl Iterator<Item = &RawValue> {
    list.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok())
        .unwrap_or_default()
        .into_iter()
}

fn ip(raw: &RawValue, interfaces: usize) -> Option<IpNet> {
    #[derive(Deserialize)]
    struct Ip<'a> {
        #[serde(borrow)]
        address: crate::json::BorrowedStr<'a>,
        #[serde(borrow)]
        interface: Option<&'a RawValue>,
    }
    let ip: Ip<'_> = serde_json::from_str(raw.get()).ok()?;
    let text = ip.address.0.as_ref();
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let longest: u8 = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= longest)?,
        None => longest,
    };
    let interface = ip.interface.and_then(|raw| raw.get().parse().ok()).filter(|index| *index < interfaces);
    Some(IpNet { address, prefix, interface })
}

#[cfg(test)]
mod tests;
