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
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Attribute<'_>>, DecodeError> {
        attributes(bytes).collect()
    }

    fn only(bytes: &[u8]) -> Attribute<'_> {
        all(bytes).unwrap()[0]
    }

    #[test]
    fn what_is_written_is_read_again() {
        let inner = AttributeWriter::default().u8(1, 7).u64(2, u64::MAX);
        let written = AttributeWriter::new(&[9; 3])
            .string(3, "eth0")
            .u32(4, 5)
            .nested(5, &inner)
            .bytes(6, &[])
            .finish();
        let (header, rest) = written.split_at(4);
        assert_eq!(header, [9, 9, 9, 0]);
        let read = all(rest).unwrap();
        assert_eq!(read.iter().map(|attribute| attribute.kind).collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!((read[0].string("s"), read[1].u32("n")), (Ok("eth0"), Ok(5)));
        let nested: Vec<_> = read[2].nested().map(Result::unwrap).collect();
        assert_eq!((nested[0].u8("a"), nested[1].u64("b")), (Ok(7), Ok(u64::MAX)));
        assert_eq!(read[3].payload, []);
    }

    #[test]
    fn flags_of_the_type_are_masked() {
        let written = AttributeWriter::default().bytes(0xc000 | 5, &[1]).finish();
        assert_eq!(only(&written).kind, 5);
    }

    #[test]
    fn missing_and_surplus_padding_at_the_end_are_tolerated() {
        let written = AttributeWriter::default().u8(1, 2).finish();
        assert_eq!(all(&written[..5]).unwrap().len(), 1);
        let padded = [written.as_slice(), &[0; 3]].concat();
        assert_eq!(all(&padded).unwrap().len(), 1);
    }

    #[test]
    fn a_truncated_attribute_is_an_error() {
        let written = AttributeWriter::default().u32(1, 2).finish();
        let expected = DecodeError::Truncated { what: "nlattr", need: 8, have: 7 };
        assert_eq!(all(&written[..7]), Err(expected));
        assert_eq!(all(&[1, 2]), Err(DecodeError::Truncated { what: "nlattr", need: 4, have: 2 }));
    }

    #[test]
    fn a_length_shorter_than_the_header_is_an_error_and_ends_the_list() {
        let mut list = attributes(&[3, 0, 1, 0, 5, 0, 1, 0, 9, 0, 0, 0]);
        assert_eq!(list.next(), Some(Err(DecodeError::BadLength { what: "nla_len", length: 3 })));
        assert_eq!(list.next(), None);
    }

    #[test]
    fn numbers_of_another_width_are_errors() {
        let written = AttributeWriter::default().u32(1, 2).finish();
        let attribute = only(&written);
        assert_eq!(attribute.u16("n"), Err(DecodeError::BadLength { what: "n", length: 4 }));
        assert_eq!(attribute.u64("n"), Err(DecodeError::Truncated { what: "n", need: 8, have: 4 }));
    }

    #[test]
    fn a_uint_is_four_or_eight_bytes() {
        let written = AttributeWriter::default().u32(1, 5).u64(1, 6).u8(1, 7).finish();
        let read: Vec<_> = all(&written).unwrap().iter().map(|attribute| attribute.uint("n").ok()).collect();
        assert_eq!(read, [Some(5), Some(6), None]);
    }

    #[test]
    fn a_string_ends_at_its_first_nul_and_must_be_utf8() {
        let written =
            AttributeWriter::default().bytes(1, b"ab\0c").bytes(1, b"ab").bytes(1, &[0xff]).finish();
        let read: Vec<_> = all(&written).unwrap().iter().map(|attribute| attribute.string("s")).collect();
        assert_eq!(read, [Ok("ab"), Ok("ab"), Err(DecodeError::NotUtf8 { what: "s" })]);
    }

    #[test]
    fn a_payload_that_does_not_fit_is_cut_and_what_follows_stays_readable() {
        let written = AttributeWriter::default().bytes(1, &vec![7; 70_000]).u8(2, 3).finish();
        let read = all(&written).unwrap();
        assert_eq!((read[0].payload.len(), read[1].u8("n")), (65_531, Ok(3)));
    }
}
