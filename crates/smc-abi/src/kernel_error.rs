//! Errors as the kernel reports them over netlink, with its own words when it gives any.

use std::fmt;

use crate::attribute::attributes;

const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;

/// A refusal by the kernel (`struct nlmsgerr` and its extended acknowledgement).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelError {
    /// The error number, positive.
    pub errno: i32,
    /// The kernel's own sentence, when it gave one.
    pub message: Option<String>,
    /// Where in the request the offending bytes start, counted from its header.
    pub offset: Option<u32>,
}

impl KernelError {
    /// `extended` are the attributes of the extended acknowledgement. They are an extra: when they are
    /// malformed, the error number must not be lost, so what cannot be read is left out.
    pub(crate) fn new(errno: i32, extended: &[u8]) -> Self {
        let mut error = Self { errno, message: None, offset: None };
        for attribute in attributes(extended).map_while(Result::ok) {
            match attribute.kind {
                NLMSGERR_ATTR_MSG => error.message = attribute.string("msg").ok().map(str::to_owned),
                NLMSGERR_ATTR_OFFS => error.offset = attribute.u32("offs").ok(),
                _ => {}
            }
        }
        error
    }

    /// The errno's symbol, such as `EEXIST`, for those netlink families commonly answer with.
    pub fn name(&self) -> Option<&'static str> {
        ERRNO_NAMES.iter().find(|(errno, _)| *errno == self.errno).map(|(_, name)| *name)
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(formatter, "{name} ({})", self.errno)?,
            None => write!(formatter, "errno {}", self.errno)?,
        }
        match &self.message {
            Some(message) => write!(formatter, ": {message}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for KernelError {}

/// Numbers of asm-generic/errno-base.h and errno.h, the same on x86-64 and arm64.
const ERRNO_NAMES: [(i32, &str); 33] = [
    (1, "EPERM"),
    (2, "ENOENT"),
    (4, "EINTR"),
    (5, "EIO"),
    (6, "ENXIO"),
    (7, "E2BIG"),
    (9, "EBADF"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (14, "EFAULT"),
    (16, "EBUSY"),
    (17, "EEXIST"),
    (19, "ENODEV"),
    (22, "EINVAL"),
    (23, "ENFILE"),
    (28, "ENOSPC"),
    (34, "ERANGE"),
    (71, "EPROTO"),
    (75, "EOVERFLOW"),
    (90, "EMSGSIZE"),
    (93, "EPROTONOSUPPORT"),
    (95, "EOPNOTSUPP"),
    (97, "EAFNOSUPPORT"),
    (98, "EADDRINUSE"),
    (99, "EADDRNOTAVAIL"),
    (100, "ENETDOWN"),
    (101, "ENETUNREACH"),
    (105, "ENOBUFS"),
    (107, "ENOTCONN"),
    (110, "ETIMEDOUT"),
    (111, "ECONNREFUSED"),
    (113, "EHOSTUNREACH"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_name_number_and_the_kernels_sentence() {
        let mut error = KernelError { errno: 17, message: Some("File exists".into()), offset: None };
        assert_eq!(error.to_string(), "EEXIST (17): File exists");
        error.message = None;
        assert_eq!(error.to_string(), "EEXIST (17)");
    }

    #[test]
    fn an_unnamed_number_is_shown_as_such() {
        let error = KernelError::new(517, &[]);
        assert_eq!((error.to_string().as_str(), error.name()), ("errno 517", None));
    }
}
