//! What can be wrong with bytes that should have been a kernel message.

/// Why bytes could not be decoded. `what` names the field or structure as the kernel's headers do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the structure needs.
    #[error("{what}: {have} bytes, {need} needed")]
    Truncated {
        /// The structure or field being decoded.
        what: &'static str,
        /// Bytes needed, counted from the structure's start.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// A length field, or a payload's length, that cannot be right.
    #[error("{what}: impossible length {length}")]
    BadLength {
        /// The structure or field being decoded.
        what: &'static str,
        /// The length found.
        length: usize,
    },
    /// A string that is not UTF-8.
    #[error("{what}: not UTF-8")]
    NotUtf8 {
        /// The field being decoded.
        what: &'static str,
    },
    /// A field without which the message says nothing.
    #[error("{what}: missing")]
    Missing {
        /// The field that should have been there.
        what: &'static str,
    },
    /// A number outside the field's set of values.
    #[error("{what}: unexpected value {value}")]
    BadValue {
        /// The field being decoded.
        what: &'static str,
        /// The value found.
        value: i64,
    },
}
