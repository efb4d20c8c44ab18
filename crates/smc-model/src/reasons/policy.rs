//! What follows from a reason for who acts on it. Written where the reason is written, so that none is forgotten.

/// What plugin and agent do about a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What becomes of a pod that is converted when it is refused for this.
    pub converted: Converted,
    /// How long it holds.
    pub lasts: Lasts,
    /// Whether a pod may start for which acceleration is required.
    pub required: Required,
    /// Whether somebody should look: a Warning, not a mere Event.
    pub alarm: bool,
}

/// What becomes of a conversion; `refuse_converted` in `smc-attach` carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Converted {
    /// It stays: the kernel falls back to TCP by itself, connection by connection, and recovers by itself.
    Stays,
    /// It ends: without the guard, or half set up, connections could stall or corrupt their streams, a switch is obeyed, and where
    /// nobody can tell what the pod wants it must not be guessed.
    Ends,
}

/// How long a reason holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// An attempt failed, and not the pod or its node: another one at once may go well.
    ForTheMoment,
    /// Until something changes at the node.
    UntilMended,
    /// A living pod's annotations cannot change, nor can its network.
    AsLongAsThePod,
}

/// What becomes of a pod for which acceleration is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// It starts on TCP: nobody wants it accelerated.
    Starts,
    /// It fails to start.
    Fails(Failing),
    /// It fails if the misspelt annotation only counts beside the one that asks; by another it asked for nothing, to the letter.
    ByTheKey,
}

/// How a pod fails to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// It was refused.
    Refused,
    /// The attempt went wrong.
    Attempt,
}

impl Policy {
    /// Most refusals. What becomes of a conversion is no default: a wrong one could harm connections.
    pub const fn of_a_refusal(converted: Converted) -> Self {
        Self {
            converted,
            lasts: Lasts::UntilMended,
            required: Required::Fails(Failing::Refused),
            alarm: true,
        }
    }

    /// Of what no pod is refused for.
    pub const ONLY_TOLD: Self = Self { required: Required::Starts, ..Self::of_a_refusal(Converted::Stays) };
}
