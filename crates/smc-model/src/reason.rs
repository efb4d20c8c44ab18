//! Why a pod is not accelerated: what was seen, what it means, what to do.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::ANNOTATION;

/// Why an annotated pod runs on plain TCP.
///
/// `Display` tells what was seen; [`Reason::meaning`] what follows from it; [`Reason::remedy`] what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason")]
pub enum Reason {
    /// The annotation is neither `true` nor `false`.
    AnnotationInvalid {
        /// Its value.
        value: String,
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
    /// Pod traffic does not pass the host's netfilter.
    DatapathBypassesNetfilter {
        /// Terway's name of the datapath.
        datapath: String,
    },
    /// The same-node guard is not in place.
    SameNodeGuardMissing {
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
    /// Whether it is only that the operator does not want it: nothing is wrong.
    pub fn is_switched_off(&self) -> bool {
        matches!(self, Self::SwitchedOff { .. })
    }

    /// A stable name for logs, labels and queries.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AnnotationInvalid { .. } => "AnnotationInvalid",
            Self::SwitchedOff { .. } => "SwitchedOff",
            Self::AgentNotReady { .. } => "AgentNotReady",
            Self::NodeFileUnusable { .. } => "NodeFileUnusable",
            Self::SmcNotAvailable { .. } => "SmcNotAvailable",
            Self::NoConversion { .. } => "NoConversion",
            Self::NoRdmaDevice => "NoRdmaDevice",
            Self::RdmaNetnsExclusive => "RdmaNetnsExclusive",
            Self::NoUeid => "NoUeid",
            Self::DatapathBypassesNetfilter { .. } => "DatapathBypassesNetfilter",
            Self::SameNodeGuardMissing { .. } => "SameNodeGuardMissing",
            Self::SourceAnchorMissing { .. } => "SourceAnchorMissing",
            Self::NoIpv4Route => "NoIpv4Route",
            Self::NoDeviceInSubnet { .. } => "NoDeviceInSubnet",
            Self::RdmaPortDown { .. } => "RdmaPortDown",
            Self::PnetidMissing { .. } => "PnetidMissing",
            Self::StepFailed { .. } => "StepFailed",
            Self::ReadBackFailed { .. } => "ReadBackFailed",
            Self::CannotObserve { .. } => "CannotObserve",
            Self::BudgetExceeded { .. } => "BudgetExceeded",
        }
    }

    /// What it means for the pod or node.
    pub fn meaning(&self) -> &'static str {
        match self {
            Self::AnnotationInvalid { .. } => {
                "Kubernetes annotations are strings; kube-smc does not guess what was meant"
            }
            Self::SwitchedOff { .. } => {
                "new connections of annotated pods are TCP until it is switched on again; no pod needs a restart for that"
            }
            Self::AgentNotReady { .. } => "the agent has not prepared this node since it booted",
            Self::NodeFileUnusable { .. } => "what the agent published about this node cannot be trusted",
            Self::SmcNotAvailable { .. } => "this kernel cannot speak SMC, so all traffic stays TCP",
            Self::NoConversion { .. } => {
                "this kernel has no way to convert TCP sockets, so programs that open TCP sockets stay on TCP"
            }
            Self::NoRdmaDevice => "SMC-R needs an RDMA device; this node has none that SMC can use",
            Self::RdmaNetnsExclusive => {
                "RDMA devices in exclusive mode are invisible in pods, so every connection would fall back"
            }
            Self::NoUeid => {
                "SMC-R v2 peers must share an enterprise id (UEID); without one it is not even proposed"
            }
            Self::DatapathBypassesNetfilter { .. } => {
                "two accelerated pods on one node would stall and could corrupt their streams, and the guard against that would see no packet"
            }
            Self::SameNodeGuardMissing { .. } => {
                "without the guard two accelerated pods on one node would stall and could corrupt their streams"
            }
            Self::SourceAnchorMissing { .. } => "the kernel would find no RDMA device for the pod's address",
            Self::NoIpv4Route => {
                "SMC-R v2 works with IPv4 only, and the pod has no routed interface with an IPv4 address"
            }
            Self::NoDeviceInSubnet { .. } => {
                "SMC-R v2 takes an RDMA port only when its network device has an address in the pod's subnet"
            }
            Self::RdmaPortDown { .. } => "the kernel skips ports that are not ACTIVE",
            Self::PnetidMissing { .. } => "the pod's interface cannot be tied to the RDMA port",
            Self::StepFailed { .. } | Self::ReadBackFailed { .. } => {
                "nothing of the set-up was left behind; the pod runs on TCP"
            }
            Self::CannotObserve { .. } => "nothing was changed; the pod runs on TCP",
            Self::BudgetExceeded { .. } => {
                "a pod's start is never held up for long; what had been done was undone"
            }
        }
    }

    /// Whether a pod that is converted already must not stay so: without the guard, or half set up, its connections
    /// could stall or corrupt their streams, a switch is obeyed, and where nobody can tell what the pod wants it must not be guessed. For
    /// every other reason the kernel falls back to TCP by itself, connection by connection, and recovers by itself.
    pub fn ends_conversion(&self) -> bool {
        match self {
            Self::AnnotationInvalid { .. }
            | Self::SwitchedOff { .. }
            | Self::DatapathBypassesNetfilter { .. }
            | Self::SameNodeGuardMissing { .. }
            | Self::StepFailed { .. }
            | Self::ReadBackFailed { .. }
            | Self::BudgetExceeded { .. } => true,
            Self::AgentNotReady { .. }
            | Self::NodeFileUnusable { .. }
            | Self::SmcNotAvailable { .. }
            | Self::NoConversion { .. }
            | Self::NoRdmaDevice
            | Self::RdmaNetnsExclusive
            | Self::NoUeid
            | Self::SourceAnchorMissing { .. }
            | Self::NoIpv4Route
            | Self::NoDeviceInSubnet { .. }
            | Self::RdmaPortDown { .. }
            | Self::PnetidMissing { .. }
            | Self::CannotObserve { .. } => false,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::AnnotationInvalid { .. } => {
                "set the annotation to \"true\" or \"false\" and restart the pod"
            }
            Self::SwitchedOff { .. } => {
                "nothing, if that is what you want; else set smcEnabled: true under cniConfiguration of the ASMMeshConfig, or start smc-agent with --mesh enabled"
            }
            Self::AgentNotReady { .. } => {
                "see whether smc-agent runs on this node (kubectl logs) and restart the pod when it does"
            }
            Self::NodeFileUnusable { .. } => "restart smc-agent on this node, then the pod",
            Self::SmcNotAvailable { .. } => {
                "use a kernel with CONFIG_SMC (Alibaba Cloud Linux 3 with 5.10.134-17.3 or newer, or mainline 6.11 or newer; from 6.18 on it needs CONFIG_DIBS too)"
            }
            Self::NoConversion { .. } => {
                "use a kernel that has one: Alibaba Cloud Linux 3 with 5.10.134-17.3 or newer (net.smc.tcp2smc), or mainline 6.11 or newer with CONFIG_MPTCP, CONFIG_BPF_SYSCALL and CONFIG_DEBUG_INFO_BTF"
            }
            Self::NoRdmaDevice => {
                "attach an eRDMA interface (or a RoCE NIC) to the node and see that `rdma link` lists it"
            }
            Self::RdmaNetnsExclusive => {
                "boot the node with ib_core.netns_mode=1 (`rdma system set netns shared` works only while no other network namespace exists)"
            }
            Self::NoUeid => "restart smc-agent on this node; it adds the default one",
            Self::DatapathBypassesNetfilter { .. } => {
                "use Terway's veth datapath on this node, or a kernel with its own same-node path"
            }
            Self::SameNodeGuardMissing { .. } => {
                "see smc-agent's log on this node; it needs nftables and a kernel with `reset tcp option` (5.18 or newer)"
            }
            Self::SourceAnchorMissing { .. } => {
                "see smc-agent's log on this node; it makes the link kubesmc0"
            }
            Self::NoIpv4Route => "give the pod an IPv4 address",
            Self::NoDeviceInSubnet { .. } => {
                "give the RDMA network device an address in the pods' subnet, or run the pod on a node whose device has one"
            }
            Self::RdmaPortDown { .. } => "see `rdma link` and `ip link` on the node",
            Self::PnetidMissing { .. } => "restart smc-agent on this node; it gives every RDMA port a PNETID",
            Self::StepFailed { .. } | Self::ReadBackFailed { .. } | Self::CannotObserve { .. } => {
                "see the plugin's log under /var/log/kube-smc on the node, then restart the pod"
            }
            Self::BudgetExceeded { .. } => "see how loaded the node is, then restart the pod",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnnotationInvalid { value } => {
                write!(f, "the annotation {ANNOTATION} is {value:?}, which is neither \"true\" nor \"false\"")
            }
            Self::SwitchedOff { why } => write!(f, "acceleration is switched off: {why}"),
            Self::AgentNotReady { path } => write!(f, "{path} is not there"),
            Self::NodeFileUnusable { path, problem } => write!(f, "{path} cannot be used: {problem}"),
            Self::SmcNotAvailable { kernel } => write!(f, "kernel {kernel} has no SMC module loaded"),
            Self::NoConversion { kernel, why } => {
                write!(f, "kernel {kernel} has no way to convert TCP sockets to SMC: {why}")
            }
            Self::NoRdmaDevice => f.write_str("no RDMA device is known to SMC on this node"),
            Self::RdmaNetnsExclusive => {
                f.write_str("the RDMA subsystem is in exclusive network namespace mode")
            }
            Self::NoUeid => f.write_str("the node has no UEID"),
            Self::DatapathBypassesNetfilter { datapath } => {
                write!(
                    f,
                    "Terway's datapath {datapath} bypasses the host's netfilter, and this kernel speaks SMC-R v2"
                )
            }
            Self::SameNodeGuardMissing { why } => write!(f, "the same-node guard is not in place: {why}"),
            Self::SourceAnchorMissing { why } => write!(f, "the pod's address cannot be anchored: {why}"),
            Self::NoIpv4Route => f.write_str("the pod has no routed interface with an IPv4 address"),
            Self::NoDeviceInSubnet { address, ports } => {
                write!(f, "no RDMA port's network device is in the subnet of {address} (ports: {ports})")
            }
            Self::RdmaPortDown { port } => write!(f, "RDMA port {port} is not ACTIVE"),
            Self::PnetidMissing { port } => write!(f, "RDMA port {port} bears no PNETID"),
            Self::StepFailed { step, error } => write!(f, "{step}: {error}"),
            Self::ReadBackFailed { missing } => {
                write!(f, "the kernel took every step, but this did not hold: {missing}")
            }
            Self::CannotObserve { error } => f.write_str(error),
            Self::BudgetExceeded { during } => write!(f, "out of time while {during}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_keeps_its_name_in_json() {
        let reason = Reason::NoConversion { kernel: "6.1.0".into(), why: "no IPPROTO_SMC".into() };
        let json = serde_json::to_value(&reason).unwrap();
        assert_eq!(json["reason"], reason.name());
        assert_eq!(serde_json::from_value::<Reason>(json).unwrap(), reason);
    }

    #[test]
    fn what_could_corrupt_a_stream_ends_conversion_and_what_the_kernel_mends_does_not() {
        let why = String::new;
        for reason in [
            Reason::AnnotationInvalid { value: why() },
            Reason::SameNodeGuardMissing { why: why() },
            Reason::DatapathBypassesNetfilter { datapath: why() },
            Reason::StepFailed { step: why(), error: why() },
            Reason::ReadBackFailed { missing: why() },
        ] {
            assert!(reason.ends_conversion(), "{reason:?}");
        }
        let address = Ipv4Addr::new(10, 0, 0, 21);
        for reason in [
            Reason::RdmaPortDown { port: why() },
            Reason::NoDeviceInSubnet { address, ports: why() },
            Reason::NoRdmaDevice,
            Reason::NoUeid,
            Reason::AgentNotReady { path: why() },
            Reason::CannotObserve { error: why() },
        ] {
            assert!(!reason.ends_conversion(), "{reason:?}");
        }
    }

    #[test]
    fn a_kernel_without_conversion_is_told_which_kernels_have_it() {
        let reason = Reason::NoConversion { kernel: "6.1.0-50-amd64".into(), why: "x".into() };
        assert!(reason.to_string().contains("6.1.0-50-amd64"));
        assert!(reason.remedy().contains("5.10.134-17.3") && reason.remedy().contains("6.11"));
    }
}
