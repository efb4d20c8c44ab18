//! What an API server's refusal means, in words and for who asks again.

use kube::core::Status;
use kube::core::response::StatusDetails;

use super::{ConnectError, SERVER_TEXT_BYTES};
use crate::surfaces::kubernetes::shortened;

/// What is wrong with a server, as far as it decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing answered, or not what an API server answers: wait and try again.
    Unreachable,
    /// The credentials are not, or no longer, good: read them anew.
    Unauthenticated,
    /// The rights are missing.
    Forbidden,
    /// The namespace is being deleted.
    Terminating,
    /// There is no such object.
    NotFound,
    /// The server does not know the resource.
    NoResource,
    /// There is one of this name already.
    AlreadyExists,
    /// The object was changed since it was read.
    Conflict,
    /// The request itself is refused.
    Invalid,
    /// The history that a watch wanted is gone: list again. No fault of anybody.
    Expired,
}

/// Reads a failed call's error.
pub fn fault(error: &kube::Error) -> Fault {
    match error {
        kube::Error::Api(status) => fault_of(status),
        kube::Error::Auth(_) => Fault::Unauthenticated,
        kube::Error::BuildRequest(_) => Fault::Invalid,
        _ => Fault::Unreachable,
    }
}

/// Reads a server's refusal.
pub fn fault_of(status: &Status) -> Fault {
    let terminating =
        |details: &StatusDetails| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating");
    match status.code {
        401 => Fault::Unauthenticated,
        403 if status.details.as_ref().is_some_and(terminating) => Fault::Terminating,
        403 => Fault::Forbidden,
        // Only an API server's own words count: a page of some proxy says nothing about what is in the cluster.
        404 if status.message.starts_with("404 page not found") => Fault::NoResource,
        404 if status.reason == "NotFound" => {
            // An object's name stands in the details; without one the path itself is unknown.
            let named = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
            if named { Fault::NotFound } else { Fault::NoResource }
        }
        409 if status.is_already_exists() => Fault::AlreadyExists,
        409 if status.reason == "Conflict" => Fault::Conflict,
        410 => Fault::Expired,
        400 | 405 | 413 | 415 | 422 => Fault::Invalid,
        _ => Fault::Unreachable,
    }
}

/// An error on one line, with what to do where that is clear.
pub fn explain(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return explain_status(status);
    }
    // The last cause tells; the words of what is around it add nothing.
    let mut last: &dyn std::error::Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    one_line(&last.to_string())
}

/// A server's refusal on one line.
pub fn explain_status(status: &Status) -> String {
    let hint = match fault_of(status) {
        Fault::Unauthenticated => "; the credentials are not, or no longer, accepted and are read anew",
        Fault::Forbidden => {
            "; the rights that this takes are in daemonset/manifests: base/rbac.yaml, overlays/ack-asm/rights.yaml for \
             ASM's switch, components/startup-taint/rights.yaml, uninstall/rbac.yaml"
        }
        _ => "",
    };
    format!("the server answered {}: {}{hint}", status.code, one_line(&status.message))
}

/// An error with its causes on one line.
pub fn explain_connect(error: &ConnectError) -> String {
    one_line(&smc_host::with_causes(error))
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    shortened(&words.join(" "), SERVER_TEXT_BYTES)
}
