//! What a person should know about a plan.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::PnetId;

/// Something about a plan that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub enum Note {
    /// Somebody else converts this pod's sockets; that was left as it is.
    ConversionAdopted,
    /// The pod is refused now, but was converted before and stays so: its new sockets still offer SMC, and the kernel
    /// falls back to TCP, connection by connection.
    ConversionKept,
    /// The pod is refused now and was converted before; ending that failed, so its new sockets still offer SMC.
    ConversionNotEnded {
        /// What was attempted, with the kernel's answer.
        error: String,
    },
    /// Whether programs of this running pod listen on sockets older than the conversion could not be found out.
    ListenersUnknown {
        /// What was attempted, with the kernel's answer.
        error: String,
    },
    /// The guard's program could not be attached, on a node that needs none: whoever reaches the pod may speak SMC with it, and what
    /// the agent switches off later stays as it is.
    NotFiltered {
        /// What was attempted, with the kernel's answer.
        error: String,
    },
    /// The pod's bandwidth limit does not hold for SMC-R, and its owner takes it so.
    NotLimited {
        /// The annotation that has the limit.
        key: String,
    },
    /// A PNETID that no usable RDMA port bears was on the pod's interface and is replaced.
    StalePnetidReplaced {
        /// The pod's interface.
        interface: String,
        /// The id that was there.
        stale: PnetId,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConversionAdopted => {
                f.write_str("the pod's sockets were converted already, not by kube-smc; left as it is")
            }
            Self::ConversionKept => f.write_str(
                "the pod was converted before and stays so; its connections fall back to TCP by themselves",
            ),
            Self::ConversionNotEnded { error } => {
                write!(f, "the pod was converted before, and that could not be ended: {error}")
            }
            Self::ListenersUnknown { error } => {
                write!(
                    f,
                    "whether a program listens on an older socket, which stays TCP, is not known: {error}"
                )
            }
            Self::NotFiltered { error } => {
                write!(
                    f,
                    "whoever reaches the pod may speak SMC with it, since no program could be attached: {error}"
                )
            }
            Self::NotLimited { key } => {
                write!(f, "its limit, {key}, does not hold for SMC-R, as its owner wants it")
            }
            Self::StalePnetidReplaced { interface, stale } => {
                write!(
                    f,
                    "{interface} had PNETID {stale}, which no usable RDMA port bears; replaced in the pod's namespace"
                )
            }
        }
    }
}
