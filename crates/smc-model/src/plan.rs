//! What is to be done for one pod attachment.

use serde::{Deserialize, Serialize};

use crate::PnetId;

mod note;
mod step;

pub use note::Note;
pub use step::Step;

/// What to do for one pod attachment, in this order. Empty steps mean that everything is in place already.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Which RDMA port serves which interface.
    pub bindings: Vec<Binding>,
    /// The steps that change something.
    pub steps: Vec<Step>,
    /// What a person should know about the choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// An interface of the pod and the RDMA port that serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The pod's interface.
    pub interface: String,
    /// The RDMA device.
    pub device: String,
    /// The device's port, from 1.
    pub port: u8,
    /// The PNETID that ties them.
    pub pnetid: PnetId,
}

#[cfg(test)]
pub(crate) mod tests;
