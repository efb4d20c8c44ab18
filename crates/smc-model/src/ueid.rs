//! UEID: the user-defined enterprise id that SMC-R v2 peers must share.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A user-defined enterprise id: 1 to 32 characters of `A-Z 0-9 . -`, the first alphanumeric.
/// The kernel's own check is `smc_clc_ueid_valid` (net/smc/smc_clc.c).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ueid(String);

/// Why a text is not a UEID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a UEID: 1 to 32 characters of A-Z 0-9 . - starting with a letter or digit are allowed")]
pub struct UeidError(String);

impl Ueid {
    /// The id that Alibaba's kernels add when the smc module is loaded; ours on every other kernel too, so that
    /// mixed clusters agree.
    pub const DEFAULT: &str = "SMCV2-DEFAULT-UEID";

    /// The default id as a value.
    pub fn default_ueid() -> Self {
        Self(Self::DEFAULT.to_owned())
    }

    /// The id's text, without padding.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Ueid {
    type Err = UeidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim_end_matches(' ');
        let valid = (1..=32).contains(&trimmed.len())
            && trimmed.starts_with(|first: char| first.is_ascii_alphanumeric())
            && trimmed
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'.' || b == b'-');
        if valid { Ok(Self(trimmed.to_owned())) } else { Err(UeidError(text.to_owned())) }
    }
}

impl TryFrom<String> for Ueid {
    type Error = UeidError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Ueid> for String {
    fn from(id: Ueid) -> Self {
        id.0
    }
}

impl fmt::Display for Ueid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_ueid_is_valid() {
        assert_eq!(Ueid::DEFAULT.parse::<Ueid>().unwrap(), Ueid::default_ueid());
    }

    #[test]
    fn ueids_the_kernel_refuses_are_refused() {
        for text in ["", "lower", "-FIRST", ".FIRST", "A B", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456"] {
            assert!(text.parse::<Ueid>().is_err(), "{text:?}");
        }
    }
}
