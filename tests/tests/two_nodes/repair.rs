//! Pods that the plugin missed are set up where they run, and the switch reaches pods that are set up.

use rig_tests::{
    PATIENCE, TestPod, agent, client, eventually, fetch, lasting_server, server, shell, start, start_both,
    two_nodes, wait_until_served,
};
use smc_model::{ANNOTATION, Reason, Verdict};
use smc_state::Record;
use xtask::counters::Counters;
use xtask::rig::{Ending, Node, PodSpec};

const LIST: &str = "/etc/cni/net.d/10-terway.conflist";

fn annotated(spec: PodSpec) -> PodSpec {
    spec.annotate(ANNOTATION, "true")
}

/// The pod's record once it is as `wanted` says.
#[track_caller]
fn record_once(pod: &TestPod<'_>, wanted: impl Fn(&Record) -> bool) -> Record {
    eventually(PATIENCE, || {
        let bytes = pod.record_bytes().ok_or_else(|| format!("{} has no record", pod.name))?;
        let record: Record = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        if wanted(&record) { Ok(record) } else { Err(format!("{record:?}")) }
    })
}

fn is_configured(record: &Record) -> bool {
    record.verdict == Some(Verdict::Configured)
}

/// Takes the plugin out of the node's chain, and waits until the runtime has seen it.
fn unchain(node: &Node<'_>) {
    let strip = r#"jq '.plugins |= map(select(.type != "smc-cni"))' "$1" >"$1.new" && mv "$1.new" "$1""#;
    shell(node, strip, &[LIST]);
    eventually(PATIENCE, || {
        let probe = start(node, &annotated(client("probe")));
        if probe.record_bytes().is_none() { Ok(()) } else { Err("the runtime still calls the plugin") }
    });
}

/// The process ids of everything that runs in the pod's network namespace.
fn processes(pod: &TestPod<'_>) -> String {
    shell(pod.node(), r#"ip netns pids "$(basename "$1")" | sort -n"#, &[&pod.netns_path()])
}

#[test]
fn pods_that_started_before_the_agent_are_set_up_in_place() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let _altered = cluster.alter(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let peer = start(&one, &annotated(lasting_server("repair-peer")));
    wait_until_served(&peer);
    let mut ended = agent::end(&two, Ending::Terminate);
    unchain(&two);
    let [early, listening] =
        start_both((&two, &annotated(client("early-client"))), (&two, &annotated(server("early-server"))));
    assert_eq!((early.record_bytes(), listening.record_bytes()), (None, None));
    wait_until_served(&listening);
    let before = (processes(&early), processes(&listening));

    let netns = format!("--net={}", early.netns_path());
    let url = format!("http://{}/small", peer.ip);
    let wrk = ["nsenter", &netns, "wrk", "-t1", "-c2", "-d600s", "--timeout", "60s", &url];
    let wrk = two.command(&wrk).spawn().unwrap();
    let established = || {
        let script = r#"nsenter "$1" ss -tnH state established "dst $2" | awk '{ print $3 }' | sort"#;
        shell(&two, script, &[&netns, &peer.ip])
    };
    let connections = eventually(PATIENCE, || {
        let seen = established();
        if seen.lines().count() == 2 { Ok(seen) } else { Err(format!("connections: {seen}")) }
    });

    ended.start();
    let record = record_once(&early, is_configured);
    assert!(record.repaired_ms.is_some());
    assert_eq!(established(), connections, "the same connections");
    wrk.signal(2).unwrap();
    let said = String::from_utf8(wrk.wait().unwrap().stdout).unwrap();
    assert!(said.contains(" requests in ") && !said.contains("errors"), "{said}");

    fetch(&early, &peer.ip, 2);
    assert_eq!(Counters::of(&early).unwrap().client.smcr, 2);

    let record = record_once(&listening, |record| record.verdict.as_ref().is_some_and(Verdict::is_set_up));
    let Some(Verdict::NeedsRestart { listeners }) = record.verdict else { panic!("{record:?}") };
    let nginx = &listeners[0];
    assert_eq!(nginx.port, 80);
    assert_eq!(nginx.process.as_ref().map(|process| process.name.as_str()), Some("nginx"), "{listeners:?}");
    fetch(&early, &listening.ip, 1);
    assert_eq!((processes(&early), processes(&listening)), before, "nobody was restarted");

    // The plugin is in the chain again.
    eventually(PATIENCE, || {
        let pod = start(&two, &annotated(client("after")));
        if pod.record_bytes().is_some() { Ok(()) } else { Err("the runtime does not call the plugin") }
    });
}

#[test]
fn a_listener_that_was_restarted_is_smc() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let _altered = cluster.alter(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let visitor = start(&one, &annotated(client("visitor")));
    let mut ended = agent::end(&two, Ending::Terminate);
    unchain(&two);
    // The pod's first process stays while nginx comes and goes.
    let pod = start(&two, &annotated(client("restarting")));
    let alone = processes(&pod);
    let nginx = || pod.exec(&["sh", "-c", "nginx -c /demo/nginx.conf >/dev/null 2>&1 &"]).unwrap();
    nginx();
    wait_until_served(&pod);
    ended.start();
    record_once(&pod, |record| matches!(record.verdict, Some(Verdict::NeedsRestart { .. })));
    shell(
        &two,
        r#"kill $(ip netns pids "$(basename "$1")" | xargs -I{} sh -c '[ "$(cat /proc/{}/comm)" = nginx ] && echo {}')"#,
        &[&pod.netns_path()],
    );
    eventually(PATIENCE, || {
        let seen = processes(&pod);
        if seen == alone { Ok(()) } else { Err(seen) }
    });
    nginx();
    wait_until_served(&pod);
    record_once(&pod, is_configured);
    fetch(&visitor, &pod.ip, 1);
    assert_eq!(Counters::of(&pod).unwrap().server.smcr, 1);
}

#[test]
fn the_switch_turns_new_connections_to_tcp_and_back_and_touches_no_pod() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let _altered = cluster.alter(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let [peer, pod] =
        start_both((&one, &annotated(server("switch-peer"))), (&two, &annotated(client("switched"))));
    pod.configured();
    wait_until_served(&peer);
    let before = processes(&pod);

    let mut on = agent::end(&two, Ending::Terminate);
    on.start_with(&["--mesh", "disabled"]);
    let off = record_once(&pod, |record| !is_configured(record));
    assert!(matches!(off.verdict, Some(Verdict::Refused { reason: Reason::SwitchedOff { .. } })), "{off:?}");
    fetch(&pod, &peer.ip, 1);
    let late = start(&two, &annotated(client("while-off")));
    assert!(matches!(late.refused(), Reason::SwitchedOff { .. }));

    agent::end(&two, Ending::Terminate).start();
    record_once(&pod, is_configured);
    record_once(&late, is_configured);
    fetch(&pod, &peer.ip, 2);
    let seen = Counters::of(&pod).unwrap().client;
    assert_eq!((seen.smcr, seen.fallbacks()), (2, 0), "one connection was none of SMC's");
    assert_eq!(processes(&pod), before);
}
