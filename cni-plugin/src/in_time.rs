//! Answering in time, whatever the kernel does.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use smc_host::worker::{self, Held, Outcome};

use crate::clock::Clock;
use crate::log::{Line, Log};

/// Does `work`, which calls into the kernel, in a process that is left behind when the kernel holds it past the call's time.
///
/// # Errors
/// Why there is no answer, for the log. A worker that was left behind ends what it began, or takes it back, once it can.
pub(crate) fn in_time<T: Serialize + DeserializeOwned>(
    clock: &Clock,
    work: impl FnOnce() -> T,
) -> Result<T, String> {
    // What cannot be serialised would be no answer either.
    match worker::run(clock.answers_by(), || serde_json::to_vec(&work()).unwrap_or_default()) {
        Ok(Outcome::Done(answer)) => serde_json::from_slice(&answer)
            .map_err(|error| format!("the worker's answer cannot be read: {error}")),
        Ok(Outcome::LeftBehind(held)) => Err(words(&held, clock.elapsed_us() / 1000)),
        Err(error) => Err(error.with_cause()),
    }
}

/// How long a line about work that was not done in time may take: the log's disk may be what holds it.
const FOR_A_LINE: Duration = Duration::from_millis(100);

/// Logs what became of work that was not done in time, if that can be done at once.
pub(crate) fn log_late(log: &Log, line: &Line, clock: &Clock) {
    // Without the line there is still the record, by which the agent tells of the pod.
    let _ = worker::run(Instant::now() + FOR_A_LINE, || {
        log.write(line, clock);
        Vec::new()
    });
}

fn words(held: &Held, after_ms: u64) -> String {
    let function = held.waits_in.as_deref().unwrap_or_default();
    let names = |parts: &[&str]| parts.iter().any(|part| function.contains(part));
    // nft_rcv_nl_event and nf_tables_*, nfnl_lock and nfnetlink_rcv_*; wait_transaction_locked is ext4's.
    let holder = if names(&["nft_", "nf_tables", "nfnl", "nfnetlink"]) {
        "another program changes nftables (kube-proxy with many Services, a firewall)"
    } else if names(&["rtnl", "rtnetlink"]) {
        "another program changes links, addresses or routes"
    } else if names(&["ext4", "xfs", "btrfs", "jbd2", "transaction", "folio", "io_schedule"]) {
        "the node's disk is slow (cni.log is on it)"
    } else if names(&["nanosleep"]) {
        "it waits for a lock of kube-smc's own, which another pod's set-up has"
    } else {
        "the kernel holds it, or the node has no CPU time for it"
    };
    let place = if function.is_empty() { String::new() } else { format!(" in {function}") };
    format!(
        "not done after {after_ms} ms, and answered all the same: process {} waits{place}; {holder}. That process takes back or ends \
         what it began as soon as it can, and the agent does the rest",
        held.pid
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(function: Option<&str>) -> String {
        words(&Held { pid: 77, waits_in: function.map(str::to_owned) }, 2_500)
    }

    #[test]
    fn the_lock_that_is_waited_for_is_named_by_who_may_have_it() {
        let said_of = |function| said(Some(function));
        assert!(
            said_of("nf_tables_valid_genid").contains("kube-proxy"),
            "{}",
            said_of("nf_tables_valid_genid")
        );
        assert!(said_of("nfnetlink_rcv_batch").contains("kube-proxy"));
        assert!(said_of("nft_rcv_nl_event").contains("kube-proxy"));
        assert!(said_of("wait_transaction_locked").contains("disk"));
        assert!(said_of("hrtimer_nanosleep").contains("another pod's set-up"));
        assert!(said_of("rtnetlink_rcv_msg").contains("links, addresses or routes"));
        assert!(said_of("rtnl_dumpit").contains("process 77 waits in rtnl_dumpit; another program"));
        assert!(said(None).contains("process 77 waits; the kernel holds it"), "{}", said(None));
    }
}
