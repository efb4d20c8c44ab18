//! What can be done to a node, each thing by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use smc_model::{Inbound, PnetId, RdmaPort, StripCause, SynOption, Ueid};

/// One change of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Load the smc module, by the kernel's own autoload.
    LoadSmc,
    /// Load `smc_diag`, without which only the lists of connections are missing.
    LoadSmcDiag,
    /// Attach this build's program that converts TCP sockets, in place of another build's.
    AttachConversion {
        /// The number of IPPROTO_SMC on this kernel.
        protocol: u16,
    },
    /// Make the link that carries source anchors.
    MakeAnchorLink,
    /// Bring it down again, and drop the routes by which the host takes addresses on it for its own.
    KeepAnchorDown {
        /// Its index.
        index: u32,
        /// Whether it is up.
        up: bool,
        /// The addresses of those routes.
        local: BTreeSet<Ipv4Addr>,
    },
    /// Pin this build's guard, in place of another build's.
    LoadGuard {
        /// What SYNs of this kernel offer SMC by.
        offer: SynOption,
    },
    /// Have these causes count for nothing, and all others for what they are.
    SpareCauses(BTreeSet<StripCause>),
    /// Have these be the peers that may speak SMC with the node's pods.
    LetIn(Inbound),
    /// Have SMC's offer taken out of SYNs from these addresses, and from those no more.
    StripSources {
        /// These, each with why.
        add: BTreeMap<IpAddr, StripCause>,
        /// Those, each with why it was.
        remove: BTreeMap<IpAddr, StripCause>,
    },
    /// Give an RDMA port its PNETID.
    NamePort {
        /// The port as it was.
        port: RdmaPort,
        /// The id.
        pnetid: PnetId,
    },
    /// Add an enterprise id.
    AddUeid(Ueid),
}

impl Step {
    /// What is attempted, for an error.
    pub(super) fn attempt(&self) -> &'static str {
        match self {
            Self::LoadSmc => "load the smc module",
            Self::LoadSmcDiag => "load the module smc_diag",
            Self::AttachConversion { .. } => "have TCP sockets converted",
            Self::MakeAnchorLink => "make the anchor link",
            Self::KeepAnchorDown { .. } => "keep the anchor link down",
            Self::LoadGuard { .. } => "load the same-node guard",
            Self::SpareCauses(_) | Self::LetIn(_) => "say who may speak SMC with this node's pods",
            Self::StripSources { .. } => "have SMC's offer taken out of SYNs from nodes' addresses",
            Self::NamePort { .. } => "bind RDMA ports",
            Self::AddUeid(_) => "add UEIDs",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoadSmc => f.write_str("load the kernel module smc"),
            Self::LoadSmcDiag => f.write_str("load the kernel module smc_diag"),
            Self::AttachConversion { protocol } => write!(
                f,
                "attach the BPF program that converts TCP sockets of annotated pods (IPPROTO_SMC {protocol})"
            ),
            Self::MakeAnchorLink => f.write_str("make the dummy link kubesmc0, which stays down"),
            Self::KeepAnchorDown { up, local, .. } => {
                let routes = match local.len() {
                    1 => "1 local route".to_owned(),
                    more => format!("{more} local routes"),
                };
                match (*up, local.is_empty()) {
                    (true, true) => f.write_str("bring the link kubesmc0 down"),
                    (true, false) => write!(f, "bring the link kubesmc0 down and drop {routes} through it"),
                    (false, _) => write!(f, "drop {routes} through the link kubesmc0"),
                }
            }
            Self::LoadGuard { offer } => {
                write!(f, "pin the BPF program of the same-node guard, for {offer}")
            }
            Self::SpareCauses(causes) if causes.is_empty() => {
                f.write_str("have the guard act on every cause")
            }
            Self::SpareCauses(causes) => {
                let labels: Vec<_> = causes.iter().map(|why| why.label()).collect();
                write!(f, "let the guard ignore these causes: {}", labels.join(", "))
            }
            Self::LetIn(Inbound::Any) => f.write_str("let everybody speak SMC with this node's pods"),
            Self::LetIn(Inbound::Only(ranges)) => {
                write!(f, "let only {ranges} speak SMC with this node's pods")
            }
            Self::LetIn(Inbound::Nobody { why }) => {
                write!(f, "let nobody speak SMC with this node's pods: {why}")
            }
            Self::StripSources { add, remove } => {
                let list = |of: &BTreeMap<IpAddr, StripCause>| {
                    let texts: Vec<_> = of.keys().map(IpAddr::to_string).collect();
                    texts.join(", ")
                };
                let (added, removed) = (list(add), list(remove));
                match (added.as_str(), removed.as_str()) {
                    (added, "") => write!(f, "take SMC's offer out of SYNs from {added}"),
                    ("", removed) => write!(f, "stop removing SMC's offer from SYNs from {removed}"),
                    (added, removed) => {
                        write!(f, "take SMC's offer out of SYNs from {added}, and no more from {removed}")
                    }
                }
            }
            Self::NamePort { port, pnetid } => match &port.pnetid {
                None => write!(f, "give RDMA port {port} the PNETID {pnetid}"),
                Some(had) => write!(
                    f,
                    "give RDMA port {port} the PNETID {pnetid}, by which Terway's pods look for it, instead of {had}"
                ),
            },
            Self::AddUeid(ueid) => write!(f, "add the UEID {ueid}"),
        }
    }
}
