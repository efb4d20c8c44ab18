//! The fault matrix: each fault of `tests/faults.json` is injected into the real rig, and must be named.
//!
//! All nodes are looked at all the time, as an operator would: `smcctl pods`, `smcctl doctor`, the agent's metrics, and the
//! Events that a stand-in for the API server was sent. What is new since a fault's injection is what was reported;
//! whether that is what should be is a function ([`judge`]). Then the fault is undone, and everything must be well again.
//!
//! Reported in four places: verdict (`smcctl pods`), Event, `smcctl doctor`, metric. *Equality* with the table decides, so that a second, wrong
//! cause fails as well. The other node may say what the table allows it: it is told by a code of the kernel and no more. `--healthy` runs the
//! everyday's traffic (probes by the host, scrapes by a plain pod, same-node pairs, hops within a pod) and fails on any alarm, and on any
//! committed alert rule whose expression holds for as long as it waits, or for a minute.

mod alerts;
mod boot_faults;
mod chain_faults;
mod healthy;
mod judge;
mod metrics;
mod node_faults;
mod pod_faults;
mod poll;
mod report;
mod sighting;
mod stage;
mod table;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::thread;

use rig::host::{Conversion, repository};

pub use healthy::{Health, healthy};
pub use poll::Poller;
pub use report::{Row, header, joined, write};
pub use stage::Stage;
pub use table::{Boot, Fault, How, Table};
pub use watch::Outcome;

use watch::Watch;

/// What is done for a fault: it calls [`Watch::begin`], does the harm, waits, and undoes the harm when it ends.
type Script = fn(&Stage<'_>, &mut Watch<'_>);

/// The script of the fault of this name.
fn script(fault: &str) -> Option<Script> {
    Some(match fault {
        "no-ueid" => node_faults::no_ueid,
        "ueids-differ" => node_faults::ueids_differ,
        "no-pnetid-on-device" => node_faults::no_pnetid_on_device,
        "pnetid-differs-in-pod" => pod_faults::pnetid_differs_in_pod,
        "pnetids-differ-between-nodes" => node_faults::pnetids_differ_between_nodes,
        "port-down" => node_faults::port_down,
        "device-unplugged" => node_faults::device_unplugged,
        "rdma-netns-exclusive" => boot_faults::rdma_netns_exclusive,
        "smc-module-missing" => boot_faults::smc_module_missing,
        "smc-diag-missing" => boot_faults::smc_diag_missing,
        "kernel-without-conversion" => boot_faults::kernel_without_conversion,
        "conversion-switched-off" => pod_faults::conversion_switched_off,
        "pnet-entry-deleted" => pod_faults::pnet_entry_deleted,
        "other-subnet" => node_faults::other_subnet,
        "peer-not-annotated" => pod_faults::peer_not_annotated,
        "peers-agent-off" => chain_faults::peers_agent_off,
        "ipv6-client" => pod_faults::ipv6_client,
        "fast-open" => pod_faults::fast_open,
        "middlebox-strips-option" => pod_faults::middlebox_strips_option,
        "host-network-pod" => pod_faults::host_network_pod,
        "annotation-True" => pod_faults::annotation_of_another_value,
        "bandwidth-limited" => pod_faults::bandwidth_limited,
        "annotation-misspelt" => pod_faults::annotation_misspelt,
        "conf-entry-lost" => chain_faults::conf_entry_lost,
        "entry-not-loaded" => chain_faults::entry_not_loaded,
        "foreign-pnetid" => node_faults::foreign_pnetid,
        _ => return None,
    })
}

/// Faults that take seconds each, of a pod's set-up, of its peer, of its annotation and of the chain: the short form.
pub const SHORT: [&str; 5] =
    ["pnet-entry-deleted", "peer-not-annotated", "annotation-True", "annotation-misspelt", "conf-entry-lost"];

/// Faults of single pods and of what they talk to, which do not touch each other.
pub const TOGETHER: [&str; 8] = [
    "pnet-entry-deleted",
    "annotation-True",
    "annotation-misspelt",
    "peer-not-annotated",
    "ipv6-client",
    "fast-open",
    "conversion-switched-off",
    "pnetids-differ-between-nodes",
];

/// Injects a fault into the rig, waits until it is named, undoes it, and waits until all is well again.
pub fn run(stage: &Stage<'_>, poller: &Poller, fault: &Fault, say: &dyn Fn(&str)) -> Row {
    let mut rows = run_together(stage, poller, &[fault], say);
    rows.remove(0)
}

/// Injects faults that do not touch each other at the same time, waits until each is named, undoes them, and waits until all is
/// well again.
pub fn run_together(stage: &Stage<'_>, poller: &Poller, faults: &[&Fault], say: &dyn Fn(&str)) -> Vec<Row> {
    let before = Watch::baseline(poller, stage);
    let mut rows = thread::scope(|scope| {
        let inject = |fault: &Fault| {
            let others = faults.iter().copied().filter(|other| other.name != fault.name);
            inject(stage, fault, Watch::new(poller, fault, others, stage, before.clone()))
        };
        let running: Vec<_> = faults.iter().map(|fault| scope.spawn(move || inject(fault))).collect();
        running.into_iter().map(|run| run.join().expect("a script's panic is caught")).collect::<Vec<_>>()
    });
    for row in &rows {
        say(&format!("       {}; it is undone", row.reported()));
    }
    // A kernel cannot be mended.
    if faults.iter().all(|fault| fault.boot != Boot::OldKernel) {
        let healed = stage.heal(poller);
        for row in &mut rows {
            match &healed {
                Ok(after) => row.healed(*after),
                Err(wrong) => row.fail(format!("undone, and not well again {wrong}")),
            }
        }
    }
    rows
}

/// Runs the fault's script to its end.
fn inject(stage: &Stage<'_>, fault: &Fault, mut watch: Watch<'_>) -> Row {
    let script = script(&fault.name).expect("the table's test holds it against the scripts");
    let ran = catch_unwind(AssertUnwindSafe(|| script(stage, &mut watch)));
    let mut row = Row::of(fault, stage.conversion, watch.outcome());
    if let Err(panic) = ran {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
        row.fail(format!("the script failed: {words}"));
    }
    row
}

/// Runs the test of a recorded fault.
pub fn run_recorded(fault: &Fault) -> Row {
    let test = fault.test.as_ref().expect("the table's test sees to it");
    let cargo = Command::new("cargo")
        .args(["test", "--locked", "--quiet", "-p", &test.package, "--", "--test-threads=1", &test.name])
        .current_dir(repository())
        .output();
    match cargo {
        Ok(output)
            if output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed") =>
        {
            Row::recorded(fault)
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            let mut row = Row::of(fault, Conversion::Bpf, Outcome::default());
            row.fail(format!("cargo test -p {} {}: {said}", test.package, test.name));
            row
        }
        Err(error) => {
            let mut row = Row::of(fault, Conversion::Bpf, Outcome::default());
            row.fail(format!("cannot start cargo: {error}"));
            row
        }
    }
}
