//! The source anchor, and what others do to it.

use std::env;

use e2e::{
    Kernel, PATIENCE, agent, client, eventually, lasting_server, shell, start, two_nodes, wait_until_served,
};
use rig::host::{Node, PodSpec};
use smc_model::{ANNOTATION, Owned};

/// Asks a server ten times a second, each time anew, until it is interrupted; then says how often it did and how often in vain.
/// A ping would not tell: the host would answer it in the pod's place.
const ASK: &str = r#"
import http.client, sys, time
asked = failed = 0
try:
    while True:
        began = time.monotonic()
        try:
            connection = http.client.HTTPConnection(sys.argv[1], timeout=5)
            connection.request("GET", "/small")
            failed += connection.getresponse().status != 200
        except OSError:
            failed += 1
        asked += 1
        time.sleep(max(0, began + 0.1 - time.monotonic()))
except KeyboardInterrupt:
    print(asked, failed)
"#;

fn annotated(spec: PodSpec) -> PodSpec {
    spec.annotate(ANNOTATION, "true")
}

/// How often the node's agent has found a part of a source anchor gone.
#[track_caller]
fn losses(node: &Node<'_>) -> u32 {
    let script = r#"curl -sS -m 20 http://127.0.0.1:9810/metrics |
        awk '$1 == "kube_smc_losses_total{reason=\"SourceAnchorMissing\"}" { print $2 }'"#;
    shell(node, script, &[]).trim().parse().unwrap_or_default()
}

#[test]
fn whatever_is_done_to_the_anchor_link_no_pod_leaves_the_network_and_all_is_put_back_and_told() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(2);
    let _altered = cluster.alter(1);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let pod = start(&one, &annotated(lasting_server("anchored")));
    let owned = pod.configured_once().owned;
    wait_until_served(&pod);
    let whole = Kernel(&one).holds(&owned);
    assert!(!owned.held.is_empty() && owned.held == owned.anchored, "{owned:?}");
    let is_down = |node: &Node<'_>| !shell(node, "ip link show kubesmc0", &[]).contains(",UP");
    let asking = two.command(&["python3", "-c", ASK, &pod.ip]).spawn().unwrap();

    shell(&one, "ip link set kubesmc0 up; sleep 1; ip link set kubesmc0 down", &[]);
    for what in
        ["ip link set kubesmc0 up", "ip address flush dev kubesmc0", "ip route flush table local proto 83"]
    {
        let before = losses(&one);
        shell(&one, what, &[]);
        eventually(PATIENCE, || {
            let (told, seen) = (losses(&one) - before, Kernel(&one).holds(&owned));
            let all = told > 0 && seen == whole && is_down(&one);
            if all { Ok(()) } else { Err(format!("after `{what}`: told {told} times, now {seen:?}")) }
        });
    }

    asking.signal(2).unwrap();
    let said = String::from_utf8(asking.wait().unwrap().stdout).unwrap();
    let [asked, failed] = said.split_whitespace().map(|n| n.parse().unwrap()).collect::<Vec<u32>>()[..]
    else {
        panic!("{said}");
    };
    assert!(asked > 50 && failed == 0, "{failed} of {asked} requests failed");
}

/// How many pods the next test starts; 4 without it. By hand: `KUBE_SMC_TEST_PODS=50 hack/rig-tests two_nodes in_one_pass`.
const PODS: &str = "KUBE_SMC_TEST_PODS";

/// As a firewall's reload does, and whoever tidies up.
#[test]
fn what_all_pods_have_in_the_host_is_put_back_for_all_of_them_in_one_pass() {
    let count = env::var(PODS).map_or(4, |count| count.parse().unwrap());
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let pods: Vec<_> = (0..count).map(|n| start(&node, &annotated(client(&format!("mended-{n}"))))).collect();
    let owned: Vec<Owned> = pods.iter().map(|pod| pod.configured_once().owned).collect();
    let held = || owned.iter().map(|owned| Kernel(&node).holds(owned)).collect::<Vec<_>>();
    let whole = held();
    assert!(whole.iter().all(|parts| parts.len() == 4), "{whole:?}");
    for (what, parts) in [
        (
            "map=/sys/fs/bpf/kube-smc/strip_from; rm $map; until [ -e $map ]; do sleep 0.1; done",
            vec!["same-node guard's map"],
        ),
        ("ip link delete kubesmc0; ip route flush table local proto 83", vec!["kubesmc0"]),
        (
            "map=/sys/fs/bpf/kube-smc/converting_netns; rm $map; until [ -e $map ]; do sleep 0.1; done",
            vec!["BPF program's map"],
        ),
        (
            "pins=/sys/fs/bpf/kube-smc; rm -r $pins; until [ -e $pins/converting_netns ]; do sleep 0.1; done",
            vec![],
        ),
    ] {
        let said = agent::log(&node).len();
        shell(&node, what, &[]);
        eventually(PATIENCE, || {
            let seen = held();
            if seen == whole { Ok(()) } else { Err(format!("after `{what}`: {seen:?}")) }
        });
        for pod in &pods {
            assert_eq!(Kernel(&node).unguarded(&pod.netns_path()), [""; 0], "after `{what}`");
        }
        let log = agent::log(&node);
        let passes: Vec<&str> = log[said..].lines().filter(|line| line.contains("it was put back")).collect();
        for part in parts {
            let of_all = passes.iter().filter(|line| line.contains(part) && line.contains("count="));
            assert_eq!(of_all.count(), 1, "after `{what}`: {passes:#?}");
        }
    }
}

/// A pod with NET_ADMIN has every address that it likes; the host's routes tell whose it is.
#[test]
fn an_address_that_a_pod_took_from_another_stays_the_others() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let victim = start(&node, &annotated(lasting_server("victim")));
    let theirs = victim.configured_once().owned;
    wait_until_served(&victim);
    let routes = || {
        let script = r#"{ ip -4 route show table local proto 83; ip -4 route; } | grep -Fw "$1""#;
        shell(&node, script, &[&victim.ip])
    };
    let before = routes();

    let thief = start(&node, &client("thief"));
    let netns = format!("--net={}", thief.netns_path());
    let address = format!("{}/32", victim.ip);
    node.command(&["nsenter", &netns, "ip", "address", "add", &address, "dev", "eth0"]).check().unwrap();
    e2e::plugin::add(&thief);
    let taken = thief.configured().owned;
    assert_eq!(taken.addresses(), [thief.ip.parse().unwrap()].into(), "{taken:?}");
    assert_eq!(routes(), before);
    assert_eq!(Kernel(&node).holds(&theirs).len(), 4, "{theirs:?}");
    wait_until_served(&victim);
}
