//! An IPv4 address with its prefix length.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 address and the length of its network prefix in bits (0..=32), as an interface carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ipv4Net {
    address: Ipv4Addr,
    prefix_length: u8,
}

/// Why a text or a pair is not an [`Ipv4Net`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IPv4 address with a prefix length of 0 to 32")]
pub struct Ipv4NetError(String);

impl Ipv4Net {
    /// An address with its prefix length.
    pub fn new(address: Ipv4Addr, prefix_length: u8) -> Result<Self, Ipv4NetError> {
        if prefix_length > 32 {
            return Err(Ipv4NetError(format!("{address}/{prefix_length}")));
        }
        Ok(Self { address, prefix_length })
    }

    /// The address itself.
    pub fn address(self) -> Ipv4Addr {
        self.address
    }

    /// The prefix length in bits.
    pub fn prefix_length(self) -> u8 {
        self.prefix_length
    }

    /// Whether `other` lies in this address's subnet.
    pub fn contains(self, other: Ipv4Addr) -> bool {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_length)).unwrap_or(0);
        u32::from(self.address) & mask == u32::from(other) & mask
    }
}

impl fmt::Display for Ipv4Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_length)
    }
}

impl FromStr for Ipv4Net {
    type Err = Ipv4NetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || Ipv4NetError(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(error)?;
        Self::new(address.parse().map_err(|_| error())?, length.parse().map_err(|_| error())?)
    }
}

impl TryFrom<String> for Ipv4Net {
    type Error = Ipv4NetError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Ipv4Net> for String {
    fn from(net: Ipv4Net) -> Self {
        net.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_contains_its_own_addresses_only() {
        let net: Ipv4Net = "10.0.0.11/24".parse().unwrap();
        assert!(net.contains("10.0.0.200".parse().unwrap()));
        assert!(!net.contains("10.0.1.1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Ipv4Net>().unwrap().contains("8.8.8.8".parse().unwrap()));
        assert!(!"10.0.0.1/32".parse::<Ipv4Net>().unwrap().contains("10.0.0.2".parse().unwrap()));
    }

    #[test]
    fn bad_texts_are_refused() {
        for text in ["10.0.0.1", "10.0.0.1/33", "10.0.0/8", "::1/64", ""] {
            assert!(text.parse::<Ipv4Net>().is_err(), "{text}");
        }
    }
}
