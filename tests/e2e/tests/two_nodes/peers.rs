//! Who may speak SMC with a pod: by the node's settings and by the pod's owner.

use std::time::{Duration, Instant};

use e2e::{
    PATIENCE, TestPod, agent, client, eventually, fetch, lasting_server, shell, start, start_both, two_nodes,
    wait_until_served,
};
use rig::counters::Counters;
use rig::host::{Node, PodSpec, repository};
use smc_model::{ANNOTATION, INBOUND_PEERS_ANNOTATION, LiveVerdict, Reason, Verdict};
use smc_state::{LivePod, Traffic};

/// As kubelet replaces what a ConfigMap has: all at once, by a link.
const SET: &str = r#"
    cd "$1"
    version="..$(date +%s%N)"
    mkdir "$version"
    printf %s "$2" >"$version/inbound-peers"
    rm -f inbound-peers known-defects
    ln -s ..data/inbound-peers inbound-peers
    ln -sfn "$version" ..data_tmp
    mv -T ..data_tmp ..data"#;
const SETTINGS: &str = "/run/rig-volumes/settings";
/// The bar is two seconds; an emulated node on a busy machine may take longer.
const SOON: Duration = Duration::from_secs(20);

fn annotated(spec: PodSpec) -> PodSpec {
    spec.annotate(ANNOTATION, "true")
}

/// Sets who may speak SMC with the node's pods, and returns how long it took until the agent had that in force.
fn allow(node: &Node<'_>, ranges: &str) -> Duration {
    shell(node, SET, &[SETTINGS, ranges]);
    let set = Instant::now();
    let shown = repository().join("target/debug/node-state").display().to_string();
    eventually(PATIENCE, || {
        let said = shell(node, r#""$1" peers"#, &[&shown]);
        let wanted = if ranges.is_empty() { "any" } else { ranges };
        if said == wanted { Ok(set.elapsed()) } else { Err(said) }
    })
}

fn live(pod: &TestPod<'_>) -> Result<LivePod, String> {
    let text = shell(pod.node(), "cat /run/kube-smc/traffic.json 2>/dev/null || :", &[]);
    let file: Traffic = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    let found = file.pods.into_iter().find(|other| other.attachment == pod.attachment());
    found.ok_or_else(|| format!("nothing of {}", pod.name))
}

/// How many connections of the pod became SMC-R, and fell back.
fn counted(pod: &TestPod<'_>) -> (u64, u64) {
    let seen = Counters::of(pod).unwrap_or_else(|error| panic!("{error}")).client;
    (seen.smcr, seen.fallbacks())
}

/// What one connection to a server becomes.
#[track_caller]
fn becomes_smc_r(pod: &TestPod<'_>, server: &str) -> bool {
    let before = counted(pod);
    fetch(pod, server, 1);
    let now = counted(pod);
    assert_eq!(now.0 + now.1, before.0 + before.1 + 1, "one connection: {before:?}, {now:?}");
    now.0 > before.0
}

#[track_caller]
fn becomes_smc_r_at_last(pod: &TestPod<'_>, server: &str) {
    eventually(PATIENCE, || if becomes_smc_r(pod, server) { Ok(()) } else { Err("TCP".to_owned()) });
}

#[test]
fn ranges_in_the_settings_keep_others_on_tcp_within_seconds_and_no_server_is_blamed() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let _shared = cluster.share(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let [server, pod] = start_both(
        (&one, &annotated(lasting_server("ranged-server"))),
        (&two, &annotated(client("ranged-client"))),
    );
    server.configured_once();
    wait_until_served(&server);
    becomes_smc_r_at_last(&pod, &server.ip);

    let kept_out = allow(&one, "192.0.2.0/24");
    assert!(!becomes_smc_r(&pod, &server.ip), "it is in none of the ranges");
    fetch(&pod, &server.ip, 5);
    let judged = eventually(PATIENCE, || {
        let live = live(&server)?;
        let taken = live.offers_taken_out.get("not-allowed").copied().unwrap_or_default();
        if taken >= 6 { Ok(live) } else { Err(format!("{live:?}")) }
    });
    assert!(!judged.live.is_degraded(), "{judged:?}");
    assert_eq!(judged.peers_without_smc.total(), 0, "whoever was kept out has SMC: {judged:?}");
    let doctor = shell(&one, r#""$1" doctor || :"#, &[&smcctl()]);
    assert!(doctor.contains("only 192.0.2.0/24"), "{doctor}");
    assert!(!doctor.contains("Problems"), "{doctor}");

    // What cannot be read leaves that in force, and says so.
    shell(&one, SET, &[SETTINGS, "10.0.0.5/8"]);
    eventually(PATIENCE, || {
        let doctor = shell(&one, r#""$1" doctor || :"#, &[&smcctl()]);
        if doctor.contains("write 10.0.0.0/8 for the range") { Ok(()) } else { Err(doctor) }
    });
    assert!(!becomes_smc_r(&pod, &server.ip));

    let let_in = allow(&one, &format!("{}/32", pod.ip));
    becomes_smc_r_at_last(&pod, &server.ip);
    assert_ne!(live(&server).map(|live| live.live), Ok(LiveVerdict::Configured));
    let reset = allow(&one, "");
    assert!(becomes_smc_r(&pod, &server.ip));
    eprintln!("ranges were in force after {kept_out:?}, {let_in:?} and, without any, {reset:?}");
    assert!([kept_out, let_in, reset].into_iter().all(|took| took < SOON));
}

#[test]
fn a_pods_own_ranges_hold_for_it_alone_and_come_back_when_they_are_lost() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let _shared = cluster.share(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let own =
        annotated(lasting_server("choosy")).annotate(INBOUND_PEERS_ANNOTATION, "192.0.2.0/24, fd00::/8");
    let [choosy, open] = start_both((&one, &own), (&one, &annotated(lasting_server("open"))));
    let pod = start(&two, &annotated(client("stranger")));
    for server in [&choosy, &open] {
        server.configured_once();
        wait_until_served(server);
    }
    becomes_smc_r_at_last(&pod, &open.ip);
    assert!(!becomes_smc_r(&pod, &choosy.ip));
    let record = choosy.configured();
    assert_eq!(record.owned.peers.map(|peers| peers.to_string()).as_deref(), Some("192.0.2.0/24, fd00::/8"));

    // Somebody takes away what the kernel holds of it.
    shell(&one, "rm /sys/fs/bpf/kube-smc/allowed_peers", &[]);
    eventually(PATIENCE, || {
        let log = agent::log(&one);
        if log.contains("who may speak SMC with 1 of the pods' addresses was removed") {
            Ok(())
        } else {
            Err(log)
        }
    });
    assert!(!becomes_smc_r(&pod, &choosy.ip));
    assert!(becomes_smc_r(&pod, &open.ip));

    let wrong = annotated(client("wrong-ranges")).annotate(INBOUND_PEERS_ANNOTATION, "10.0.0.5/8");
    let refused = start(&one, &wrong).refused();
    assert!(
        matches!(&refused, Reason::InboundPeersInvalid { why, .. } if why.contains("10.0.0.0/8")),
        "{refused}"
    );
    let misspelt =
        annotated(client("misspelt-ranges")).annotate("smc.asm.alibabacloud.com/inbound-peer", "10.0.0.0/8");
    let refused = start(&one, &misspelt).record().verdict;
    assert!(
        matches!(&refused, Some(Verdict::Refused { reason: Reason::AnnotationMisspelt { .. } })),
        "{refused:?}"
    );
}

fn smcctl() -> String {
    repository().join("target/dist/smcctl").display().to_string()
}
