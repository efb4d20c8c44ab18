//! What kube-smc put into the kernel for one attachment, and how it is taken out again.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{NetnsCookie, Step};

/// What kube-smc put into the kernel for one attachment outside the pod's own namespace. What is inside (PNET
/// entries, the sysctl) goes with the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Owned {
    /// Addresses put on the anchor link.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub anchored: BTreeSet<Ipv4Addr>,
    /// Addresses put into the same-node guard's set.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub guarded: BTreeSet<Ipv4Addr>,
    /// The map and the key by which the pod's namespace is converted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converted: Option<(PathBuf, NetnsCookie)>,
    /// Whether `net.smc.tcp2smc` was set by us.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sysctl: bool,
}

impl Owned {
    /// Notes that `steps` are about to be taken for the namespace with `cookie`.
    pub fn add(&mut self, steps: &[Step], cookie: NetnsCookie) {
        for step in steps {
            match step {
                Step::AnchorAddress { address, .. } => {
                    self.anchored.insert(*address);
                }
                Step::Guard { address } => {
                    self.guarded.insert(*address);
                }
                Step::ConvertByBpf { map } => self.converted = Some((map.clone(), cookie)),
                Step::ConvertBySysctl => self.sysctl = true,
                Step::HoldRoute { .. }
                | Step::DropLocalRoute { .. }
                | Step::ReleaseRoute { .. }
                | Step::DropPnetid { .. }
                | Step::SetPnetid { .. } => {}
            }
        }
    }

    /// Every address that this attachment holds in the host's namespace.
    pub fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        self.anchored.union(&self.guarded).copied().collect()
    }
}

/// One step of taking an attachment's traces out of the host's kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// Take the namespace out of the BPF program's map.
    Unconvert {
        /// Path of the pinned map.
        map: PathBuf,
        /// The namespace.
        cookie: NetnsCookie,
    },
    /// Take an address off the anchor link.
    Unanchor {
        /// The address.
        address: Ipv4Addr,
    },
    /// Take an address out of the same-node guard's set.
    Unguard {
        /// The address.
        address: Ipv4Addr,
    },
}

/// What to undo when an attachment ends. Conversion goes first, so that no socket is converted without the rest;
/// addresses that a living attachment owns too (`others`) stay, since pod addresses are used again.
pub fn release(owned: &Owned, others: &BTreeSet<Ipv4Addr>) -> Vec<Release> {
    let unconvert = owned.converted.iter().map(|(map, cookie)| Release::Unconvert { map: map.clone(), cookie: *cookie });
    let unguard = owned.guarded.difference(others).map(|&address| Release::Unguard { address });
    let unanchor = owned.anchored.difference(others).map(|&address| Release::Unanchor { address });
    unconvert.chain(unguard).chain(unanchor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned() -> Owned {
        let address = Ipv4Addr::new(10, 0, 0, 21);
        let mut owned = Owned::default();
        owned.add(
            &[
                Step::AnchorAddress { address, anchor: 7 },
                Step::Guard { address },
                Step::ConvertByBpf { map: "/map".into() },
            ],
            NetnsCookie(9),
        );
        owned
    }

    #[test]
    fn conversion_ends_before_the_rest_is_taken_away() {
        let steps = release(&owned(), &BTreeSet::new());
        assert!(matches!(steps[0], Release::Unconvert { cookie: NetnsCookie(9), .. }));
        assert_eq!(steps.len(), 3);
    }

    #[test]
    fn an_address_that_another_pod_owns_stays() {
        let others = BTreeSet::from([Ipv4Addr::new(10, 0, 0, 21)]);
        let steps = release(&owned(), &others);
        assert_eq!(steps.len(), 1, "only the conversion of the ended namespace: {steps:?}");
    }
}
