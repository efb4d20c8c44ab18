//! What other managers of SMC made is adopted where it serves, told, and left to them.

use e2e::{
    Kernel, PATIENCE, agent, client, eventually, fetch, plugin, server, shell, start, start_both, two_nodes,
    wait_until_served,
};
use rig::counters::Counters;
use rig::host::{Ending, Node, PodSpec};
use rig::layout::{ERDMA_PNETID, RDMA_DEVICE, RDMA_NIC};
use smc_model::{ANNOTATION, Note, Reason, Verdict};

const HOST: &str = "/proc/1/ns/net";

fn annotated(spec: PodSpec) -> PodSpec {
    spec.annotate(ANNOTATION, "true")
}

/// A PNETID on the node's RDMA port and an enterprise id that are not ours; gone when dropped.
struct Theirs<'n, 'a> {
    node: &'n Node<'a>,
    pnetid: String,
}

impl<'n, 'a> Theirs<'n, 'a> {
    const UEID: &'static str = "NEIGHBOURS-UEID";

    /// To be made while nothing of kube-smc is on the node.
    fn make(node: &'n Node<'a>, pnetid: &str) -> Self {
        let theirs = Self { node, pnetid: pnetid.to_owned() };
        Kernel(node).set_port(RDMA_DEVICE, pnetid);
        Kernel(node).add_ueid(Self::UEID);
        theirs
    }
}

impl Drop for Theirs<'_, '_> {
    fn drop(&mut self) {
        shell(self.node, r#"rm -f "$1""#, &[ERDMA_PNETID]);
        Kernel(self.node).drop_pnetid(HOST, &self.pnetid);
        Kernel(self.node).remove_ueid(Self::UEID);
    }
}

#[test]
fn the_pnetids_that_terway_gave_with_enable_erdma_are_adopted_and_outlast_us() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let _altered = cluster.alter(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let mut ended = agent::end(&two, Ending::Terminate);
    agent::uninstall(&two);
    // Terway's id is what follows the last "_" of the device's name.
    let theirs = Theirs::make(&two, "RXE0");
    shell(&two, r#"echo "$2" >"$1""#, &[ERDMA_PNETID, &theirs.pnetid]);
    let before = Kernel(&two).state(HOST);
    assert!(before.contains("port rxe0/1 RXE0") && before.contains("ueid NEIGHBOURS-UEID"), "{before}");

    let said = ended.start_chained(&[]);
    assert!(!said.contains("gave RDMA port") && said.contains("pnetid=\"RXE0\""), "{said}");
    let [server, pod] =
        start_both((&one, &annotated(server("erdma-server"))), (&two, &annotated(client("erdma"))));
    let record = pod.configured();
    assert_eq!(record.plan.bindings[0].pnetid.as_str(), "RXE0");
    assert_eq!((record.owned.named, record.plan.notes), ([].into(), vec![]));
    wait_until_served(&server);
    fetch(&pod, &server.ip, 2);
    assert_eq!(Counters::of(&pod).unwrap().client.smcr, 2);

    // Another pod's end takes nothing of theirs.
    drop(start(&two, &annotated(client("erdma-short"))));
    let mut ended = agent::end(&two, Ending::Terminate);
    agent::uninstall(&two);
    assert_eq!(Kernel(&two).state(HOST), before);
    assert_eq!(Kernel(&two).pnet_table(&pod.netns_path()), "netdev eth0 RXE0");
    drop(theirs);
    ended.start_chained(&[]);
}

/// `net.smc.tcp2smc`, which erdma-controller sets too, does not exist on this kernel.
#[test]
fn what_erdma_controller_set_is_adopted_and_an_id_that_it_shares_with_us_in_a_pod_stays() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let _altered = cluster.alter(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let mut ended = agent::end(&two, Ending::Terminate);
    agent::uninstall(&two);
    let mac = shell(&two, r#"tr -d : </sys/class/net/"$1"/address | tr a-f A-F"#, &[RDMA_NIC]);
    let theirs = Theirs::make(&two, &mac);
    let before = Kernel(&two).state(HOST);
    let said = ended.start_chained(&[]);
    assert!(!said.contains("gave RDMA port"), "{said}");

    let [server, early, late] = {
        let [server, early] =
            start_both((&one, &annotated(server("controller-server"))), (&two, &client("init-first")));
        [server, early, start(&two, &annotated(client("init-after")))]
    };
    // The controller's init container in one pod before us, and in the other after us.
    let inside = |pod: &e2e::TestPod<'_>, script: &str| {
        shell(&two, r#"nsenter --net="$1" sh -ec "$2""#, &[&pod.netns_path(), script])
    };
    for pod in [&early, &late] {
        inside(pod, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
    }
    Kernel(&two).set_pnetid(&early.netns_path(), "eth0", &mac);
    eventually(PATIENCE, || {
        plugin::add(&early);
        let record = early.record();
        if record.verdict == Some(Verdict::Configured) { Ok(()) } else { Err(record.seen) }
    });
    assert_eq!(early.configured().owned.named, [].into());
    assert_eq!(late.configured().owned.named.len(), 1);
    wait_until_served(&server);
    for pod in [&early, &late] {
        fetch(pod, &server.ip, 1);
        assert_eq!(Counters::of(pod).unwrap().client.smcr, 1, "{}", pod.name);
    }

    // Somebody gives the id that we gave to eth0 to another interface of that pod.
    inside(&late, "ip link add net1 type dummy");
    Kernel(&two).set_pnetid(&late.netns_path(), "net1", &mac);
    let mut ended = agent::end(&two, Ending::Terminate);
    let said = agent::uninstall(&two);
    assert!(said.contains(&format!("PNETID {mac}, which net1 has from somebody else")), "{said}");
    assert_eq!(Kernel(&two).state(HOST), before);
    assert_eq!(Kernel(&two).pnet_table(&early.netns_path()), format!("netdev eth0 {mac}"));
    let left = Kernel(&two).pnet_table(&late.netns_path());
    assert_eq!(left, format!("netdev eth0 {mac}\nnetdev net1 {mac}"));
    for pod in [&early, &late] {
        assert_eq!(inside(pod, "sysctl -n net.ipv6.conf.all.disable_ipv6"), "1", "{}", pod.name);
        assert!(
            Kernel(&two).state(&pod.netns_path()).contains("new TCP sockets are SMC: false"),
            "{}",
            pod.name
        );
    }
    drop(theirs);
    ended.start_chained(&[]);
}

/// Another agent's BPF program with a map of its own, which converts too; detached when dropped.
struct Converter<'n, 'a>(&'n Node<'a>);

impl<'n, 'a> Converter<'n, 'a> {
    const MAP: &'static str = "/sys/fs/bpf/neighbour/converting_netns";

    /// It attaches its program, knows of no pod that it could convert, and ends.
    fn attach(node: &'n Node<'a>) -> Self {
        let script = r#"
            "$1" run --mesh enabled --chain off --listen off --cri-socket /run/neighbour/none \
                --pin-dir /sys/fs/bpf/neighbour --state-dir /run/neighbour >/run/neighbour.log 2>&1 &
            for _ in $(seq 300); do
                if grep -q "watching pods" /run/neighbour.log; then break; fi
                sleep 0.2
            done
            kill $!
            wait
            test -e "$2""#;
        let converter = Self(node);
        shell(node, script, &[&agent::program(), Self::MAP]);
        converter
    }
}

impl Drop for Converter<'_, '_> {
    fn drop(&mut self) {
        shell(self.0, "rm -rf /sys/fs/bpf/neighbour /run/neighbour /run/neighbour.log", &[]);
    }
}

#[test]
fn a_pod_that_another_converter_converts_is_adopted_told_and_never_unconverted() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let _altered = cluster.alter(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let converter = Converter::attach(&two);
    let mut ended = agent::end(&two, Ending::Terminate);
    plugin::unchain(&two);
    let [server, pod] =
        start_both((&one, &annotated(server("foreign-server"))), (&two, &annotated(client("foreign"))));
    let cookie = Kernel(&two).convert(Converter::MAP, &pod.netns_path());
    let is_converted = || {
        let state = Kernel(&two).state(&pod.netns_path());
        assert!(state.contains("new TCP sockets are SMC: true"), "{state}");
        assert!(Kernel(&two).converting(Converter::MAP).contains(&cookie));
    };
    is_converted();

    ended.start();
    let record = pod.configured_once();
    assert_eq!((record.owned.converted, record.plan.notes), (None, vec![Note::ConversionAdopted]));
    eventually(PATIENCE, || {
        let log = agent::log(&two);
        let told = log.lines().any(|line| line.contains(&pod.name) && line.contains("not by kube-smc"));
        if told { Ok(()) } else { Err(log) }
    });
    wait_until_served(&server);
    fetch(&pod, &server.ip, 1);
    assert_eq!(Counters::of(&pod).unwrap().client.smcr, 1);

    let mut ended = agent::end(&two, Ending::Terminate);
    assert!(agent::uninstall(&two).contains("which is somebody else's"));
    is_converted();

    ended.start_chained(&["--mesh", "disabled"]);
    eventually(PATIENCE, || {
        plugin::add(&pod);
        let record = pod.record();
        if record.verdict.as_ref().and_then(Verdict::reason).is_some_and(Reason::is_switched_off) {
            Ok(())
        } else {
            Err(record.seen)
        }
    });
    is_converted();
    plugin::del(&two, &pod.sandbox_id);
    is_converted();
    drop(converter);
    agent::end(&two, Ending::Terminate).start();
}
