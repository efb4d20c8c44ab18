//! The plugin's entry in the node's CNI chain, as far as the runtime is concerned.

use crate::chain::{Loaded, RuntimeError, Status};

/// Whether the container runtime runs smc-cni for new pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// This agent does not look after the chain.
    Unmanaged,
    /// Nobody knows yet.
    Unknown,
    /// The entry stands in the files, and the runtime tells nobody what it made of them. CRI-O does not.
    Untold,
    /// The runtime has loaded the entry.
    Loaded,
    /// It has not.
    NotLoaded {
        /// Why not, in words, with what to do.
        why: String,
    },
}

impl From<&Status> for Chain {
    fn from(status: &Status) -> Self {
        match &status.runtime {
            Loaded::Yes => Self::Loaded,
            Loaded::No { why } => Self::NotLoaded { why: why.clone() },
            Loaded::Unknown { why }
                if status.present.is_some() && *why == RuntimeError::Silent.to_string() =>
            {
                Self::Untold
            }
            Loaded::Unknown { .. } => match &status.problem {
                Some(problem) if status.present.is_none() => Self::NotLoaded { why: problem.message.clone() },
                _ => Self::Unknown,
            },
        }
    }
}

impl Chain {
    /// A stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unmanaged => "unmanaged",
            Self::Unknown => "unknown",
            Self::Untold => "untold",
            Self::Loaded => "loaded",
            Self::NotLoaded { .. } => "not-loaded",
        }
    }
}
