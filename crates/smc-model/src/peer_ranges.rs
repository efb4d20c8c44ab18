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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(text: &str) -> PeerRanges {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn ranges_and_addresses_of_both_families_are_read_in_any_order_and_with_comments() {
        let all = ranges("10.0.0.0/8, 192.0.2.7\n# the new rack\nfd00::/8   10.0.0.0/8 # again\n");
        assert_eq!(all.to_string(), "10.0.0.0/8, 192.0.2.7/32, fd00::/8");
        for (address, allowed) in [
            ("10.255.0.1", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("fd12::1", true),
            ("::1", false),
        ] {
            assert_eq!(all.allow(address.parse().unwrap()), allowed, "{address}");
        }
        assert!(
            !ranges("0.0.0.0/0").allow("fd00::1".parse().unwrap()),
            "of the other family nobody is named"
        );
    }

    #[test]
    fn what_may_mean_two_things_or_nothing_is_refused_with_what_to_write() {
        let said = |text: &str| text.parse::<PeerRanges>().unwrap_err().to_string();
        let two = said("10.0.0.5/8");
        assert!(two.contains("10.0.0.0/8") && two.contains("or 10.0.0.5 for the address"), "{two}");
        for text in ["10.0.0.0/33", "10.0.0", "any", "10.0.0.0-10.0.0.9", "10.0.0.0/8;fd00::/8"] {
            assert!(said(text).contains("neither an address nor a range"), "{text}");
        }
        for text in ["", "  \n# 10.0.0.0/8\n", ","] {
            assert_eq!(text.parse::<PeerRanges>(), Err(PeerRangesError::Empty));
        }
        let many: Vec<String> =
            (0..=MAX_RANGES).map(|at| format!("10.{}.{}.0/24", at / 256, at % 256)).collect();
        assert!(said(&many.join(" ")).contains("257 ranges are more than the 256"));
        let of_a_pod = |count: usize| PeerRanges::of_a_pod(&many[..count].join(","));
        assert!(of_a_pod(16).is_ok());
        assert_eq!(of_a_pod(17), Err(PeerRangesError::TooMany { count: 17, most: 16 }));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_was_read_is_read_again(text in "[0-9a-f:./, #\n]{0,40}") {
            if let Ok(ranges) = text.parse::<PeerRanges>() {
                prop_assert_eq!(ranges.to_string().parse::<PeerRanges>(), Ok(ranges.clone()));
                let json = serde_json::to_string(&ranges).unwrap();
                prop_assert_eq!(serde_json::from_str::<PeerRanges>(&json).unwrap(), ranges);
            }
        }
    }
}
