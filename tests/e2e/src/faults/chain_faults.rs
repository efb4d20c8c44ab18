//! Faults of the agent and of the CNI chain.

use super::stage::{Stage, Undo, annotated, visitor};
use super::watch::Watch;
use crate::{plugin, server, shell, start, wait_until_served};

const STATE: &str = "/run/kube-smc";
const SAVED_STATE: &str = "/run/faults-state";
const CONF: &str = "/etc/cni/net.d";
const SAVED_CONF: &str = "/run/faults-net.d";

pub(super) fn peers_agent_off(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let node = stage.node(2);
    let _ended = stage.end_agent(2);
    // The directory itself stays: it is mounted in the agent's container.
    let empty = r#"mkdir "$2"; find "$1" -mindepth 1 -maxdepth 1 -exec mv -t "$2" {} +"#;
    let restore = r#"find "$1" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
        find "$2" -mindepth 1 -maxdepth 1 -exec mv -t "$1" {} +; rmdir "$2""#;
    shell(node, empty, &[STATE, SAVED_STATE]);
    let _undo = Undo(|| drop(shell(node, restore, &[STATE, SAVED_STATE])));
    watch.begin();
    let pod = start(node, &annotated(server("faults-early")));
    wait_until_served(&pod);
    let url = format!("http://{}/small", pod.ip);
    let _visitor = start(stage.node(1), &annotated(visitor("faults-early-client", "", &url)));
    watch.until_named();
}

pub(super) fn conf_entry_lost(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let _ended = stage.end_agent(2);
    watch.set_apart();
    watch.begin();
    plugin::strip_entry(stage.node(2));
    watch.until_named();
}

pub(super) fn entry_not_loaded(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let node = stage.node(2);
    let mut ended = stage.end_agent(2);
    // What containerd has in its memory is without the entry from now on.
    plugin::unchain(node);
    let cover = r#"cp -a "$1" "$2"; mount -t tmpfs tmpfs "$1"; cp -a "$2/." "$1/""#;
    let uncover = r#"umount "$1"; rm -rf "$2""#;
    shell(node, cover, &[CONF, SAVED_CONF]);
    let _undo = Undo(|| {
        let mut ended = stage.end_agent(2);
        shell(node, uncover, &[CONF, SAVED_CONF]);
        ended.start();
    });
    ended.start_unchained();
    watch.begin();
    watch.until_named();
}
