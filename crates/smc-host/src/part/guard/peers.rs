//! Who may speak SMC with the node's pods: the pinned map of ranges that the guard's program looks sources up in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nix::errno::Errno;
use smc_model::{PeerRules, StripCause};

use super::address_key::{ADDRESS_BYTES, address_key, read_address};
use crate::HostError;
use crate::bpf::{MAP_TYPE_LPM_TRIE, PinnedMap, Shape};

/// File name of the pinned map of ranges.
pub const PEERS_NAME: &str = "allowed_peers";
/// `struct range`: bits of the prefix, the pod, and the source.
pub const RANGE_BYTES: usize = 4 + ADDRESS_BYTES + 16;
/// Every prefix begins with the whole pod.
const POD_BITS: u32 = 160;
/// The value of a range that may.
const MAY: u32 = 0;

const SHAPE: Shape = Shape { map_type: MAP_TYPE_LPM_TRIE, key: RANGE_BYTES, value: size_of::<u32>() };

/// Whose peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// Those of every pod of the node.
    Node,
    /// Those of the pod that has this address.
    Pod(IpAddr),
}

/// The open map.
#[derive(Debug)]
pub struct AllowedPeers(PinnedMap);

impl AllowedPeers {
    /// Opens what is pinned in a directory.
    pub fn open(pins: &Path) -> Result<Self, HostError> {
        PinnedMap::open(&pins.join(PEERS_NAME), SHAPE).map(Self)
    }

    /// Has exactly these rules hold; offers from a range that may not are taken out, and counted, for this reason. In between
    /// fewer may than before or after, never more.
    pub fn set(&self, whose: Whose, rules: &PeerRules, why: StripCause) -> Result<(), HostError> {
        let set = || -> Result<(), Errno> {
            let there = if self.says_something(whose)? { self.rules(whose)? } else { PeerRules::new() };
            let value = |may: bool| if may { MAY } else { why.number() };
            let put = |for_all: bool| {
                let mut wanted = rules.iter().filter(|(range, _)| (range.prefix_len() == 0) == for_all);
                wanted
                    .try_for_each(|(range, may)| self.0.put(&key(whose, *range), &value(*may).to_ne_bytes()))
            };
            let remove = |for_all: bool| {
                let gone = there.keys().filter(|range| (range.prefix_len() == 0) == for_all);
                gone.filter(|range| !rules.contains_key(*range))
                    .try_for_each(|range| self.0.remove(&key(whose, *range)))
            };
            // What is taken from all is taken before some get it back, and given to all after.
            put(true)?;
            remove(false)?;
            put(false)?;
            remove(true)?;
            Ok(())
        };
        set().map_err(HostError::at(format_args!(
            "say in {} who may speak SMC with {}",
            self.0.shown(),
            shown(whose)
        )))
    }

    /// All rules.
    pub fn all(&self) -> Result<BTreeMap<Whose, PeerRules>, HostError> {
        let list = || -> Result<BTreeMap<Whose, PeerRules>, Errno> {
            let mut all: BTreeMap<Whose, PeerRules> = BTreeMap::new();
            for key in self.0.keys()? {
                let (Some((whose, range)), Some(value)) = (read_key(&key), self.0.get(&key)?) else {
                    continue;
                };
                all.entry(whose).or_default().insert(range, value == MAY.to_ne_bytes());
            }
            Ok(all)
        };
        list().map_err(HostError::at(format_args!("list {}", self.0.shown())))
    }

    /// The rules for all pods of the node.
    pub fn rules_of_node(&self) -> Result<PeerRules, HostError> {
        let attempt = format_args!("look the node up in {}", self.0.shown());
        // Most nodes have none, and then the others need not be listed.
        if !self.says_something(Whose::Node).map_err(HostError::at(attempt))? {
            return Ok(PeerRules::new());
        }
        Ok(self.all()?.remove(&Whose::Node).unwrap_or_default())
    }

    /// Whether a rule holds for all sources of a family; where there are rules, there is one.
    fn says_something(&self, whose: Whose) -> Result<bool, Errno> {
        let families: &[IpNet] = match whose {
            Whose::Node => &[
                IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
                IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
            ],
            Whose::Pod(IpAddr::V4(_)) => &[IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0))],
            Whose::Pod(IpAddr::V6(_)) => &[IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0))],
        };
        for family in families {
            if self.0.get(&key(whose, *family))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn rules(&self, whose: Whose) -> Result<PeerRules, Errno> {
        let keys = self.0.keys()?;
        let of_it = keys.iter().filter_map(|key| read_key(key)).filter(|(of, _)| *of == whose);
        Ok(of_it.map(|(_, range)| (range, true)).collect())
    }
}

fn shown(whose: Whose) -> String {
    match whose {
        Whose::Node => "all pods".to_owned(),
        Whose::Pod(address) => address.to_string(),
    }
}

/// `struct range` of the program.
fn key(whose: Whose, range: IpNet) -> [u8; RANGE_BYTES] {
    let none = match range {
        IpNet::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpNet::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let pod = if let Whose::Pod(address) = whose { address } else { none };
    let mut key = [0; RANGE_BYTES];
    key[..4].copy_from_slice(&(POD_BITS + u32::from(range.prefix_len())).to_ne_bytes());
    key[4..4 + ADDRESS_BYTES].copy_from_slice(&address_key(pod));
    // Without the family, which is the pod's.
    key[4 + ADDRESS_BYTES..].copy_from_slice(&address_key(range.network())[4..]);
    key
}

fn read_key(key: &[u8]) -> Option<(Whose, IpNet)> {
    let (prefix, rest) = key.split_first_chunk::<4>()?;
    let (pod, source) = rest.split_first_chunk::<ADDRESS_BYTES>()?;
    let pod_address = read_address(pod)?;
    let source = read_address(&[&pod[..4], source].concat())?;
    let bits = u32::from_ne_bytes(*prefix).checked_sub(POD_BITS)?;
    let range = IpNet::new(source, u8::try_from(bits).ok()?).ok()?;
    Some((if pod_address.is_unspecified() { Whose::Node } else { Whose::Pod(pod_address) }, range))
}

#[cfg(test)]
mod tests;
