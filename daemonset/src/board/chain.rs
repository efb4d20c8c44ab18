//! The plugin's entry in the node's CNI chain, as far as the runtime is concerned.

/// Whether the container runtime runs smc-cni for new pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// This agent does not look after the chain.
    Unmanaged,
    /// Nobody knows yet.
    Unknown,
    /// The runtime has loaded the entry.
    Loaded,
    /// It has not.
    NotLoaded {
        /// Why not, in words, with what to do.
        why: String,
    },
}

impl Chain {
    /// A stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unmanaged => "unmanaged",
            Self::Unknown => "unknown",
            Self::Loaded => "loaded",
            Self::NotLoaded { .. } => "not-loaded",
        }
    }
}
