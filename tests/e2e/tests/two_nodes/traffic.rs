//! What the agent tells of pods' traffic: live verdicts, their reasons, and what does not count.

use std::time::{Duration, Instant};

use e2e::{
    Kernel, PATIENCE, TestPod, agent, client, eventually, fetch, server, shell, start, start_both, two_nodes,
    wait_until_served,
};
use rig::host::{Ending, Node, PodSpec};
use smc_model::{ANNOTATION, LiveVerdict, Owned};
use smc_state::{LivePod, Traffic};

/// The agent is to name a fault within 30 s; the emulated nodes are slow.
const NAMED: Duration = Duration::from_secs(45);
/// A minute without failures, a look, and slow nodes.
const MENDED: Duration = Duration::from_secs(120);

fn annotated(spec: PodSpec) -> PodSpec {
    spec.annotate(ANNOTATION, "true")
}

/// What the agent publishes of a pod.
fn live(pod: &TestPod<'_>) -> Result<LivePod, String> {
    let text = shell(pod.node(), "cat /run/kube-smc/traffic.json 2>/dev/null || :", &[]);
    let file: Traffic = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    assert_eq!(file.no_events, None, "the kernel tells of fallbacks");
    let found = file.pods.into_iter().find(|other| other.attachment == pod.attachment());
    found.ok_or_else(|| format!("nothing of {}", pod.name))
}

/// The pod's entry once it is as `wanted` says.
#[track_caller]
fn live_once(pod: &TestPod<'_>, limit: Duration, wanted: impl Fn(&LivePod) -> bool) -> LivePod {
    eventually(limit, || {
        let live = live(pod)?;
        if wanted(&live) { Ok(live) } else { Err(format!("{live:?}")) }
    })
}

fn get(node: &Node<'_>, path: &str) -> String {
    shell(node, r#"curl -sS -m 20 "http://127.0.0.1:9810$1""#, &[path])
}

/// Fetches until the pod's entry is as `wanted` says.
#[track_caller]
fn fetch_until(pod: &TestPod<'_>, peer: &str, limit: Duration, wanted: impl Fn(&LivePod) -> bool) -> LivePod {
    let end = Instant::now() + limit;
    loop {
        fetch(pod, peer, 1);
        let seen = live(pod);
        match seen {
            Ok(live) if wanted(&live) => return live,
            seen => assert!(Instant::now() < end, "after {} s: {seen:?}", limit.as_secs()),
        }
    }
}

#[test]
fn a_pod_is_active_by_its_first_smc_r_connection_and_what_can_never_be_rdma_is_no_failure() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = [cluster.share(1), cluster.share(2)];
    let (one, two) = (cluster.node(1), cluster.node(2));
    let [peer, pod] =
        start_both((&one, &annotated(server("live-peer"))), (&two, &annotated(server("live-pod"))));
    let [plain, neighbour] =
        start_both((&one, &server("live-plain")), (&two, &annotated(server("live-neighbour"))));
    assert_eq!(live_once(&pod, PATIENCE, |_| true).live, LiveVerdict::Configured);
    for served in [&peer, &pod, &plain, &neighbour] {
        wait_until_served(served);
    }

    // Another pod's probes and scrapes, a neighbour, and hops within the pod.
    fetch(&pod, &plain.ip, 3);
    fetch(&plain, &pod.ip, 2);
    fetch(&pod, &neighbour.ip, 2);
    fetch(&pod, "127.0.0.1", 2);
    fetch(&pod, &pod.ip, 2);
    // Peers are told at once, the kernel's own counts with the next look.
    let counted = |live: &LivePod| live.fallbacks.iter().map(|fallback| fallback.count).sum::<u64>();
    let seen = live_once(&pod, PATIENCE, |live| live.peers_without_smc.total() >= 5 && counted(live) >= 7);
    assert_eq!(seen.peers_without_smc.counts, [(plain.ip.parse().unwrap(), 5)].into());
    assert_eq!(seen.live, LiveVerdict::Configured, "{seen:?}");

    fetch(&pod, &peer.ip, 2);
    for pod in [&pod, &peer] {
        // A look between the two connections sees one.
        let seen = live_once(pod, PATIENCE, |live| live.live == LiveVerdict::Active && live.smcr >= 2);
        assert_eq!(seen.smcr, 2, "{seen:?}");
    }
    let status: serde_json::Value = serde_json::from_str(&get(&two, "/status")).unwrap();
    let told = status["pods"].as_array().unwrap().iter().find(|told| told["name"] == pod.name.as_str());
    assert_eq!(told.unwrap()["live"]["verdict"]["is"], "active", "{status}");
    let metrics = get(&two, "/metrics");
    let labels = |family: &str| {
        let line = metrics.lines().find(|line| line.starts_with(family) && line.contains(&pod.name));
        line.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value.to_owned())
    };
    assert_eq!(labels("kube_smc_smcr_connections_total").as_deref(), Some("2"), "{metrics}");
    assert_eq!(labels("kube_smc_peer_without_smc_total").as_deref(), Some("5"), "{metrics}");
    assert!(metrics.contains("kube_smc_queue_pairs{device=\"rxe0\"}"), "{metrics}");
    assert!(agent::log(&two).contains("the kernel shows SMC-R connections of this pod"));
}

#[test]
fn a_peer_that_lost_its_ueid_is_named_and_the_pod_recovers() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let _shared = cluster.share(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let [peer, pod] =
        start_both((&one, &annotated(server("ueid-peer"))), (&two, &annotated(client("ueid-pod"))));
    wait_until_served(&peer);
    fetch_until(&pod, &peer.ip, PATIENCE, |live| live.live == LiveVerdict::Active);

    // With its agent it would have it again at once.
    let mut ended = agent::end(&one, Ending::Kill);
    Kernel(&one).remove_ueid("SMCV2-DEFAULT-UEID");
    let degraded = fetch_until(&pod, &peer.ip, NAMED, |live| live.live.is_degraded());
    assert_eq!(degraded.live.reason(), Some("UeidsDiffer"), "{degraded:?}");
    let log = agent::log(&two);
    assert!(log.contains("new connections are TCP. connections to other nodes fell back"), "{log}");

    ended.start();
    fetch_until(&pod, &peer.ip, MENDED, |live| live.live == LiveVerdict::Active);
    assert!(agent::log(&two).contains("new connections are SMC-R again"));
}

#[test]
fn a_pnetid_and_a_conversion_that_were_taken_away_are_reported_and_put_back() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(2);
    let node = cluster.node(2);
    let pod = start(&node, &annotated(client("robbed")));
    let record = pod.configured();
    let netns = pod.netns_path();
    let before = Kernel(&node).pnet_table(&netns);
    live_once(&pod, PATIENCE, |_| true);

    Kernel(&node).set_pnetid(&netns, "eth0", "FOREIGN");
    eventually(NAMED, || {
        let table = Kernel(&node).pnet_table(&netns);
        if table == before { Ok(()) } else { Err(table) }
    });
    let (map, cookie) = record.owned.converted.clone().unwrap();
    Kernel(&node).unconvert(&map.display().to_string(), cookie);
    let owned = Owned { converted: record.owned.converted, ..Owned::default() };
    eventually(NAMED, || if Kernel(&node).holds(&owned).len() == 1 { Ok(()) } else { Err("not converted") });
    let log = agent::log(&node);
    let told = |reason: &str| log.lines().any(|line| line.contains(reason) && line.contains(&pod.name));
    assert!(told("PnetidMismatch") && told("ConversionLost"), "{log}");
}

/// The number by which the node knows the pod's namespace, which the kernel gives free only when the namespace goes.
fn namespace_number(pod: &TestPod<'_>) -> Option<String> {
    let name = pod.netns_path();
    let script =
        r#"ip netns list-id | sed -n "s/^nsid \([0-9]*\) (iproute2 netns name: $(basename "$1"))$/\1/p""#;
    Some(shell(pod.node(), script, &[&name])).filter(|number| !number.is_empty())
}

#[test]
fn the_namespaces_of_removed_pods_go_while_metrics_are_scraped() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = (cluster.share(1), cluster.share(2));
    let (one, two) = (cluster.node(1), cluster.node(2));
    let [server, first] =
        start_both((&two, &annotated(server("scraped-server"))), (&one, &annotated(client("scraped-1"))));
    wait_until_served(&server);
    let second = start(&one, &annotated(client("scraped-2")));
    // Traffic, so that the agent looks and looks again.
    for pod in [&first, &second] {
        fetch(pod, &server.ip, 1);
        live_once(pod, NAMED, |live| live.live == LiveVerdict::Active);
    }
    let numbers: Vec<String> =
        [&first, &second].map(|pod| namespace_number(pod).expect("the kernel gave no number")).into();
    let scraping = "for _ in $(seq 200); do curl -fsS -m 20 http://127.0.0.1:9810/metrics >/dev/null; done";
    let scraper = one.command(&["sh", "-c", scraping]).spawn().unwrap();
    drop((first, second));
    eventually(PATIENCE, || {
        let listed = shell(&one, "ip netns list-id", &[]);
        // Another pod's namespace may have got the number, which then has a name.
        let alive = numbers
            .iter()
            .filter(|number| listed.lines().any(|line| line.trim_end() == format!("nsid {number}")));
        let alive: Vec<_> = alive.collect();
        if alive.is_empty() { Ok(()) } else { Err(format!("still there: {alive:?} of\n{listed}")) }
    });
    drop(scraper);
}
