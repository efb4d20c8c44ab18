use std::{fmt, io};

use smc_abi::{DecodeError, KernelError};

/// A failed operation on the kernel: what was attempted, and what came back.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt}")]
pub struct HostError {
    /// What was attempted and on what, to follow "cannot".
    pub attempt: String,
    /// What came back.
    #[source]
    pub cause: Cause,
}

/// What came back from the kernel.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A netlink error, with the kernel's own sentence if it gave one.
    #[error("the kernel answered {0}")]
    Netlink(KernelError),
    /// A system call failed.
    #[error(transparent)]
    System(#[from] io::Error),
    /// The answer could not be understood.
    #[error("the kernel's answer could not be understood: {0}")]
    Answer(String),
    /// What was expected is not so.
    #[error("{0}")]
    Unexpected(String),
}

impl From<DecodeError> for Cause {
    fn from(error: DecodeError) -> Self {
        Self::Answer(error.to_string())
    }
}

impl From<nix::errno::Errno> for Cause {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::System(errno.into())
    }
}

impl HostError {
    /// An error with `cause` while attempting `attempt`.
    pub fn new(attempt: impl fmt::Display, cause: impl Into<Cause>) -> Self {
        Self { attempt: attempt.to_string(), cause: cause.into() }
    }

    /// For `map_err`: wraps a cause with what was attempted, which is put into words only then.
    pub(crate) fn at<C: Into<Cause>>(attempt: impl fmt::Display) -> impl FnOnce(C) -> Self {
        move |cause| Self::new(attempt, cause)
    }

    /// The error number, if the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match &self.cause {
            Cause::Netlink(error) => Some(error.errno),
            Cause::System(error) => error.raw_os_error(),
            Cause::Answer(_) | Cause::Unexpected(_) => None,
        }
    }

    /// Attempt and cause on one line.
    pub fn with_cause(&self) -> String {
        format!("{self}: {}", self.cause)
    }
}

/// Any error with all its causes, on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Turns a refusal with one of `errnos` into success: the thing is already as it should be.
pub(crate) fn tolerate(result: Result<(), HostError>, errnos: &[i32]) -> Result<(), HostError> {
    match result {
        Err(error) if error.errno().is_some_and(|errno| errnos.contains(&errno)) => Ok(()),
        other => other,
    }
}
