//! Faults that need a node to itself.

use rig::host::Node;

use super::stage::{Stage, Undo, annotated};
use super::watch::Watch;
use crate::{client, shell, start};

/// Where modprobe is told what it may not load.
const REFUSED: &str = "/etc/modprobe.d/faults.conf";

pub(super) fn smc_module_missing(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let node = stage.node(1);
    let mut ended = stage.end_agent(1);
    refuse(node, "smc");
    shell(node, "if lsmod | grep -q ^tcp2smc; then rmmod tcp2smc; fi; rmmod smc_diag smc", &[]);
    let _undo = Undo(|| drop(shell(node, r#"rm -f "$1""#, &[REFUSED])));
    ended.start();
    watch.begin();
    let _pod = start(node, &annotated(client("faults-no-smc")));
    watch.until_named();
}

pub(super) fn smc_diag_missing(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let node = stage.node(1);
    let mut ended = stage.end_agent(1);
    refuse(node, "smc_diag");
    shell(node, "rmmod smc_diag", &[]);
    let _undo = Undo(|| drop(shell(node, r#"rm -f "$1"; modprobe smc_diag"#, &[REFUSED])));
    ended.start();
    watch.begin();
    watch.until_named();
}

/// modprobe, which the kernel calls, does not load this module.
#[track_caller]
fn refuse(node: &Node<'_>, module: &str) {
    let script = r#"mkdir -p "$(dirname "$1")"; echo "install $2 /bin/false" >"$1""#;
    shell(node, script, &[REFUSED, module]);
}

pub(super) fn rdma_netns_exclusive(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let node = stage.node(1);
    // Refused while any other network namespace exists; the doctor's own live for a moment.
    let set = r#"for _ in $(seq 200); do rdma system set netns "$1" 2>/dev/null && exit; sleep 0.1; done
        rdma system set netns "$1""#;
    let _undo = Undo(|| drop(shell(node, set, &["shared"])));
    watch.begin();
    shell(node, set, &["exclusive"]);
    let _pod = start(node, &annotated(client("faults-exclusive")));
    watch.until_named();
}

pub(super) fn kernel_without_conversion(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    watch.begin_with_nothing_known();
    let _pod = start(stage.node(1), &annotated(client("faults-old-kernel")));
    watch.until_named();
}
