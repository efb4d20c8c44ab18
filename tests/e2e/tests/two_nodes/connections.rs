//! What connections between pods become, by the kernel's own counters.

use e2e::{
    Fetched, PATIENCE, agent, client, eventually, fetch, lasting_server, plugin, server, shell, start,
    start_both, two_nodes, wait_until_served,
};
use rig::counters::{Counters, RoleCounters};
use rig::host::PodSpec;
use smc_abi::fallback::PEERNOSMC;
use smc_model::{ANNOTATION, Reason, Verdict};

fn annotated(spec: PodSpec) -> PodSpec {
    spec.annotate(ANNOTATION, "true")
}

fn smcr(connections: u64) -> RoleCounters {
    RoleCounters { smcr: connections, ..RoleCounters::default() }
}

fn peer_without_smc(connections: u16) -> RoleCounters {
    RoleCounters { fallback: [(PEERNOSMC, connections)].into(), ..RoleCounters::default() }
}

#[test]
fn connections_of_annotated_pods_on_two_nodes_are_smc_r() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = [cluster.share(1), cluster.share(2)];
    let (one, two) = (cluster.node(1), cluster.node(2));
    let [server, client] =
        start_both((&one, &annotated(server("both-server"))), (&two, &annotated(client("both-client"))));
    server.configured();
    client.configured();
    wait_until_served(&server);

    fetch(&client, &server.ip, 3);
    let seen = Counters::of(&client).unwrap();
    assert_eq!(seen, Counters { client: smcr(3), server: RoleCounters::default() });
    let seen = Counters::of(&server).unwrap();
    assert_eq!(seen, Counters { client: RoleCounters::default(), server: smcr(3) });
}

#[test]
fn an_annotated_client_of_a_plain_server_speaks_tcp_and_the_server_counts_nothing() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = [cluster.share(1), cluster.share(2)];
    let (one, two) = (cluster.node(1), cluster.node(2));
    let [server, client] =
        start_both((&one, &server("plain-server")), (&two, &annotated(client("lone-client"))));
    wait_until_served(&server);

    fetch(&client, &server.ip, 3);
    let seen = Counters::of(&client).unwrap();
    assert_eq!(seen, Counters { client: peer_without_smc(3), server: RoleCounters::default() });
    assert_eq!(Counters::of(&server).unwrap(), Counters::default());
}

#[test]
fn a_plain_pod_leaves_no_trace_on_an_accelerated_node() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let node = cluster.node(1);
    let pod = start(&node, &server("untouched"));
    wait_until_served(&pod);

    fetch(&pod, &pod.ip, 1);
    assert_eq!(Counters::of(&pod).unwrap(), Counters::default());
    assert_eq!(pod.record_bytes(), None);
    for log in [agent::log(&node), agent::plugin_log(&node)] {
        assert!(!log.contains(&pod.name) && !log.contains(&pod.sandbox_id), "{log}");
    }
}

#[test]
fn two_annotated_pods_on_one_node_speak_tcp_at_once() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(2);
    let node = cluster.node(2);
    let [server, client] = start_both(
        (&node, &annotated(server("neighbour-server"))),
        (&node, &annotated(client("neighbour-client"))),
    );
    server.configured();
    client.configured();
    wait_until_served(&server);

    let Fetched { connected, .. } = fetch(&client, &server.ip, 3);
    assert!(connected.iter().all(|seconds| *seconds < 3.0), "{connected:?}");
    assert_eq!(Counters::of(&client).unwrap().client, peer_without_smc(3));
    let seen = Counters::of(&server).unwrap().server;
    assert_eq!((seen.smcr, seen.errors), (0, 0));
}

#[test]
fn live_connections_outlast_the_repair_of_their_pod() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = [cluster.share(1), cluster.share(2)];
    let (one, two) = (cluster.node(1), cluster.node(2));
    let [server, client] =
        start_both((&one, &annotated(lasting_server("lasting-server"))), (&two, &client("missed")));
    wait_until_served(&server);

    let netns = format!("--net={}", client.netns_path());
    let url = format!("http://{}/small", server.ip);
    let wrk = ["nsenter", &netns, "wrk", "-t1", "-c4", "-d600s", "--timeout", "60s", &url];
    let wrk = two.command(&wrk).spawn().unwrap();
    let established = || {
        let script = r#"nsenter "$1" ss -tnH state established "dst $2" | awk '{ print $3 }' | sort"#;
        shell(&two, script, &[&netns, &server.ip])
    };
    let before = eventually(PATIENCE, || {
        let seen = established();
        if seen.lines().count() == 4 { Ok(seen) } else { Err(format!("connections: {seen}")) }
    });

    // Emulated and this busy, the node may not be done within the plugin's budget, which must leave no trace either.
    eventually(PATIENCE, || {
        plugin::add(&client);
        match client.record().verdict {
            Some(Verdict::Refused { reason: reason @ Reason::BudgetExceeded { .. } }) => Err(reason),
            _ => Ok(()),
        }
    });
    client.configured();
    assert_eq!(established(), before, "the same four connections");
    fetch(&client, &server.ip, 2);
    assert_eq!(Counters::of(&client).unwrap().client, smcr(2));

    assert_eq!(established(), before, "the same four connections");
    // SIGINT: wrk ends and tells.
    wrk.signal(2).unwrap();
    let said = String::from_utf8(wrk.wait().unwrap().stdout).unwrap();
    let requests =
        said.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse::<u64>().ok());
    assert!(requests.is_some_and(|requests| requests > 0) && !said.contains("errors"), "{said}");
}
