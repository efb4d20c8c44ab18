//! The same-node guard: pods of one node talk plain TCP to each other at once, whatever stands or is done between them.

use e2e::{
    Kernel, PATIENCE, TestPod, agent, client, eventually, lasting_server, shell, start, start_both,
    two_nodes, wait_until_served,
};
use rig::counters::Counters;
use rig::host::{Node, PodSpec, repository};
use smc_model::ANNOTATION;

/// Connects twenty times a second until it is interrupted, each time for a small page; then says how often it did, how often in
/// vain, and how many milliseconds the slowest took.
const CONNECT: &str = r#"
import http.client, sys, time
asked = failed = slowest = 0
try:
    while True:
        began = time.monotonic()
        try:
            connection = http.client.HTTPConnection(sys.argv[1], timeout=10)
            connection.request("GET", "/small")
            failed += connection.getresponse().status != 200
            connection.close()
        except OSError:
            failed += 1
        asked += 1
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(max(0, began + 0.05 - time.monotonic()))
except KeyboardInterrupt:
    print(asked, failed, round(slowest * 1000))
"#;

/// What firewalls do: one that is reloaded, one that rewrites its tables as container engines do, one that is flushed.
const RELOADS: &str = r"
for round in 1 2 3 4 5; do
  nft flush ruleset
  nft -f - <<'RULES'
table inet firewall
flush table inet firewall
table inet firewall {
  chain forward { type filter hook forward priority filter; policy accept; ct state established,related accept; }
}
RULES
  iptables-restore <<'RULES'
*nat
:ENGINE - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j ENGINE
COMMIT
RULES
  sleep 1
done
nft flush ruleset";

fn smcctl() -> String {
    repository().join("target/dist/smcctl").display().to_string()
}

fn annotated(spec: PodSpec) -> PodSpec {
    spec.annotate(ANNOTATION, "true")
}

/// Has `pod` connect to `address` again and again while `meanwhile` runs, and returns how often; none may fail or take a second.
#[track_caller]
fn connects_meanwhile(pod: &TestPod<'_>, address: &str, meanwhile: impl FnOnce()) -> u64 {
    let netns = format!("--net={}", pod.netns_path());
    let command = ["nsenter", &netns, "python3", "-c", CONNECT, address];
    let asking = pod.node().command(&command).spawn().unwrap_or_else(|error| panic!("{error}"));
    meanwhile();
    let ended = asking.signal(2).and_then(|()| asking.wait()).unwrap_or_else(|error| panic!("{error}"));
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let numbers: Vec<u32> = said.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [asked, failed, slowest_ms] = numbers[..] else { panic!("{said}") };
    eprintln!("{asked} connections, {failed} failed, the slowest took {slowest_ms} ms");
    // How many there are is the machine's affair.
    assert!(asked >= 10 && failed == 0 && slowest_ms < 1000, "asked, failed, slowest in ms: {said}");
    asked.into()
}

#[test]
fn connections_on_one_node_neither_fail_nor_wait_while_firewalls_are_reloaded() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let [server, client] = start_both(
        (&node, &annotated(lasting_server("firewalled-server"))),
        (&node, &annotated(client("firewalled-client"))),
    );
    client.configured();
    wait_until_served(&server);
    let asked = connects_meanwhile(&client, &server.ip, || drop(shell(&node, RELOADS, &[])));
    let seen = Counters::of(&client).unwrap().client;
    assert_eq!(seen.smcr, 0, "{seen:?}");
    assert!(seen.fallbacks() >= asked, "their SYNs offered no SMC: {seen:?}");
}

/// A second interface with an address, as Multus gives one after the pod's own network.
#[track_caller]
fn add_macvlan(node: &Node<'_>, pod: &TestPod<'_>, address: &str) {
    let script = r#"
        ip link show guardtest0 >/dev/null 2>&1 || { ip link add guardtest0 type dummy; ip link set guardtest0 up; }
        ip link add link guardtest0 name "mv$3" netns "$1" type macvlan mode bridge
        nsenter "--net=$1" sh -ec '
            ip link set "$1" name net1
            ip address add "$2/24" dev net1
            ip address add "$3/64" dev net1 nodad
            ip link set net1 up' sh "mv$3" "$2" "$4""#;
    let last = address.rsplit('.').next().unwrap_or_default();
    shell(node, script, &[&pod.netns_path(), address, last, &sixth(address)]);
}

/// The IPv6 address beside an IPv4 address of the test's.
fn sixth(address: &str) -> String {
    format!("fd00:77::{}", address.rsplit('.').next().unwrap_or_default())
}

#[test]
fn an_interface_that_came_after_the_set_up_is_guarded_in_both_families_and_nobody_is_blamed() {
    const ADDRESSES: [&str; 2] = ["10.77.0.1", "10.77.0.2"];
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let pods = start_both(
        (&node, &annotated(lasting_server("two-networks-server"))),
        (&node, &annotated(client("two-networks-client"))),
    );
    let [server, client] = &pods;
    wait_until_served(server);
    for (pod, address) in pods.iter().zip(ADDRESSES) {
        pod.configured_once();
        add_macvlan(&node, pod, address);
        assert_eq!(Kernel(&node).unguarded(&pod.netns_path()), ["net1"]);
    }
    eventually(PATIENCE, || {
        let unguarded = pods.iter().flat_map(|pod| Kernel(&node).unguarded(&pod.netns_path()));
        let unguarded: Vec<String> = unguarded.collect();
        let guarded = Kernel(&node).guarded();
        let both = ADDRESSES.iter().flat_map(|address| [(*address).to_owned(), sixth(address)]);
        let all = both.into_iter().all(|address| guarded.contains(&address.parse().unwrap()));
        if unguarded.is_empty() && all { Ok(()) } else { Err(format!("{unguarded:?}, {guarded:?}")) }
    });
    connects_meanwhile(client, ADDRESSES[0], || std::thread::sleep(std::time::Duration::from_secs(5)));
    assert_eq!(Counters::of(client).unwrap().client.smcr, 0);
    // Nobody listens there: what matters is the SYN, which bore the offer before the program saw it.
    let before = Kernel(&node).stripped();
    let netns = format!("--net={}", client.netns_path());
    let ask =
        ["nsenter", &netns, "curl", "-sS", "-m", "10", &format!("http://[{}]:81/", sixth(ADDRESSES[0]))];
    let said = node.exec(&ask).unwrap();
    assert!(String::from_utf8_lossy(&said.stderr).contains("Failed to connect"), "{said:?}");
    assert_eq!(Kernel(&node).stripped() - before, 1);
    let log = agent::log(&node);
    let blamed = |line: &&str| line.contains("net1") && line.contains("WARN");
    assert_eq!(log.lines().filter(blamed).collect::<Vec<_>>(), [""; 0]);
    shell(&node, "ip link delete guardtest0", &[]);
}

/// Interfaces as datapaths give them to pods that pass the host's network stack by: each over a link of its own.
#[track_caller]
fn add_bypassing(node: &Node<'_>, pod: &TestPod<'_>, last: u8) {
    let script = r#"
        netns=$1 last=$2
        add() { # NAME NET KIND…
            name=$1 net=$2 link=by$1
            shift 2
            ip link show "$link" >/dev/null 2>&1 || { ip link add "$link" type dummy; ip link set "$link" up; }
            ip link add link "$link" name "$name$last" netns "$netns" type "$@"
            nsenter "--net=$netns" sh -ec '
                ip link set "$1" name "$2"
                ip address add "$3/24" dev "$2"
                ip link set "$2" up' sh "$name$last" "$name" "10.$net.0.$last"
        }
        add ipl2 78 ipvlan mode l2
        add ipl3 79 ipvlan mode l3
        add vepa 80 macvlan mode bridge"#;
    shell(node, script, &[&pod.netns_path(), &last.to_string()]);
}

#[test]
fn pods_on_ipvlan_and_macvlan_of_one_node_speak_tcp_at_once() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(2);
    let node = cluster.node(2);
    let pods = start_both(
        (&node, &annotated(lasting_server("bypassing-server"))),
        (&node, &annotated(client("bypassing-client"))),
    );
    let [server, client] = &pods;
    wait_until_served(server);
    for (pod, last) in pods.iter().zip([1, 2]) {
        pod.configured_once();
        add_bypassing(&node, pod, last);
    }
    eventually(PATIENCE, || {
        let unguarded: Vec<String> =
            pods.iter().flat_map(|pod| Kernel(&node).unguarded(&pod.netns_path())).collect();
        if unguarded.is_empty() { Ok(()) } else { Err(format!("{unguarded:?}")) }
    });
    for address in ["10.78.0.1", "10.79.0.1", "10.80.0.1"] {
        let before = (Counters::of(client).unwrap().client, Kernel(&node).stripped());
        let asked =
            connects_meanwhile(client, address, || std::thread::sleep(std::time::Duration::from_secs(4)));
        let seen = Counters::of(client).unwrap().client;
        assert_eq!((seen.smcr, seen.errors), (before.0.smcr, before.0.errors), "{address}: {seen:?}");
        assert!(Kernel(&node).stripped() - before.1 >= asked, "{address}: their SYNs passed the program");
    }
    shell(&node, "for link in byipl2 byipl3 byvepa; do ip link delete $link; done", &[]);
}

#[test]
fn pods_of_one_node_that_meet_by_an_address_that_nobody_knows_stop_stalling_and_no_path_is_blamed() {
    const MASQUERADE: &str = r#"
        nft add table ip guardtest
        nft 'add chain ip guardtest post { type nat hook postrouting priority 100; }'
        nft add rule ip guardtest post ip saddr "$1" ip daddr "$2" snat to 192.0.2.77"#;
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let [server, client] = start_both(
        (&node, &annotated(lasting_server("masked-server"))),
        (&node, &annotated(client("masked-client"))),
    );
    server.configured_once();
    client.configured_once();
    wait_until_served(&server);
    shell(&node, MASQUERADE, &[&client.ip, &server.ip]);
    // As with any that was not known before: it stalls, and what comes of it is not to be relied on.
    eventually(PATIENCE, || {
        let ask = ["curl", "-sS", "-m", "20", "-o", "/dev/null", &format!("http://{}/small", server.ip)];
        client.exec(&ask).map_err(|error| error.to_string())?;
        let log = agent::log(&node);
        if log.contains("timed out on both sides") { Ok(()) } else { Err(log) }
    });
    let before = Kernel(&node).stripped();
    let asked =
        connects_meanwhile(&client, &server.ip, || std::thread::sleep(std::time::Duration::from_secs(5)));
    assert!(Kernel(&node).stripped() - before >= asked, "their SYNs passed the program");
    let told = shell(&node, r#""$1" pods --json || :"#, &[&smcctl()]);
    for pod in [&server, &client] {
        let verdict = format!(r#"jq -r '.pods[] | select(.name == "{}") | .verdict'"#, pod.name);
        let verdict = shell(&node, &format!(r#"printf %s "$1" | {verdict}"#), &[&told]);
        assert_ne!(verdict, "degraded", "{told}");
    }
    shell(&node, "nft delete table ip guardtest", &[]);
}

#[test]
fn a_program_that_somebody_took_off_comes_back_and_is_told() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let pod = start(&node, &annotated(client("bared")));
    pod.configured_once();
    let netns = format!("--net={}", pod.netns_path());
    node.command(&["nsenter", &netns, "tc", "qdisc", "delete", "dev", "eth0", "clsact"]).check().unwrap();
    assert_eq!(Kernel(&node).unguarded(&pod.netns_path()), ["eth0"]);
    eventually(PATIENCE, || {
        let unguarded = Kernel(&node).unguarded(&pod.netns_path());
        if unguarded.is_empty() { Ok(()) } else { Err(format!("{unguarded:?}")) }
    });
    let log = agent::log(&node);
    let told = log.lines().any(|line| line.contains("its program is not on the pod's interface eth0"));
    assert!(told, "{log}");
}
