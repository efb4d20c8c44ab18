//! What the kernel tells of fallbacks, and what is learned from it: who is a pod of this node by another address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use smc_host::{HostError, guard};
use smc_model::{Fallback, Guard, Inbound, Judgement, NetnsCookie, Side, StripCause, TrafficPath};

use super::super::pod::Pod;
use super::Watch;
use crate::node::bpf::FallbackEvent;

impl Watch {
    pub(super) fn take_events(&mut self, events: &[FallbackEvent]) {
        if events.is_empty() {
            return;
        }
        let now = self.now();
        let same_node = self.same_node();
        let mut containers: BTreeMap<NetnsCookie, String> = BTreeMap::new();
        for (container, pod) in &self.pods {
            containers.extend(pod.record().and_then(|r| r.cookie).map(|cookie| (cookie, container.clone())));
        }
        let is_guarded = self.facts.as_ref().is_some_and(|facts| facts.guard == Guard::Ready);
        let inbound = self.facts.as_ref().map(|facts| facts.inbound.clone()).unwrap_or_default();
        for event in events {
            let Some(container) = containers.get(&event.cookie) else { continue };
            let Some(pod) = self.pods.get_mut(container) else { continue };
            let own: BTreeSet<IpAddr> = pod.all_addresses().collect();
            let (local, remote) = (event.local.ip(), event.remote.ip());
            let fallback = Fallback {
                side: event.side,
                code: event.code,
                peer_diagnosis: event.peer_diagnosis,
                ipv6_socket: event.ipv6_socket,
                peer: (!remote.is_unspecified()).then_some(remote),
                path: TrafficPath::between(local, remote, &own, &same_node),
                not_allowed: !match event.side {
                    Side::Server => inbound.allows(remote) && pod.lets(remote),
                    // The settings are the cluster's, so the peer's node has them, too.
                    Side::Client => !matches!(inbound, Inbound::Only(_)) || inbound.allows(local),
                },
            };
            let judged = pod.fell_back(&fallback, &mut self.peers, now);
            // The client may well know that its peer is here.
            let failed = matches!(judged, Judgement::Failed(_));
            if !is_guarded {
                continue;
            }
            if !failed && fallback.side == Side::Server {
                continue;
            }
            // Nothing is wrong with any path, then: both sides of it are here.
            let port = if event.side == Side::Client { event.local.port() } else { event.remote.port() };
            if let Some(found) = self.same_node_peers.fell_back(container, &fallback, port, failed, now) {
                // A Service's address, which does not speak SMC, nor does it not.
                found.dialled.into_iter().for_each(|peer| self.peers.mistook(peer));
                if let Some(server) = self.pods.get_mut(&found.server) {
                    server.forgive_timeout(Side::Server);
                }
                if let Some(client) = self.pods.get_mut(&found.client).filter(|_| found.blamed) {
                    client.forgive_timeout(Side::Client);
                }
                self.keep_from_smc(found.peer);
            }
        }
    }

    /// Has a pod of this node that comes by another address speak TCP with the others from now on.
    fn keep_from_smc(&self, peer: IpAddr) {
        let Some(pins) = self.facts.as_ref().and_then(|facts| facts.guard_for_pods()) else { return };
        tracing::warn!(
            %peer,
            "a handshake timed out on both sides on this node: something gives one of its pods this address, by which nobody knows it \
             (masquerading); connections from it stay TCP for ten minutes"
        );
        let kept = guard::Guard::open(pins).and_then(|guard| guard.strip(peer, StripCause::TimedOut));
        if let Err(error) = kept {
            tracing::warn!("cannot keep {peer} from SMC: {}", error.with_cause());
        }
    }

    /// What an agent before this one kept from SMC is tried again, too.
    pub(super) fn forget_same_node_peers(&mut self) {
        let first = !std::mem::replace(&mut self.forgot_former, true);
        let over = self.same_node_peers.forget(self.now());
        if over.is_empty() && !first {
            return;
        }
        let Some(pins) = self.facts.as_ref().and_then(|facts| facts.guard_for_pods()) else {
            self.forgot_former = !first;
            return;
        };
        let forget = || {
            let Some(guard) = guard::Guard::open_if_there(pins)? else { return Ok(()) };
            let former = if first { guard.sources()? } else { BTreeMap::new() };
            let former =
                former.into_iter().filter(|(_, why)| *why == StripCause::TimedOut).map(|(peer, _)| peer);
            former.chain(over).try_for_each(|peer| guard.leave(peer, StripCause::TimedOut))
        };
        if let Err(error) = forget() {
            let error: HostError = error;
            tracing::warn!("cannot let peers speak SMC again: {}", error.with_cause());
        }
    }

    /// The addresses of this node's pods, where those cannot speak SMC with each other.
    pub(super) fn same_node(&self) -> BTreeSet<IpAddr> {
        if self.facts.as_ref().is_some_and(|facts| facts.guard == Guard::NotNeeded) {
            return BTreeSet::new();
        }
        let pods = self.pods.values().flat_map(Pod::all_addresses);
        pods.chain(self.stripped_nodes.iter().copied()).chain(self.same_node_peers.found()).collect()
    }
}
