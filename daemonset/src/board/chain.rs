//! The plugin's entry in the node's CNI chain, as far as the runtime is concerned.

use smc_surfaces::status::{self, ChainState};

use crate::chain::{Loaded, Status};

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
            Loaded::Untold if status.present.is_some() => Self::Untold,
            Loaded::Untold | Loaded::Unknown { .. } => match &status.problem {
                Some(problem) if status.present.is_none() => Self::NotLoaded { why: problem.message.clone() },
                _ => Self::Unknown,
            },
        }
    }
}

impl Chain {
    /// Its state, without why.
    pub fn state(&self) -> ChainState {
        match self {
            Self::Unmanaged => ChainState::Unmanaged,
            Self::Unknown => ChainState::Unknown,
            Self::Untold => ChainState::Untold,
            Self::Loaded => ChainState::Loaded,
            Self::NotLoaded { .. } => ChainState::NotLoaded,
        }
    }
}

impl From<&Chain> for status::Chain {
    fn from(chain: &Chain) -> Self {
        let why = match chain {
            Chain::NotLoaded { why } => Some(why.clone()),
            Chain::Unmanaged | Chain::Unknown | Chain::Untold | Chain::Loaded => None,
        };
        Self { state: chain.state(), why }
    }
}
