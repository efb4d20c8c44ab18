//! Faults of a pod, of its program, and of what lies between two pods.

use rig::host::{Conversion, PodSpec};
use smc_model::ANNOTATION;

use super::stage::{Stage, Undo, annotated, visitor};
use super::watch::Watch;
use crate::{Kernel, client, server, shell, start, wait_until_served};

pub(super) fn pnetid_differs_in_pod(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    watch.begin();
    Kernel(stage.node(1)).set_pnetid(&stage.client().netns_path(), "eth0", "FAULTSOTHER");
    watch.until_named();
}

pub(super) fn pnet_entry_deleted(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let (node, netns) = (stage.node(1), stage.client().netns_path());
    let table = Kernel(node).pnet_table(&netns);
    let pnetid = table.strip_prefix("netdev eth0 ").unwrap_or_else(|| panic!("{table}"));
    watch.begin();
    Kernel(node).drop_pnetid(&netns, pnetid);
    watch.until_named();
}

pub(super) fn conversion_switched_off(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let (node, record) = (stage.node(1), stage.client().configured());
    match stage.conversion {
        Conversion::Bpf => {
            let (map, cookie) = record.owned.converted.expect("the pod is converted by the map");
            watch.begin();
            Kernel(node).unconvert(&map.display().to_string(), cookie);
        }
        Conversion::Sysctl => {
            assert!(record.owned.sysctl, "the pod is converted by the sysctl");
            watch.begin();
            let off = r#"nsenter --net="$1" sysctl -qw net.smc.tcp2smc=0"#;
            shell(node, off, &[&stage.client().netns_path()]);
        }
    }
    watch.until_named();
}

pub(super) fn peer_not_annotated(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let plain = start(stage.node(2), &server("faults-plain"));
    wait_until_served(&plain);
    watch.begin();
    let url = format!("http://{}/small", plain.ip);
    let _pod = start(stage.node(1), &annotated(visitor("faults-lone", "", &url)));
    watch.until_named();
}

pub(super) fn ipv6_client(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let url = format!("http://[::ffff:{}]/small", stage.server().ip);
    watch.begin();
    let _pod = start(stage.node(1), &annotated(visitor("faults-ipv6", "-g", &url)));
    watch.until_named();
}

pub(super) fn fast_open(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let url = format!("http://{}/small", stage.server().ip);
    watch.begin();
    let _pod = start(stage.node(1), &annotated(visitor("faults-fast-open", "--tcp-fastopen", &url)));
    watch.until_named();
}

pub(super) fn middlebox_strips_option(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let node = stage.node(1);
    let harm = "table inet faults_middlebox {
        chain between {
            type filter hook forward priority mangle; policy accept;
            tcp flags & syn == syn reset tcp option 254;
        }
    }";
    let _undo = Undo(|| drop(shell(node, "nft delete table inet faults_middlebox", &[])));
    watch.begin();
    node.command(&["nft", "-f", "-"]).stdin(harm).check().unwrap_or_else(|error| panic!("{error}"));
    watch.until_named();
}

pub(super) fn host_network_pod(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    start_and_watch(stage, watch, &annotated(client("faults-host-network")).host_network());
}

pub(super) fn annotation_of_another_value(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    start_and_watch(stage, watch, &client("faults-annotation").annotate(ANNOTATION, "True"));
}

pub(super) fn bandwidth_limited(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let pod = annotated(client("faults-limited")).annotate("kubernetes.io/egress-bandwidth", "10M");
    start_and_watch(stage, watch, &pod);
}

pub(super) fn annotation_misspelt(stage: &Stage<'_>, watch: &mut Watch<'_>) {
    let misspelt = ANNOTATION.strip_suffix('d').expect("the annotation ends in enabled");
    start_and_watch(stage, watch, &client("faults-misspelt").annotate(misspelt, "true"));
}

/// The pod itself is the fault.
fn start_and_watch(stage: &Stage<'_>, watch: &mut Watch<'_>, pod: &PodSpec) {
    watch.begin();
    let _pod = start(stage.node(2), pod);
    watch.until_named();
}
