//! Why a pod is not accelerated: what was seen, what it means, what to do.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::counts_beside_the_one_that_asks;
use crate::reasons::policy::{Converted, Failing, Lasts, Required};
use crate::reasons::{Entry, finding, refusal};
use crate::{PnetId, Ueid};

mod words;

/// Why an annotated pod, or some of its connections, are plain TCP.
///
/// `Display` tells what was seen, with its particulars; [`Reason::entry`] what follows from it and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason")]
pub enum Reason {
    /// The annotation is neither `true` nor `false`.
    AnnotationInvalid {
        /// Which, where it is not the one that asks for SMC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Its value.
        value: String,
    },
    /// The annotation is not there, but one whose key is nearly its own.
    AnnotationMisspelt {
        /// The key.
        key: String,
    },
    /// A mesh's rules would send the pod's sidecar to itself.
    MeshSidecar {
        /// The mesh.
        mesh: String,
    },
    /// Who may speak SMC with the pod cannot be read.
    InboundPeersInvalid {
        /// What the annotation says.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The pod has a bandwidth limit.
    BandwidthLimited {
        /// The annotation that has it.
        key: String,
    },
    /// The pod uses the host's network.
    HostNetworkPod,
    /// The pod's runtime gives it a kernel of its own.
    OwnKernel {
        /// The runtime's handler, and its type where the runtime tells it.
        runtime: String,
    },
    /// The operator switched the feature off.
    SwitchedOff {
        /// Who did, or what is missing.
        why: String,
    },
    /// There is no node.json.
    AgentNotReady {
        /// Where it was looked for.
        path: String,
    },
    /// This kernel's SMC has defects that the operator does not put up with.
    KernelDefects {
        /// Their names in the public records.
        names: Vec<String>,
    },
    /// node.json cannot be used.
    NodeFileUnusable {
        /// Its path.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The kernel has no SMC, or the module is not loaded.
    SmcNotAvailable {
        /// `uname -r`.
        kernel: String,
        /// What the agent found when it tried to load it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// The kernel cannot turn TCP sockets into SMC sockets.
    NoConversion {
        /// `uname -r`.
        kernel: String,
        /// What is missing.
        why: String,
    },
    /// No RDMA device that SMC can use.
    NoRdmaDevice,
    /// RDMA devices are bound to one network namespace each.
    RdmaNetnsExclusive,
    /// No user-defined enterprise id on the node.
    NoUeid,
    /// The same-node guard is not in place.
    SameNodeGuardMissing {
        /// What is missing.
        why: String,
    },
    /// Who may speak SMC with the pod was said, and offers of others cannot be taken out.
    PeerFilterMissing {
        /// What is missing.
        why: String,
    },
    /// The source anchor cannot be made.
    SourceAnchorMissing {
        /// What is missing.
        why: String,
    },
    /// No interface of the pod has a route and an IPv4 address.
    NoIpv4Route,
    /// The pod has more IPv4 addresses than [`crate::MAX_ADDRESSES`].
    TooManyAddresses {
        /// How many.
        count: usize,
    },
    /// No RDMA port over a network device in the pod's subnet.
    NoDeviceInSubnet {
        /// The pod's address.
        address: Ipv4Addr,
        /// The ports that there are, with their subnets, in words.
        ports: String,
    },
    /// The RDMA port that would serve the pod is not ACTIVE.
    RdmaPortDown {
        /// Device and port.
        port: String,
    },
    /// The RDMA port that would serve the pod bears no PNETID.
    PnetidMissing {
        /// Device and port.
        port: String,
    },
    /// The RDMA device that served the pod is gone; there are others.
    RdmaDeviceGone {
        /// The device.
        device: String,
    },
    /// Somebody else gave the RDMA port another PNETID than the pod was set up with.
    ForeignPnetid {
        /// Device and port.
        port: String,
        /// Its PNETID now.
        pnetid: PnetId,
        /// The one before.
        had: PnetId,
    },
    /// The pod's interface was given another PNETID than its RDMA port has.
    PnetidMismatch {
        /// The pod's interface.
        interface: String,
        /// Its PNETID.
        has: PnetId,
        /// Device and port that serve it, with the PNETID that they bear.
        port: String,
    },
    /// The pod's interface has lost its PNETID.
    PnetidLost {
        /// The pod's interface.
        interface: String,
        /// The PNETID that it had.
        pnetid: PnetId,
    },
    /// The pod's new sockets are not converted any more.
    ConversionLost,
    /// This node and the peer's have no enterprise id in common.
    UeidsDiffer {
        /// This node's.
        ueids: Vec<Ueid>,
    },
    /// The program connects from an IPv6 socket.
    Ipv6Socket,
    /// The RDMA device has hardly any queue pair left.
    QueuePairsLow {
        /// The device.
        device: String,
        /// How many are in use.
        used: u64,
        /// How many it has.
        max: u64,
    },
    /// The kernel refused a step; the steps before it were undone.
    StepFailed {
        /// The step, in words.
        step: String,
        /// What the kernel answered.
        error: String,
    },
    /// A step was accepted, but is not there when read back; everything was undone.
    ReadBackFailed {
        /// The steps that would still be needed, in words.
        missing: String,
    },
    /// The pod's namespace or the node could not be looked at.
    CannotObserve {
        /// What was attempted, with the kernel's answer.
        error: String,
    },
    /// The time for one ADD was used up.
    BudgetExceeded {
        /// What was being done.
        during: String,
    },
}

impl Reason {
    /// Its entry in the table of reasons.
    pub fn entry(&self) -> &'static Entry {
        match self {
            Self::AnnotationInvalid { .. } => &refusal::ANNOTATION_INVALID,
            Self::MeshSidecar { .. } => &refusal::MESH_SIDECAR,
            Self::AnnotationMisspelt { .. } => &refusal::ANNOTATION_MISSPELT,
            Self::InboundPeersInvalid { .. } => &refusal::INBOUND_PEERS_INVALID,
            Self::BandwidthLimited { .. } => &refusal::BANDWIDTH_LIMITED,
            Self::KernelDefects { .. } => &refusal::KERNEL_DEFECTS,
            Self::PeerFilterMissing { .. } => &refusal::PEER_FILTER_MISSING,
            Self::HostNetworkPod => &refusal::HOST_NETWORK_POD,
            Self::OwnKernel { .. } => &refusal::OWN_KERNEL,
            Self::SwitchedOff { .. } => &refusal::SWITCHED_OFF,
            Self::AgentNotReady { .. } => &refusal::AGENT_NOT_READY,
            Self::NodeFileUnusable { .. } => &refusal::NODE_FILE_UNUSABLE,
            Self::SmcNotAvailable { .. } => &refusal::SMC_NOT_AVAILABLE,
            Self::NoConversion { .. } => &refusal::NO_CONVERSION,
            Self::NoRdmaDevice => &refusal::NO_RDMA_DEVICE,
            Self::RdmaNetnsExclusive => &refusal::RDMA_NETNS_EXCLUSIVE,
            Self::NoUeid => &refusal::NO_UEID,
            Self::SameNodeGuardMissing { .. } => &refusal::SAME_NODE_GUARD_MISSING,
            Self::SourceAnchorMissing { .. } => &refusal::SOURCE_ANCHOR_MISSING,
            Self::NoIpv4Route => &refusal::NO_IPV4_ROUTE,
            Self::TooManyAddresses { .. } => &refusal::TOO_MANY_ADDRESSES,
            Self::NoDeviceInSubnet { .. } => &refusal::NO_DEVICE_IN_SUBNET,
            Self::RdmaPortDown { .. } => &refusal::RDMA_PORT_DOWN,
            Self::PnetidMissing { .. } => &refusal::PNETID_MISSING,
            Self::RdmaDeviceGone { .. } => &finding::RDMA_DEVICE_GONE,
            Self::ForeignPnetid { .. } => &finding::FOREIGN_PNETID,
            Self::PnetidMismatch { .. } => &finding::PNETID_MISMATCH,
            Self::PnetidLost { .. } => &finding::PNETID_LOST,
            Self::ConversionLost => &finding::CONVERSION_LOST,
            Self::UeidsDiffer { .. } => &finding::UEIDS_DIFFER,
            Self::Ipv6Socket => &finding::IPV6_SOCKET,
            Self::QueuePairsLow { .. } => &finding::QUEUE_PAIRS_LOW,
            Self::StepFailed { .. } => &refusal::STEP_FAILED,
            Self::ReadBackFailed { .. } => &refusal::READ_BACK_FAILED,
            Self::CannotObserve { .. } => &refusal::CANNOT_OBSERVE,
            Self::BudgetExceeded { .. } => &refusal::BUDGET_EXCEEDED,
        }
    }

    /// Whether it is only that the operator does not want it: nothing is wrong.
    pub fn is_switched_off(&self) -> bool {
        matches!(self, Self::SwitchedOff { .. })
    }

    /// See [`Lasts::ForTheMoment`].
    pub fn is_of_the_moment(&self) -> bool {
        self.entry().policy.lasts == Lasts::ForTheMoment
    }

    /// See [`Lasts::AsLongAsThePod`].
    pub fn lasts_as_long_as_the_pod(&self) -> bool {
        self.entry().policy.lasts == Lasts::AsLongAsThePod
    }

    /// Whether somebody should look.
    pub fn is_alarm(&self) -> bool {
        self.entry().policy.alarm
    }

    /// How a pod fails to start for which acceleration is required; `None` where it starts all the same.
    pub fn fails_required(&self) -> Option<Failing> {
        match (self.entry().policy.required, self) {
            (Required::Fails(failing), _) => Some(failing),
            (Required::ByTheKey, Self::AnnotationMisspelt { key })
                if counts_beside_the_one_that_asks(key) =>
            {
                Some(Failing::Refused)
            }
            (Required::ByTheKey | Required::Starts, _) => None,
        }
    }

    /// A stable name for logs, labels and queries.
    pub fn name(&self) -> &'static str {
        self.entry().name
    }

    /// What it means for the pod or node.
    pub fn meaning(&self) -> &'static str {
        self.entry().meaning
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        self.entry().remedy
    }

    /// See [`Converted::Ends`].
    pub fn ends_conversion(&self) -> bool {
        self.entry().policy.converted == Converted::Ends
    }
}

#[cfg(test)]
mod tests;
