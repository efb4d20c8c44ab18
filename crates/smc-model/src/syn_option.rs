//! How a kernel's SMC sockets offer SMC.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The TCP option in the SYN of an SMC socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SynOption {
    /// Its kind.
    pub kind: u8,
    /// What follows kind and length.
    pub data: Vec<u8>,
}

/// "SMCR" in EBCDIC (RFC 7609, section 3.1.1; `TCPOPT_SMC_MAGIC` of include/net/tcp.h).
const MAINLINES: [u8; 4] = [0xe2, 0xd4, 0xc3, 0xd9];

impl SynOption {
    /// Whether options of this kind are experiments' (RFC 4727), of which SMC's is one.
    pub fn is_experimental(kind: u8) -> bool {
        matches!(kind, 253 | 254)
    }

    /// Whether it is the option that mainline kernels send and understand.
    pub fn is_mainlines(&self) -> bool {
        self.kind == 254 && self.data == MAINLINES
    }
}

impl fmt::Display for SynOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TCP option {} with ", self.kind)?;
        self.data.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mainlines_option_is_told_from_others() {
        let mainlines = SynOption { kind: 254, data: MAINLINES.to_vec() };
        assert!(mainlines.is_mainlines());
        assert_eq!(mainlines.to_string(), "TCP option 254 with e2d4c3d9");
        for other in [SynOption { kind: 253, ..mainlines.clone() }, SynOption { kind: 254, data: vec![1, 2] }]
        {
            assert!(!other.is_mainlines(), "{other}");
        }
    }
}
