//! Netlink attributes: type, length, value, padded to 4 bytes (`struct nlattr`, uapi/linux/netlink.h).

use crate::DecodeError;
use crate::bytes::{aligned, array, text, u16_at};

/// Set in the type of an attribute whose payload is attributes again.
pub const NLA_F_NESTED: u16 = 0x8000;
/// The bits of the type field that are the type; the two above are flags.
pub const NLA_TYPE_MASK: u16 = 0x3fff;

/// Bytes of `struct nlattr`.
const HEADER: usize = 4;

/// One attribute of a message; it borrows from the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Type without the flag bits.
    pub kind: u16,
    /// Payload without header and padding.
    pub payload: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The payload as one byte. Longer payloads are an error, as for all numbers.
    pub fn u8(&self, what: &'static str) -> Result<u8, DecodeError> {
        self.exactly(what).map(|[byte]| byte)
    }

    /// The payload as a 16-bit number in host order.
    pub fn u16(&self, what: &'static str) -> Result<u16, DecodeError> {
        self.exactly(what).map(u16::from_ne_bytes)
    }

    /// The payload as a 32-bit number in host order.
    pub fn u32(&self, what: &'static str) -> Result<u32, DecodeError> {
        self.exactly(what).map(u32::from_ne_bytes)
    }

    /// The payload as a 64-bit number in host order.
    pub fn u64(&self, what: &'static str) -> Result<u64, DecodeError> {
        self.exactly(what).map(u64::from_ne_bytes)
    }

    /// The payload as netlink's `uint`: 32 or 64 bits, told apart by the length (`nla_put_uint`).
    pub fn uint(&self, what: &'static str) -> Result<u64, DecodeError> {
        if self.payload.len() == 4 { self.u32(what).map(u64::from) } else { self.u64(what) }
    }

    /// The payload as text up to the first NUL; a missing NUL is tolerated.
    pub fn string(&self, what: &'static str) -> Result<&'a str, DecodeError> {
        text(self.payload, what)
    }

    /// The payload as attributes.
    pub fn nested(&self) -> Attributes<'a> {
        attributes(self.payload)
    }

    fn exactly<const N: usize>(&self, what: &'static str) -> Result<[u8; N], DecodeError> {
        if self.payload.len() > N {
            return Err(DecodeError::BadLength { what, length: self.payload.len() });
        }
        array(self.payload, 0, what)
    }
}

/// The attributes in `bytes`, in order.
pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { rest: bytes }
}

/// Iterator of [`attributes`]. It ends after the first error.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.rest);
        if bytes.len() < HEADER {
            // Padding after the last attribute, no attribute at all.
            let padding = bytes.iter().all(|&byte| byte == 0);
            return (!padding).then_some(Err(DecodeError::Truncated {
                what: "nlattr",
                need: HEADER,
                have: bytes.len(),
            }));
        }
        let (length, kind) = match (u16_at(bytes, 0, "nla_len"), u16_at(bytes, 2, "nla_type")) {
            (Ok(length), Ok(kind)) => (usize::from(length), kind & NLA_TYPE_MASK),
            (Err(error), _) | (_, Err(error)) => return Some(Err(error)),
        };
        if length < HEADER {
            return Some(Err(DecodeError::BadLength { what: "nla_len", length }));
        }
        let Some(payload) = bytes.get(HEADER..length) else {
            return Some(Err(DecodeError::Truncated { what: "nlattr", need: length, have: bytes.len() }));
        };
        self.rest = bytes.get(aligned(length)..).unwrap_or_default();
        Some(Ok(Attribute { kind, payload }))
    }
}

/// Builds a message body from a fixed header and attributes.
///
/// A payload that does not fit an attribute (more than 65,531 bytes) is cut there: every kernel policy used
/// here refuses such lengths, so a wrong name is never acted on in part. Text is sent as it is: an interior
/// NUL ends it for the kernel, so callers pass checked names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttributeWriter {
    bytes: Vec<u8>,
}

impl AttributeWriter {
    /// Starts with `header`, the family's fixed header (may be empty).
    pub fn new(header: &[u8]) -> Self {
        let mut bytes = header.to_vec();
        bytes.resize(aligned(bytes.len()), 0);
        Self { bytes }
    }

    /// Appends an attribute with these payload bytes.
    #[must_use]
    pub fn bytes(mut self, kind: u16, payload: &[u8]) -> Self {
        let room = usize::from(u16::MAX) - HEADER;
        let payload = payload.get(..room).unwrap_or(payload);
        let length = u16::try_from(HEADER + payload.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self
    }

    /// Appends one byte.
    #[must_use]
    pub fn u8(self, kind: u16, value: u8) -> Self {
        self.bytes(kind, &[value])
    }

    /// Appends a 32-bit number in host order.
    #[must_use]
    pub fn u32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a 64-bit number in host order.
    #[must_use]
    pub fn u64(self, kind: u16, value: u64) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends text and its terminating NUL.
    #[must_use]
    pub fn string(self, kind: u16, value: &str) -> Self {
        let mut payload = value.as_bytes().to_vec();
        payload.push(0);
        self.bytes(kind, &payload)
    }

    /// Appends attributes as the payload of one attribute.
    #[must_use]
    pub fn nested(self, kind: u16, inner: &Self) -> Self {
        self.bytes(kind | NLA_F_NESTED, &inner.bytes)
    }

    /// The finished body.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
