//! The annotation that switches a pod on, those that stand in its way, and those that say how.

use crate::PeerRanges;

/// The annotation that asks for SMC; ASM's own name for it.
pub const ANNOTATION: &str = "smc.asm.alibabacloud.com/enabled";
/// The annotation by which a pod's owner, with the string `true`, takes it that the pod's bandwidth limit does not hold for
/// SMC-R. Without it such a pod stays on TCP.
pub const UNLIMITED_ANNOTATION: &str = "smc.asm.alibabacloud.com/unlimited";

/// The annotation by which a pod's owner says who may speak SMC with it: ranges of addresses, with commas. Everybody else's
/// connections to it stay TCP, and so do those of whom the node's settings do not let.
pub const INBOUND_PEERS_ANNOTATION: &str = "smc.asm.alibabacloud.com/inbound-peers";

/// The annotation by which a pod's owner, with the string `true`, has sockets that are asked for as MPTCP left as they are. Without
/// it they become SMC sockets like all others: Go's listeners ask for MPTCP since 1.24, mostly without their owner's knowledge.
pub const KEEP_MPTCP_ANNOTATION: &str = "smc.asm.alibabacloud.com/keep-mptcp";

/// The annotations that meshes' injectors set on the pods to which they gave a sidecar, and the meshes. ASM's is Istio's.
const SIDECARS: [(&str, &str); 4] = [
    ("sidecar.istio.io/status", "Istio"),
    ("linkerd.io/proxy-version", "Linkerd"),
    ("kuma.io/sidecar-injected", "Kuma"),
    ("consul.hashicorp.com/connect-inject-status", "Consul"),
];
/// The annotations by which Istio's injector is told how traffic comes to the sidecar, and which template to use: with `NONE`, for gateways
/// and for programs that are their own proxies (gRPC) no rules are made.
const ISTIO_MODE: &str = "sidecar.istio.io/interceptionMode";
const ISTIO_TEMPLATES: &str = "inject.istio.io/templates";
const WITHOUT_RULES: [&str; 3] = ["gateway", "grpc-agent", "grpc-simple"];

/// The annotations that limit a pod's bandwidth: Kubernetes' own (the CNI plugin `bandwidth`, Cilium) and Terway's. They shape
/// what leaves and enters the pod's network interface, which RDMA does not pass.
const LIMITS: [&str; 4] = [
    "kubernetes.io/ingress-bandwidth",
    "kubernetes.io/egress-bandwidth",
    "k8s.aliyun.com/ingress-bandwidth",
    "k8s.aliyun.com/egress-bandwidth",
];

/// What a pod's annotation asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// No annotation, or the string `false`: leave the pod alone.
    Disabled,
    /// Exactly the string `true`.
    Enabled,
    /// The same, and a bandwidth limit, which RDMA does not keep.
    Limited {
        /// The annotation that has the limit.
        key: String,
        /// Whether the owner takes it that the limit does not hold.
        accepted: bool,
    },
    /// Anything else. It is reported, never guessed.
    Invalid(String),
    /// No such annotation, but one whose key is nearly its own, or that of [`INBOUND_PEERS_ANNOTATION`] or [`KEEP_MPTCP_ANNOTATION`].
    /// It is reported, never guessed.
    Misspelt {
        /// The key.
        key: String,
    },
    /// Enabled, and another annotation that is `true` or `false` is neither. It is reported, never guessed.
    InvalidParticular {
        /// The annotation.
        key: String,
        /// What it says.
        value: String,
    },
    /// Enabled, and who may speak SMC with it cannot be read. It is reported, never guessed.
    InvalidPeers {
        /// What the annotation says.
        value: String,
        /// What is wrong with it.
        why: String,
    },
}

/// How many letters may be wrong, missing or too many in a key that is taken for a misspelt one.
const LETTERS_WRONG: usize = 2;

impl Wish {
    /// Reads a pod's annotations. A misspelt key counts only where the right one is absent, and not when it says `false`:
    /// that pod is as its owner wants it.
    pub fn of<'a>(annotations: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut misspelt, mut limit, mut accepted) = (None, None, false);
        let (mut wish, mut peers, mut keep_mptcp) = (None, None, None);
        let (mut misspelt_peers, mut misspelt_mptcp) = (None, None);
        for (key, value) in annotations {
            if key == ANNOTATION {
                // The last of equal keys counts, as in the runtimes' own JSON library.
                wish = Some(value);
            } else if key == UNLIMITED_ANNOTATION {
                accepted = value == "true";
            } else if LIMITS.contains(&key) {
                limit = Some(key);
            } else if key == INBOUND_PEERS_ANNOTATION {
                peers = Some(value);
            } else if key == KEEP_MPTCP_ANNOTATION {
                keep_mptcp = Some(value);
            } else {
                match meant_by(key) {
                    Some(ANNOTATION) if misspelt.is_none() && value != "false" => misspelt = Some(key),
                    Some(INBOUND_PEERS_ANNOTATION) => misspelt_peers = Some(key),
                    Some(KEEP_MPTCP_ANNOTATION) => misspelt_mptcp = Some(key),
                    _ => {}
                }
            }
        }
        let wish = match (wish, misspelt) {
            (None, Some(key)) => return Self::Misspelt { key: key.to_owned() },
            (wish, _) => match (Self::from_annotation(wish), limit) {
                (Self::Enabled, Some(key)) => Self::Limited { key: key.to_owned(), accepted },
                (wish, _) => wish,
            },
        };
        if !wish.is_granted() {
            return wish;
        }
        if let Some(Err(error)) = peers.map(PeerRanges::of_a_pod) {
            let value = peers.unwrap_or_default().to_owned();
            return Self::InvalidPeers { value, why: error.to_string() };
        }
        if let Some(value) = keep_mptcp.filter(|value| !matches!(*value, "true" | "false")) {
            return Self::InvalidParticular {
                key: KEEP_MPTCP_ANNOTATION.to_owned(),
                value: value.to_owned(),
            };
        }
        let unsaid = misspelt_peers.filter(|_| peers.is_none());
        match unsaid.or(misspelt_mptcp.filter(|_| keep_mptcp.is_none())) {
            Some(key) => Self::Misspelt { key: key.to_owned() },
            None => wish,
        }
    }

    /// Whether the pod is to be set up, as far as its annotations say.
    pub fn is_granted(&self) -> bool {
        matches!(self, Self::Enabled | Self::Limited { accepted: true, .. })
    }

    /// Reads the annotation's value. Annotations are strings in Kubernetes: only `true` and `false`, exactly.
    pub fn from_annotation(value: Option<&str>) -> Self {
        match value {
            None | Some("false") => Self::Disabled,
            Some("true") => Self::Enabled,
            Some(other) => Self::Invalid(other.to_owned()),
        }
    }
}

/// How a pod is to be set up, as its owner says it beside the annotation that asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Particulars {
    /// Who may speak SMC with it; `None` where that is not said, or cannot be read.
    pub peers: Option<PeerRanges>,
    /// Whether sockets that are asked for as MPTCP stay as they are.
    pub keep_mptcp: bool,
    /// The mesh that gave it a sidecar, whose rules send the pod's traffic by it and tell its own by its user.
    pub sidecar: Option<&'static str>,
}

impl Particulars {
    /// Reads a pod's annotations.
    pub fn of<'a>(annotations: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut said, mut without_rules) = (Self::default(), false);
        for (key, value) in annotations {
            match key {
                INBOUND_PEERS_ANNOTATION => said.peers = PeerRanges::of_a_pod(value).ok(),
                KEEP_MPTCP_ANNOTATION => said.keep_mptcp = value == "true",
                ISTIO_MODE => without_rules |= value == "NONE",
                ISTIO_TEMPLATES => {
                    without_rules |= value.split(',').any(|name| WITHOUT_RULES.contains(&name.trim()));
                }
                _ => {
                    let of_sidecar = SIDECARS.iter().find(|(its, _)| *its == key);
                    said.sidecar = of_sidecar.map(|(_, mesh)| *mesh).or(said.sidecar);
                }
            }
        }
        said.sidecar = said.sidecar.filter(|mesh| *mesh != "Istio" || !without_rules);
        said
    }
}

/// Which annotation's key this nearly is, and not quite: up to two letters wrong, missing or too many, or others in case. Of
/// nearly every key its length alone tells that it is none's.
pub fn meant_by(key: &str) -> Option<&'static str> {
    let is_near = |meant: &&str| {
        key.len().abs_diff(meant.len()) <= LETTERS_WRONG
            && key != *meant
            && strsim::levenshtein(&key.to_ascii_lowercase(), meant) <= LETTERS_WRONG
    };
    [ANNOTATION, INBOUND_PEERS_ANNOTATION, KEEP_MPTCP_ANNOTATION].into_iter().find(is_near)
}

/// Whether a misspelt key is that of an annotation which only counts beside the one that asks.
pub fn counts_beside_the_one_that_asks(key: &str) -> bool {
    meant_by(key).is_some_and(|meant| meant != ANNOTATION)
}

#[cfg(test)]
mod tests;
