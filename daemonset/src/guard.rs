//! The same-node guard: pods of one node talk plain TCP to each other.
//!
//! SMC-R over a RoCE device between two pods of one node hangs for seconds and may even put bytes of the handshake into the
//! application's stream, because the RDMA packets to the node's own address do not arrive. Spoiling the SMC option (TCP
//! option 254) of the first packet makes such a connection plain TCP at once.
//!
//! The guard is one nftables table in the network namespace of the node: a set of this node's accelerated pods and one
//! rule. It hooks postrouting, which also sees a pod reaching its neighbour through an IPVS service address; datapaths
//! that go past the host's netfilter also go past the guard (see [`crate::terway`]). The option is overwritten, which nftables
//! can since 4.14, and not taken out, which it can since 5.18 only (net/netfilter/nft_exthdr.c): Alibaba's kernel is a 5.10.
//! Elements of the set are added and taken out by others, pod by pod.

mod listing;
mod nft;
mod script;

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

pub use nft::{Guard, GuardError};

/// Family and name of the table, as nft writes them.
pub const TABLE: &str = "inet kube-smc";
/// Name of the table within its family.
pub const TABLE_NAME: &str = "kube-smc";
/// The set of this node's accelerated pods' addresses, type `ipv4_addr`.
pub const SET_NAME: &str = "local_pods";
/// The chain with the rule.
pub const CHAIN_NAME: &str = smc_host::guard::CHAIN;

/// What the guard looks like on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardState {
    /// There is no such table.
    Absent,
    /// All is as it should be.
    Present {
        /// The pods in the set.
        pods: BTreeSet<Ipv4Addr>,
        /// Connection attempts between pods of this node that were kept plain TCP since the rule was made.
        guarded_connections: u64,
    },
    /// The table is there and not as it should be.
    Altered {
        /// What is wrong, at least one.
        deviations: Vec<Deviation>,
        /// The pods in the set, as far as it can be read.
        pods: BTreeSet<Ipv4Addr>,
    },
}

/// One thing that is wrong with the guard's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deviation {
    /// The table has flags, for example `dormant`, which switches it off.
    TableFlags,
    /// There is no set.
    SetMissing,
    /// The set has another type, flags, a timeout or a size limit.
    SetAltered,
    /// There is no chain.
    ChainMissing,
    /// The chain has another hook, priority, type or policy.
    ChainAltered,
    /// The chain does not hold the rule.
    RuleMissing,
    /// The chain holds other rules.
    ForeignRules,
}

impl Deviation {
    /// Whether the set can stay while this is repaired.
    fn leaves_set(self) -> bool {
        !matches!(self, Self::TableFlags | Self::SetAltered)
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TableFlags => "the table has flags",
            Self::SetMissing => "the set is missing",
            Self::SetAltered => "the set has other properties",
            Self::ChainMissing => "the chain is missing",
            Self::ChainAltered => "the chain has other properties",
            Self::RuleMissing => "the rule is missing or altered",
            Self::ForeignRules => "the chain holds other rules",
        })
    }
}

/// What [`Guard::ensure`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardChange {
    /// Nothing: all was right.
    Kept,
    /// Made the table, with an empty set.
    Created,
    /// Put right what was wrong, in one transaction; the pods in the set stayed.
    Repaired(Vec<Deviation>),
}
