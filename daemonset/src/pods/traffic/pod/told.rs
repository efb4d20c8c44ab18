//! What others may know of a pod's traffic, and of the pod itself.

use std::net::{IpAddr, Ipv4Addr};

use smc_model::fallback_label;
use smc_state::{FallbackCount, LivePod};

use super::Pod;

impl Pod {
    /// What is published of each attachment.
    pub(in crate::pods::traffic) fn published(&self) -> impl Iterator<Item = LivePod> {
        let mut fallbacks: Vec<FallbackCount> = self
            .fallbacks
            .iter()
            .map(|(&code, &count)| FallbackCount { code, reason: fallback_label(code).to_owned(), count })
            .collect();
        fallbacks.sort_by_key(|fallback| std::cmp::Reverse(fallback.count));
        self.records.values().map(move |record| LivePod {
            attachment: record.attachment.clone(),
            pod: record.pod.clone(),
            id: record.id.clone(),
            live: self.live.verdict().clone(),
            since: self.since,
            smcr: self.smcr,
            handshake_errors: self.errors,
            fallbacks: fallbacks.clone(),
            peers_without_smc: self.peers.clone(),
            offers_taken_out: self.offers.taken_out(),
            syns_dropped: self.offers.dropped(),
            unplaced: self.unplaced,
        })
    }

    /// Whether its owner lets an address speak SMC with it.
    pub(in crate::pods::traffic) fn lets(&self, peer: IpAddr) -> bool {
        let said = self.records.values().filter_map(|record| record.owned.peers.as_ref());
        said.into_iter().all(|peers| peers.allow(peer))
    }

    /// The addresses by which other pods of this node reach it.
    pub(in crate::pods::traffic) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.records.values().flat_map(|record| record.owned.addresses())
    }

    /// Those of both families.
    pub(in crate::pods::traffic) fn all_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.records.values().flat_map(|record| record.owned.all_addresses())
    }
}
