//! What became of an annotated pod.

use serde::{Deserialize, Serialize};

use crate::{Listener, Reason};

/// What became of an annotated pod's attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything is in place and was read back: new TCP sockets of this pod offer SMC-R.
    Configured,
    /// Everything is in place, but programs of this pod listen on sockets that are older: what they accept stays TCP
    /// until they are restarted.
    NeedsRestart {
        /// The old sockets.
        listeners: Vec<Listener>,
    },
    /// The pod runs on plain TCP, for this reason.
    Refused {
        /// Why.
        reason: Reason,
    },
}

impl Verdict {
    /// A refusal.
    pub fn refused(reason: Reason) -> Self {
        Self::Refused { reason }
    }

    /// A stable name for labels and queries.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::NeedsRestart { .. } => "needs-restart",
            Self::Refused { .. } => "refused",
        }
    }

    /// Whether everything is in place for new sockets.
    pub fn is_set_up(&self) -> bool {
        matches!(self, Self::Configured | Self::NeedsRestart { .. })
    }

    /// The refusal's reason, if it is one.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Configured | Self::NeedsRestart { .. } => None,
            Self::Refused { reason } => Some(reason),
        }
    }
}
