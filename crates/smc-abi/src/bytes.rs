//! Fixed-offset reads from kernel structures.

use crate::DecodeError;

/// The `N` bytes at `offset` of `bytes`.
pub(crate) fn array<const N: usize>(
    bytes: &[u8],
    offset: usize,
    what: &'static str,
) -> Result<[u8; N], DecodeError> {
    bytes.get(offset..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(DecodeError::Truncated {
        what,
        need: offset.saturating_add(N),
        have: bytes.len(),
    })
}

pub(crate) fn u8_at(bytes: &[u8], offset: usize, what: &'static str) -> Result<u8, DecodeError> {
    array::<1>(bytes, offset, what).map(|[byte]| byte)
}

pub(crate) fn u16_at(bytes: &[u8], offset: usize, what: &'static str) -> Result<u16, DecodeError> {
    array(bytes, offset, what).map(u16::from_ne_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize, what: &'static str) -> Result<u32, DecodeError> {
    array(bytes, offset, what).map(u32::from_ne_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize, what: &'static str) -> Result<u64, DecodeError> {
    array(bytes, offset, what).map(u64::from_ne_bytes)
}

pub(crate) fn i32_at(bytes: &[u8], offset: usize, what: &'static str) -> Result<i32, DecodeError> {
    array(bytes, offset, what).map(i32::from_ne_bytes)
}

/// The text before the first NUL, or all of it.
pub(crate) fn text<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a str, DecodeError> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    str::from_utf8(&bytes[..end]).map_err(|_| DecodeError::NotUtf8 { what })
}

/// `length` rounded up to netlink's 4-byte alignment (`NLMSG_ALIGN`, `NLA_ALIGN`).
pub(crate) fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}
