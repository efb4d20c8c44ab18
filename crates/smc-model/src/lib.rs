//! Vocabulary and decisions of kube-smc.
//!
//! Pure: no I/O, no clocks, no randomness. Facts about a node ([`NodeFacts`]) and a pod ([`PodFacts`]) go into
//! [`decide`]; a [`Plan`] or a [`Reason`] comes out. [`release`] is its counterpart for the end of a pod.
#![forbid(unsafe_code)]

mod annotation;
mod decide;
mod defects;
mod diagnose;
mod host_state;
mod ipv4_net;
mod judge;
mod kernel;
mod listener;
mod live;
mod netns;
mod node;
mod owned;
mod part;
mod peer_ranges;
mod plan;
mod pnetid;
mod pod;
mod reason;
pub mod reasons;
mod strip_cause;
mod syn_option;
pub mod terway;
mod traffic;
mod ueid;
mod verdict;

pub use annotation::{
    ANNOTATION, INBOUND_PEERS_ANNOTATION, KEEP_MPTCP_ANNOTATION, Particulars, UNLIMITED_ANNOTATION, Wish,
    counts_beside_the_one_that_asks, meant_by,
};
pub use decide::{decide, release};
pub use defects::{Defect, Defects, TABLE_DATE, defects};
pub use diagnose::{Known, QueuePairs, diagnose, lost, standing_cause};
pub use host_state::{Holding, HostState, Missing};
pub use ipv4_net::{Ipv4Net, Ipv4NetError};
pub use judge::{Counted, Elsewhere, Fallback, Judgement, PeersWithoutSmc, SmcPeers, failed_by_counters};
pub use kernel::{Kernel, KernelFamily, SmcTraits};
pub use listener::{Listener, Process, SmcListener, TcpListener, old_listeners};
pub use live::{Failure, Failures, LOOK_AGAIN, Live, LiveVerdict, Observation, live_name};
pub use netns::{NetnsCookie, NetnsId};
pub use node::{
    Anchor, Conversion, Datapath, Guard, Inbound, NodeFacts, RdmaNetdev, RdmaNetnsMode, RdmaPort, SmcModule,
    Switch,
};
pub use owned::{Owned, Release};
pub use peer_ranges::{
    MAX_ADDRESSES_WITH_RANGES, MAX_RANGES, MAX_RANGES_OF_A_POD, PeerRanges, PeerRangesError, PeerRules,
    nobody,
};
pub use plan::{Binding, Note, Plan, Step};
pub use pnetid::{PnetId, PnetIdError};
pub use pod::{AnchorState, InterfaceKind, MAX_ADDRESSES, PodConversion, PodFacts, PodInterface};
pub use reason::Reason;
pub use reasons::fallback_label;
pub use strip_cause::StripCause;
pub use syn_option::SynOption;
pub use traffic::{
    Connection, Connections, Counters, Growth, PEER_WITHOUT_SMC, PodTraffic, Side, SideCounters, TrafficPath,
    Transport,
};
pub use ueid::{Ueid, UeidError};
pub use verdict::Verdict;
