//! Why offers of SMC are taken out of SYNs.

/// Why offers from a source are taken out; what was is counted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StripCause {
    /// An accelerated pod of this node.
    Pod,
    /// An address of this node's own, which stands for a pod's where something masquerades.
    Node,
    /// An address of another node's, which does where a connection comes by that one's node port.
    OtherNode,
    /// Acceleration is switched off, or this node's pods may have none.
    SwitchedOff,
    /// It is in none of the ranges that may speak SMC with the node's pods, or with this one.
    NotAllowed,
    /// A handshake with it timed out: something gave it that address, and it is a pod of this node.
    TimedOut,
}

impl StripCause {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pod, Self::Node, Self::OtherNode, Self::SwitchedOff, Self::NotAllowed, Self::TimedOut];
    /// Those that are there because one RDMA device cannot be on both ends of a connection.
    pub const SAME_NODE: [Self; 4] = [Self::Pod, Self::Node, Self::OtherNode, Self::TimedOut];

    /// The program's number of it, from 1.
    pub fn number(self) -> u32 {
        match self {
            Self::Pod => 1,
            Self::Node => 2,
            Self::OtherNode => 3,
            Self::SwitchedOff => 4,
            Self::NotAllowed => 5,
            Self::TimedOut => 6,
        }
    }

    /// One word for metrics and files.
    pub fn label(self) -> &'static str {
        match self {
            Self::Pod => "same-node",
            Self::Node => "own-node",
            Self::OtherNode => "other-node",
            Self::SwitchedOff => "switched-off",
            Self::NotAllowed => "not-allowed",
            Self::TimedOut => "timed-out",
        }
    }

    /// The one of this number.
    pub fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.number() == number)
    }
}
