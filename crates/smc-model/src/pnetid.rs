//! PNETID: the name that ties network devices and RDMA ports of one physical network together.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A physical network id: 1 to 16 upper-case ASCII letters and digits.
///
/// The kernel folds lower case to upper case on ADD but compares byte-wise on DEL (net/smc/smc_pnet.c,
/// `smc_pnetid_valid`), so the folding is done here, once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PnetId(String);

/// Why a text is not a PNETID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a PNETID: 1 to 16 ASCII letters and digits are allowed")]
pub struct PnetIdError(String);

impl PnetId {
    /// Most characters a PNETID can have (`SMC_MAX_PNETID_LEN`).
    pub const MAX_LENGTH: usize = 16;

    /// The id derived from a network device's MAC address: its twelve hex digits, upper case, as
    /// alibabacloud-erdma-controller names its devices.
    pub fn from_mac(mac: [u8; 6]) -> Self {
        Self(mac.map(|byte| format!("{byte:02X}")).concat())
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PnetId {
    type Err = PnetIdError;

    /// Surrounding blanks are not part of an id (the kernel pads with them).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim_matches(' ');
        let valid = (1..=Self::MAX_LENGTH).contains(&trimmed.len())
            && trimmed.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if valid { Ok(Self(trimmed.to_ascii_uppercase())) } else { Err(PnetIdError(text.to_owned())) }
    }
}

impl TryFrom<String> for PnetId {
    type Error = PnetIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PnetId> for String {
    fn from(id: PnetId) -> Self {
        id.0
    }
}

impl fmt::Display for PnetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mac_gives_the_erdma_controllers_id() {
        assert_eq!(PnetId::from_mac([0x00, 0x16, 0x3e, 0xab, 0xcd, 0x0f]).as_str(), "00163EABCD0F");
    }

    #[test]
    fn lower_case_is_folded_and_padding_dropped() {
        assert_eq!("net1  ".parse::<PnetId>().unwrap().as_str(), "NET1");
    }

    #[test]
    fn ids_the_kernel_refuses_are_refused() {
        for text in ["", " ", "A B", "NET_1", "NET-1", "ÄÖ", "ABCDEFGHIJKLMNOPQ"] {
            assert!(text.parse::<PnetId>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_idempotent(text in ".{0,20}") {
            if let Ok(id) = text.parse::<PnetId>() {
                prop_assert_eq!(id.as_str().parse::<PnetId>().unwrap(), id);
            }
        }
    }
}
