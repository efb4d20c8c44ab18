//! Pods that the plugin missed are set up where they run, and the switch reaches pods that are set up.

use e2e::{
    Kernel, PATIENCE, agent, client, eventually, fetch, lasting_server, plugin, server, shell, start,
    start_both, two_nodes, wait_until_served,
};
use rig::counters::Counters;
use rig::host::{Ending, PodSpec};
use smc_model::{ANNOTATION, Owned, Reason, Verdict};

fn annotated(spec: PodSpec) -> PodSpec {
    spec.annotate(ANNOTATION, "true")
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
    plugin::unchain(&two);
    let [early, listening] =
        start_both((&two, &annotated(client("early-client"))), (&two, &annotated(server("early-server"))));
    assert_eq!((early.record_bytes(), listening.record_bytes()), (None, None));
    wait_until_served(&listening);
    let before = (early.processes(), listening.processes());

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
    let record = early.configured_once();
    assert!(record.repaired_ms.is_some());
    assert_eq!(established(), connections, "the same connections");
    wrk.signal(2).unwrap();
    let said = String::from_utf8(wrk.wait().unwrap().stdout).unwrap();
    assert!(said.contains(" requests in ") && !said.contains("errors"), "{said}");

    fetch(&early, &peer.ip, 2);
    assert_eq!(Counters::of(&early).unwrap().client.smcr, 2);

    let record = listening.record_once(|record| record.verdict.as_ref().is_some_and(Verdict::is_set_up));
    let Some(Verdict::NeedsRestart { listeners }) = record.verdict else { panic!("{record:?}") };
    let nginx = &listeners[0];
    assert_eq!(nginx.port, 80);
    assert_eq!(nginx.process.as_ref().map(|process| process.name.as_str()), Some("nginx"), "{listeners:?}");
    fetch(&early, &listening.ip, 1);
    assert_eq!((early.processes(), listening.processes()), before, "nobody was restarted");

    // The plugin is in the chain again.
    eventually(PATIENCE, || {
        let pod = start(&two, &annotated(client("after")));
        if pod.record_bytes().is_some() { Ok(()) } else { Err("the runtime does not call the plugin") }
    });
}

/// The runtime's type tells that its pods have a kernel of their own; that it is runc all the same is the rig's makeshift.
#[test]
fn what_the_plugin_set_up_for_a_pod_of_virtual_machines_is_undone_when_the_runtime_lists_it() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(2);
    let two = cluster.node(2);
    let pod = start(&two, &annotated(client("virtual").runtime_handler("kata")));
    let record =
        pod.record_once(|record| record.verdict.as_ref().is_some_and(|verdict| !verdict.is_set_up()));
    let reason = Reason::OwnKernel { runtime: "kata (io.containerd.kata.v2)".to_owned() };
    assert_eq!(record.verdict, Some(Verdict::refused(reason)));
    assert_eq!((record.owned, Kernel(&two).pnet_table(&pod.netns_path())), (Owned::default(), String::new()));
    assert!(Kernel(&two).state(&pod.netns_path()).contains("new TCP sockets are SMC: false"));
    let beside = start(&two, &annotated(client("container")));
    beside.configured();
}

#[test]
fn a_listener_that_was_restarted_is_smc() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let _altered = cluster.alter(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let visitor = start(&one, &annotated(client("visitor")));
    let mut ended = agent::end(&two, Ending::Terminate);
    plugin::unchain(&two);
    // The pod's first process stays while nginx comes and goes.
    let pod = start(&two, &annotated(client("restarting")));
    let alone = pod.processes();
    let nginx = || pod.exec(&["sh", "-c", "nginx -c /demo/nginx.conf >/dev/null 2>&1 &"]).unwrap();
    nginx();
    wait_until_served(&pod);
    ended.start();
    pod.record_once(|record| matches!(record.verdict, Some(Verdict::NeedsRestart { .. })));
    shell(
        &two,
        r#"kill $(ip netns pids "$(basename "$1")" | xargs -I{} sh -c '[ "$(cat /proc/{}/comm)" = nginx ] && echo {}')"#,
        &[&pod.netns_path()],
    );
    eventually(PATIENCE, || {
        let seen = pod.processes();
        if seen == alone { Ok(()) } else { Err(seen) }
    });
    nginx();
    wait_until_served(&pod);
    pod.configured_once();
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
    let before = pod.processes();

    let mut on = agent::end(&two, Ending::Terminate);
    on.start_with(&["--mesh", "disabled"]);
    let off = pod.record_once(|record| record.verdict != Some(Verdict::Configured));
    assert!(off.verdict.as_ref().and_then(Verdict::reason).is_some_and(Reason::is_switched_off), "{off:?}");
    fetch(&pod, &peer.ip, 1);
    let late = start(&two, &annotated(client("while-off")));
    assert!(late.refused().is_switched_off());

    agent::end(&two, Ending::Terminate).start();
    pod.configured_once();
    late.configured_once();
    fetch(&pod, &peer.ip, 2);
    let seen = Counters::of(&pod).unwrap().client;
    assert_eq!((seen.smcr, seen.fallbacks()), (2, 0), "one connection was none of SMC's");
    assert_eq!(pod.processes(), before);
}
