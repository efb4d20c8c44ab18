//! Ranges of addresses whose owners may speak SMC with a pod.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The most ranges that the node may be given.
pub const MAX_RANGES: usize = 256;
/// The most ranges that a pod's owner may give it: the kernel holds those of all of a node's pods in one table.
pub const MAX_RANGES_OF_A_POD: usize = 16;
/// The most addresses that a pod with ranges of its own may have, for the same reason.
pub const MAX_ADDRESSES_WITH_RANGES: usize = 4;

/// Whether sources of a range may speak SMC; of the ranges that hold a source, the longest decides.
pub type PeerRules = BTreeMap<IpNet, bool>;

/// Ranges of both families. A family of which there is none is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct PeerRanges(BTreeSet<IpNet>);

/// Why a text is no list of ranges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerRangesError {
    /// Not an address or a range.
    #[error("{0:?} is neither an address nor a range such as 10.0.0.0/8 or fd00::/8")]
    NotARange(String),
    /// An address with more bits than its prefix has, of which either may be meant.
    #[error("{given} has bits behind its prefix: write {range} for the range, or {address} for the address")]
    BitsBehindPrefix {
        /// What was given.
        given: String,
        /// The range that holds it.
        range: IpNet,
        /// The address.
        address: IpAddr,
    },
    /// More than can be given.
    #[error("{count} ranges are more than the {most} that can be given")]
    TooMany {
        /// How many.
        count: usize,
        /// How many may be.
        most: usize,
    },
    /// Not one, where a list of them means something.
    #[error("it names no range; without it, nothing is refused for where it comes from")]
    Empty,
}

impl PeerRanges {
    /// Whether an address is in one of them.
    pub fn allow(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(&address))
    }

    /// Reads what a pod's owner says.
    ///
    /// # Errors
    /// Where it cannot be understood, or is more than [`MAX_RANGES_OF_A_POD`].
    pub fn of_a_pod(text: &str) -> Result<Self, PeerRangesError> {
        let ranges: Self = text.parse()?;
        let (count, most) = (ranges.0.len(), MAX_RANGES_OF_A_POD);
        if count > most { Err(PeerRangesError::TooMany { count, most }) } else { Ok(ranges) }
    }

    /// The rules for a pod's address: its family's.
    pub fn rules(&self, pod: IpAddr) -> PeerRules {
        self.all_rules().into_iter().filter(|(range, _)| range.addr().is_ipv4() == pod.is_ipv4()).collect()
    }

    /// The rules for both families.
    pub fn all_rules(&self) -> PeerRules {
        let ranges = self.0.iter().map(|range| (*range, true));
        nobody().into_iter().chain(ranges).collect()
    }
}

/// The rules by which nobody may.
pub fn nobody() -> PeerRules {
    let all = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
    all.into_iter().filter_map(|address| IpNet::new(address, 0).ok()).map(|range| (range, false)).collect()
}

/// Ranges and single addresses, with commas, spaces or lines between; what follows `#` on a line says nothing.
impl FromStr for PeerRanges {
    type Err = PeerRangesError;

    fn from_str(text: &str) -> Result<Self, PeerRangesError> {
        let said = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let words = said.flat_map(|line| line.split(|c: char| c == ',' || c.is_whitespace()));
        let ranges: BTreeSet<IpNet> =
            words.filter(|word| !word.is_empty()).map(range).collect::<Result<_, _>>()?;
        match ranges.len() {
            0 => Err(PeerRangesError::Empty),
            1..=MAX_RANGES => Ok(Self(ranges)),
            count => Err(PeerRangesError::TooMany { count, most: MAX_RANGES }),
        }
    }
}

fn range(word: &str) -> Result<IpNet, PeerRangesError> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let given: IpNet = word.parse().map_err(|_| PeerRangesError::NotARange(word.to_owned()))?;
    let range = given.trunc();
    if range != given {
        let (given, address) = (word.to_owned(), given.addr());
        return Err(PeerRangesError::BitsBehindPrefix { given, range, address });
    }
    Ok(range)
}

impl TryFrom<Vec<String>> for PeerRanges {
    type Error = PeerRangesError;

    fn try_from(words: Vec<String>) -> Result<Self, PeerRangesError> {
        words.join(",").parse()
    }
}

impl From<PeerRanges> for Vec<String> {
    fn from(ranges: PeerRanges) -> Self {
        ranges.0.iter().map(ToString::to_string).collect()
    }
}

impl fmt::Display for PeerRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests;
