//! The annotation that switches a pod on, those that stand in its way, and the one that says with whom.

use crate::PeerRanges;

/// The annotation that asks for SMC; ASM's own name for it.
pub const ANNOTATION: &str = "smc.asm.alibabacloud.com/enabled";
/// The annotation by which a pod's owner, with the string `true`, takes it that the pod's bandwidth limit does not hold for
/// SMC-R. Without it such a pod stays on TCP.
pub const UNLIMITED_ANNOTATION: &str = "smc.asm.alibabacloud.com/unlimited";

/// The annotation by which a pod's owner says who may speak SMC with it: ranges of addresses, with commas. Everybody else's
/// connections to it stay TCP, and so do those of whom the node's settings do not let.
pub const INBOUND_PEERS_ANNOTATION: &str = "smc.asm.alibabacloud.com/inbound-peers";

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
    /// No such annotation, but one whose key is nearly its own, or that of [`INBOUND_PEERS_ANNOTATION`]. It is reported, never
    /// guessed.
    Misspelt {
        /// The key.
        key: String,
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
        let (mut wish, mut peers, mut misspelt_peers) = (None, None, None);
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
            } else {
                match meant_by(key) {
                    Some(ANNOTATION) if misspelt.is_none() && value != "false" => misspelt = Some(key),
                    Some(INBOUND_PEERS_ANNOTATION) => misspelt_peers = Some(key),
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
        match (peers.map(|value| (value, PeerRanges::of_a_pod(value))), misspelt_peers) {
            (Some((value, Err(error))), _) => {
                Self::InvalidPeers { value: value.to_owned(), why: error.to_string() }
            }
            (None, Some(key)) => Self::Misspelt { key: key.to_owned() },
            _ => wish,
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

/// Who may speak SMC with a pod, as its annotations say; `None` where they do not, or it cannot be read.
pub fn inbound_peers<'a>(annotations: impl Iterator<Item = (&'a str, &'a str)>) -> Option<PeerRanges> {
    let said = annotations.filter(|(key, _)| *key == INBOUND_PEERS_ANNOTATION).last();
    said.and_then(|(_, value)| PeerRanges::of_a_pod(value).ok())
}

/// Which annotation's key this nearly is, and not quite: up to two letters wrong, missing or too many, or others in case. Of
/// nearly every key its length alone tells that it is none's.
pub fn meant_by(key: &str) -> Option<&'static str> {
    let is_near = |meant: &&str| {
        key.len().abs_diff(meant.len()) <= LETTERS_WRONG
            && key != *meant
            && strsim::levenshtein(&key.to_ascii_lowercase(), meant) <= LETTERS_WRONG
    };
    [ANNOTATION, INBOUND_PEERS_ANNOTATION].into_iter().find(is_near)
}

/// Whether a misspelt key is that of an annotation which only counts beside the one that asks.
pub fn counts_beside_the_one_that_asks(key: &str) -> bool {
    meant_by(key).is_some_and(|meant| meant != ANNOTATION)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_with_a_letter_or_two_wrong_is_misspelt() {
        for key in [
            "smc.asm.alibabacloud.com/enable",
            "smc.asm.alibabacloud.com/Enabled",
            "smc.asm.alibabacloud.com/ENABLED",
            "smc.asm.alibabacloud.com/enalbed",
            "smc.asm.alibabacloud.com/ennabled",
            "smc.asm.alibabaclod.com/enabled",
            "scm.asm.alibabacloud.com/enabled",
            "smc.ams.alibabacloud.com/enabled",
            "smc.asm.alibabacloud.com/enabledd",
            "sms.asm.alibabacloud.com/enabled",
        ] {
            assert_eq!(meant_by(key), Some(ANNOTATION), "{key}");
            let wish = Wish::of([("app", "web"), (key, "true")].into_iter());
            assert_eq!(wish, Wish::Misspelt { key: key.to_owned() });
        }
    }

    #[test]
    fn other_keys_are_nobodys_mistake() {
        for key in [
            ANNOTATION,
            "",
            "enabled",
            "smc.asm.alibabacloud.com/policy",
            "smc.asm.alibabacloud.com/enabled-by",
            "smc.asm.alibabacloud.com/disabled",
            "smc.alibabacloud.com/enabled",
            "k8s.aliyun.com/pod-networks-request",
            "kubernetes.io/config.source.abcd",
            "smc.asm.alibabacloud.com.enabled\u{e4}\u{e4}",
        ] {
            assert_eq!(meant_by(key), None, "{key}");
            assert_eq!(Wish::of([(key, "true")].into_iter()) == Wish::Enabled, key == ANNOTATION);
        }
    }

    #[test]
    fn the_right_key_counts_whatever_stands_beside_it() {
        let wrong = "smc.asm.alibabacloud.com/enable";
        for right in ["true", "false", "yes"] {
            let expected = Wish::from_annotation(Some(right));
            assert_eq!(Wish::of([(wrong, "true"), (ANNOTATION, right)].into_iter()), expected);
            assert_eq!(Wish::of([(ANNOTATION, right), (wrong, "true")].into_iter()), expected);
        }
        assert_eq!(Wish::of([(ANNOTATION, "false"), (ANNOTATION, "true")].into_iter()), Wish::Enabled);
    }

    #[test]
    fn a_bandwidth_limit_stands_in_the_way_until_its_owner_takes_it_that_it_does_not_hold() {
        let on = (ANNOTATION, "true");
        for limit in LIMITS {
            let limited = |accepted| Wish::Limited { key: limit.to_owned(), accepted };
            assert_eq!(Wish::of([on, (limit, "10M")].into_iter()), limited(false));
            assert_eq!(Wish::of([(limit, "10M"), on].into_iter()), limited(false));
            assert_eq!(
                Wish::of([on, (limit, "10M"), (UNLIMITED_ANNOTATION, "true")].into_iter()),
                limited(true)
            );
            assert_eq!(
                Wish::of([on, (limit, "10M"), (UNLIMITED_ANNOTATION, "yes")].into_iter()),
                limited(false)
            );
            assert_eq!(Wish::of([(ANNOTATION, "false"), (limit, "10M")].into_iter()), Wish::Disabled);
            assert!(limited(true).is_granted() && !limited(false).is_granted());
        }
        assert_eq!(Wish::of([on, (UNLIMITED_ANNOTATION, "true")].into_iter()), Wish::Enabled);
        assert_eq!(meant_by(UNLIMITED_ANNOTATION), None);
    }

    #[test]
    fn who_may_speak_smc_with_a_pod_is_read_or_refused_and_never_guessed() {
        let (on, key) = ((ANNOTATION, "true"), INBOUND_PEERS_ANNOTATION);
        let read = |said: &[(&'static str, &'static str)]| {
            (
                Wish::of(said.iter().copied()),
                inbound_peers(said.iter().copied()).map(|ranges| ranges.to_string()),
            )
        };
        assert_eq!(read(&[on]), (Wish::Enabled, None));
        assert_eq!(read(&[on, (key, "10.0.0.0/8")]), (Wish::Enabled, Some("10.0.0.0/8".to_owned())));
        for wrong in ["", "10.0.0.5/8", "all"] {
            let (wish, ranges) = read(&[(key, wrong), on]);
            assert!(matches!(&wish, Wish::InvalidPeers { value, .. } if value == wrong), "{wish:?}");
            assert!(ranges.is_none() && !wish.is_granted());
        }
        for near in ["smc.asm.alibabacloud.com/inbound-peer", "smc.asm.alibabacloud.com/Inbound-Peers"] {
            assert_eq!(read(&[on, (near, "10.0.0.0/8")]).0, Wish::Misspelt { key: near.to_owned() });
            assert_eq!(read(&[on, (near, "x"), (key, "10.0.0.0/8")]).0, Wish::Enabled);
            assert_eq!(read(&[(near, "10.0.0.0/8")]).0, Wish::Disabled, "of a pod that wants nothing");
        }
        assert_eq!(read(&[(key, "nonsense")]).0, Wish::Disabled);
    }

    #[test]
    fn a_misspelt_key_that_says_false_leaves_the_pod_alone() {
        let wrong = "smc.asm.alibabacloud.com/enable";
        assert_eq!(Wish::of([(wrong, "false")].into_iter()), Wish::Disabled);
        assert_eq!(Wish::of([(wrong, "False")].into_iter()), Wish::Misspelt { key: wrong.to_owned() });
        assert_eq!(Wish::of(std::iter::empty()), Wish::Disabled);
    }

    proptest! {
        #[test]
        fn any_two_edits_of_the_key_are_found_and_no_key_is_far_from_it(
            edits in prop::collection::vec((0_usize..3, 0_usize..32, b'a'..=b'z'), 0..=2),
        ) {
            let mut key = ANNOTATION.as_bytes().to_vec();
            for (kind, at, letter) in edits {
                let at = at.min(key.len() - 1);
                match kind {
                    0 => key[at] = letter,
                    1 => drop(key.remove(at)),
                    _ => key.insert(at, letter),
                }
            }
            let key = String::from_utf8(key).unwrap();
            prop_assert_eq!(meant_by(&key), (key != ANNOTATION).then_some(ANNOTATION), "{}", key);
        }

        #[test]
        fn keys_of_others_are_plain(key in "[a-z]{1,20}\\.[a-z]{2,8}/[a-z-]{1,12}") {
            prop_assert_eq!(meant_by(&key), None, "{}", key);
        }
    }

    #[test]
    fn only_the_exact_string_true_enables_a_pod() {
        assert_eq!(Wish::from_annotation(Some("true")), Wish::Enabled);
        for value in ["True", "TRUE", "yes", "1", " true", "true ", "", "on"] {
            assert_eq!(Wish::from_annotation(Some(value)), Wish::Invalid(value.to_owned()), "{value:?}");
        }
    }

    #[test]
    fn a_missing_annotation_and_false_leave_the_pod_alone() {
        assert_eq!(Wish::from_annotation(None), Wish::Disabled);
        assert_eq!(Wish::from_annotation(Some("false")), Wish::Disabled);
    }
}
