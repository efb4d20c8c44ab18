//! What Kubernetes shows: an Event on each pod whose verdict is reached or changes, and on the node the condition
//! `SMCReady` and the label `smc.asm.alibabacloud.com/ready`.
//!
//! All of it is written, and almost nothing is read: no pod and no event is ever listed, watched or fetched; the nodes' addresses are
//! rarely ([`node_addresses`]), and this node where the agent is to take a taint off it ([`startup_taint`]). Without an API server, or without the rights, the node works
//! all the same; one line in the log says what is missing.
//!
//! Condition and label go in one patch of `nodes/status`: the API server takes labels there too (it resets only the
//! spec), so the agent needs no right to change nodes' specs, which would let it remove taints.

pub mod announcement;
pub mod api;
pub mod condition;
pub mod event_queue;
pub mod events;
pub mod node_addresses;
pub mod node_removal;
pub mod node_status;
pub mod startup_taint;
mod token_bucket;

use std::time::Duration;

use backon::ExponentialBuilder;
use kube::runtime::watcher::ExponentialBackoff;

/// The name under which all is written.
pub const COMPONENT: &str = "kube-smc";
/// The node's label; `true` or `false`.
pub const READY_LABEL: &str = "smc.asm.alibabacloud.com/ready";
/// The node condition's type.
pub const READY_CONDITION: &str = "SMCReady";

/// How soon, and at last how seldom, a server in trouble is tried again: what is to be written after an outage of some
/// minutes should not come minutes after it.
const SOONEST: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(60);

/// The waits between attempts at a server in trouble.
pub fn backoff() -> ExponentialBackoff {
    let builder = ExponentialBuilder::new().with_min_delay(SOONEST).with_max_delay(SELDOM);
    ExponentialBackoff::from(builder.with_jitter().without_max_times())
}

/// Cuts a text for a field that holds so many bytes.
fn shortened(text: &str, bytes: usize) -> String {
    const CUT: &str = "…";
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes - CUT.len()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{CUT}", &text[..end])
}

/// Seconds since the epoch as Kubernetes writes them.
fn timestamp(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    k8s_openapi::jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_in_trouble_is_tried_again_soon_then_seldom_and_for_ever() {
        let mut backoff = backoff();
        let waits: Vec<Duration> = (0..100).map(|_| backoff.next().unwrap()).collect();
        assert!(waits[0] >= SOONEST && waits[0] < SOONEST * 3, "{:?}", waits[0]);
        // Up to twice as long, so that not all nodes come at once.
        assert!(waits[50..].iter().all(|wait| (SELDOM..=SELDOM * 2).contains(wait)), "{:?}", &waits[50..]);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(shortened("kurz", 4), "kurz");
        assert_eq!(shortened("länger", 6), "lä…");
        assert_eq!(shortened("ääää", 7), "ää…");
    }

    #[test]
    fn a_timestamp_is_in_utc_and_without_fractions() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(1_763_845_200), "2025-11-22T21:00:00Z");
    }
}
