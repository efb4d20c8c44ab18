//! What was seen, in words, with its particulars.

use std::fmt;

use crate::{ANNOTATION, INBOUND_PEERS_ANNOTATION, MAX_ADDRESSES, Reason, Ueid, meant_by};

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnnotationInvalid { key, value } => {
                let key = key.as_deref().unwrap_or(ANNOTATION);
                write!(f, "the annotation {key} is {value:?}, which is neither \"true\" nor \"false\"")
            }
            Self::AnnotationMisspelt { key } => {
                write!(f, "the annotation is called {key:?}, not {:?}", meant_by(key).unwrap_or(ANNOTATION))
            }
            Self::MeshSidecar { mesh } => {
                write!(f, "the pod has a sidecar, whose own connections {mesh}'s rules would send back to it")
            }
            Self::InboundPeersInvalid { value, why } => {
                write!(f, "the annotation {INBOUND_PEERS_ANNOTATION} is {value:?}: {why}")
            }
            Self::KernelDefects { names } => {
                write!(f, "this kernel's SMC has defects that are not put up with: {}", names.join(", "))
            }
            Self::PeerFilterMissing { why } => {
                write!(f, "who may speak SMC with the pod cannot be enforced: {why}")
            }
            Self::BandwidthLimited { key } => {
                write!(f, "the annotation {key} limits its bandwidth, which RDMA would not keep to")
            }
            Self::OwnKernel { runtime } => write!(f, "its runtime, {runtime}, gives it a kernel of its own"),
            Self::SwitchedOff { why } => write!(f, "acceleration is switched off: {why}"),
            Self::AgentNotReady { path } => write!(f, "{path} is not there"),
            Self::NodeFileUnusable { path, problem } => write!(f, "{path} cannot be used: {problem}"),
            Self::SmcNotAvailable { kernel, why: None } => {
                write!(f, "kernel {kernel} has no SMC module loaded")
            }
            Self::SmcNotAvailable { kernel, why: Some(why) } => {
                write!(f, "kernel {kernel} has no SMC module loaded: {why}")
            }
            Self::NoConversion { kernel, why } => {
                write!(f, "kernel {kernel} has no way to convert TCP sockets to SMC: {why}")
            }
            Self::NoRdmaDevice
            | Self::RdmaNetnsExclusive
            | Self::NoUeid
            | Self::NoIpv4Route
            | Self::HostNetworkPod
            | Self::ConversionLost
            | Self::Ipv6Socket => f.write_str(self.entry().seen),
            Self::SameNodeGuardMissing { why } => write!(f, "the same-node guard is not in place: {why}"),
            Self::SourceAnchorMissing { why } => write!(f, "the pod's address cannot be anchored: {why}"),
            Self::TooManyAddresses { count } => {
                write!(
                    f,
                    "the pod has {count} addresses of one family, or interfaces: more than {MAX_ADDRESSES}"
                )
            }
            Self::NoDeviceInSubnet { address, ports } => {
                write!(f, "no RDMA port's network device is in the subnet of {address} (ports: {ports})")
            }
            Self::RdmaPortDown { port } => write!(f, "RDMA port {port} is not ACTIVE"),
            Self::PnetidMissing { port } => write!(f, "RDMA port {port} bears no PNETID"),
            Self::RdmaDeviceGone { device } => write!(f, "RDMA device {device} is gone"),
            Self::ForeignPnetid { port, pnetid, had } => {
                write!(f, "RDMA port {port} was given the PNETID {pnetid} instead of {had}")
            }
            Self::PnetidMismatch { interface, has, port } => {
                write!(f, "{interface} bears PNETID {has}, and RDMA port {port}")
            }
            Self::PnetidLost { interface, pnetid } => write!(f, "{interface} has lost PNETID {pnetid}"),
            Self::UeidsDiffer { ueids } => {
                let own: Vec<&str> = ueids.iter().map(Ueid::as_str).collect();
                write!(f, "the peer's node has no UEID of this one's ({})", own.join(", "))
            }
            Self::QueuePairsLow { device, used, max } => {
                write!(f, "{used} of {max} queue pairs of RDMA device {device} are in use")
            }
            Self::StepFailed { step, error } => write!(f, "{step}: {error}"),
            Self::ReadBackFailed { missing } => {
                write!(f, "the kernel took every step, but this did not hold: {missing}")
            }
            Self::CannotObserve { error } => f.write_str(error),
            Self::BudgetExceeded { during } => write!(f, "out of time while {during}"),
        }
    }
}
