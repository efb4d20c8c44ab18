//! Nodes and pods by chance: from few names, ids and addresses, so that they collide, and mostly healthy, so that
//! both outcomes are common.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::kernel::{HostAddress, Kernel};
use crate::{
    Anchor, Conversion, Datapath, Guard, Inbound, InterfaceKind, Ipv4Net, Kernel as KernelFact, KernelFamily,
    NodeFacts, PeerRanges, PnetId, PodConversion, PodInterface, RdmaNetdev, RdmaNetnsMode, RdmaPort, Switch,
    Ueid, decide,
};

/// What the properties are tried with. Nothing is written into the source tree.
pub(super) fn config() -> ProptestConfig {
    ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() }
}

/// Mostly `usual`, rarely `other`.
fn mostly<T: Clone + std::fmt::Debug + 'static>(usual: T, other: T) -> impl Strategy<Value = T> {
    prop_oneof![20 => Just(usual), 1 => Just(other)]
}

fn pnetid() -> impl Strategy<Value = PnetId> {
    select(vec!["A", "B", "C"]).prop_map(|id| id.parse().unwrap())
}

/// The pods' addresses: two subnets with four in each.
pub(super) fn pod_addresses() -> Vec<Ipv4Addr> {
    (0..2).flat_map(|subnet| (10..14).map(move |host| Ipv4Addr::new(10, 0, subnet, host))).collect()
}

fn netdev() -> impl Strategy<Value = RdmaNetdev> {
    let nets = vec!["10.0.0.2/24", "10.0.1.2/24", "10.0.1.3/25", "172.16.0.2/16"];
    (1..4_u32, subsequence(nets, 0..=2)).prop_map(|(index, nets)| RdmaNetdev {
        index,
        name: format!("eth{index}"),
        addresses: nets.into_iter().map(|net| net.parse().unwrap()).collect(),
    })
}

fn ports() -> impl Strategy<Value = Vec<RdmaPort>> {
    let port = (
        prop::bool::weighted(0.8),
        option::weighted(0.85, pnetid()),
        option::weighted(0.9, netdev()),
        0..3_usize,
    );
    vec(port, 0..5).prop_map(|ports| {
        let numbered = ports.into_iter().enumerate();
        numbered
            .map(|(n, (active, pnetid, netdev, pods))| RdmaPort {
                device: format!("rdma{}", n / 2),
                port: if n % 2 == 0 { 1 } else { 2 },
                active,
                pnetid,
                netdev,
                pods,
            })
            .collect()
    })
}

pub(super) fn node() -> impl Strategy<Value = NodeFacts> {
    let conversion = prop_oneof![
        10 => Just(Conversion::Tcp2smc),
        10 => Just(Conversion::Bpf { map: "/sys/fs/bpf/kube-smc/netns".into(), protocol: 256 }),
        1 => Just(Conversion::None { why: "no BTF".into() }),
    ];
    let guard = prop_oneof![
        10 => Just(Guard::Ready),
        5 => Just(Guard::NotNeeded),
        1 => Just(Guard::Missing { why: "no BPF".into() }),
    ];
    let anchor = prop_oneof![
        10 => Just(Anchor::Ready { index: 7 }),
        5 => Just(Anchor::NotNeeded),
        1 => Just(Anchor::Missing { why: "no link".into() }),
    ];
    let first = (
        select(vec![KernelFamily::Mainline, KernelFamily::Alibaba]),
        mostly(true, false),
        conversion,
        mostly(RdmaNetnsMode::Shared, RdmaNetnsMode::Exclusive),
        ports(),
    );
    let second = (
        mostly(vec![Ueid::default_ueid()], Vec::new()),
        guard,
        anchor,
        mostly(Switch::On, Switch::Off { why: "smcEnabled is false".into() }),
        mostly(false, true),
    );
    let ranges: PeerRanges = "10.0.0.0/8".parse().unwrap();
    let third = (
        prop::bool::weighted(0.7),
        mostly(Inbound::Any, Inbound::Only(ranges)),
        mostly(Vec::new(), vec!["CVE-1".to_owned()]),
    );
    (first, second, third).prop_map(|(first, (ueids, guard, anchor, switch, only_looked_at), third)| {
        let (pinned, inbound, refused_defects) = third;
        let (family, smc_loaded, conversion, rdma_netns_mode, ports) = first;
        let kernel = KernelFact { release: "6.12.117".into(), family };
        NodeFacts {
            kernel,
            smc_loaded,
            smc_missing: None,
            syn_option: None,
            smc_module: None,
            conversion,
            rdma_netns_mode,
            ports,
            ueids,
            guard_pins: (guard == Guard::Ready || guard == Guard::NotNeeded && pinned)
                .then(|| "/pins".into()),
            inbound,
            refused_defects,
            guard,
            anchor,
            datapath: Datapath::Netfilter,
            switch,
            only_looked_at,
        }
    })
}

fn interfaces() -> impl Strategy<Value = Vec<PodInterface>> {
    let net = (select(pod_addresses()), select(vec![24, 32]))
        .prop_map(|(a, length)| Ipv4Net::new(a, length).unwrap());
    let net6 = (1..4_u16).prop_map(|last| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last));
    let interface = (
        select(vec![InterfaceKind::Pair, InterfaceKind::Direct]),
        (prop_oneof![1 => vec(net.clone(), 0..1), 8 => vec(net, 1..3)], vec(net6, 0..2)),
        prop::bool::weighted(0.85),
        option::of(pnetid()),
        any::<bool>(),
    );
    vec(interface, 1..4).prop_map(|interfaces| {
        let named = ["eth0", "eth1", "veth1"].into_iter().zip(interfaces);
        named
            .map(|(name, (kind, (addresses, addresses6), routed, pnetid, guarded))| PodInterface {
                name: name.to_owned(),
                kind,
                addresses,
                addresses6,
                routed,
                pnetid,
                guarded,
            })
            .collect()
    })
}

/// How far an earlier run, or an earlier pod, got with an address: any point between two sub-steps of anchoring, or
/// on the anchor link with its local route and nothing that holds the pod's.
fn host_address() -> impl Strategy<Value = HostAddress> {
    let begun = select(vec![
        (false, false, false),
        (true, false, false),
        (true, true, true),
        (true, true, false),
        (false, true, false),
        (false, true, true),
    ]);
    (mostly(Some(21), None), begun).prop_map(|(towards_pod, (held, anchored, local))| HostAddress {
        towards_pod,
        held,
        anchored,
        local,
    })
}

/// A node with a pod on it.
pub(super) fn kernel() -> impl Strategy<Value = Kernel> {
    let conversion = prop_oneof![
        6 => Just(PodConversion::Off), 1 => Just(PodConversion::Ours), 1 => Just(PodConversion::Foreign),
    ];
    (
        node(),
        select(vec!["eth0", "eth0", "eth1", "net9"]),
        interfaces(),
        vec(host_address(), pod_addresses().len()),
        btree_set(select(pod_addresses()), 0..5),
        (
            conversion,
            mostly(None, Some("10.0.0.0/8".parse().unwrap())),
            btree_set(select(pod_addresses()), 0..5),
            (any::<bool>(), mostly(false, true)),
        ),
    )
        .prop_map(|(node, primary, interfaces, host, guard, (conversion, peers, said, mptcp))| Kernel {
            node,
            primary: primary.to_owned(),
            interfaces,
            host: pod_addresses().into_iter().zip(host).collect(),
            guard: guard.into_iter().map(IpAddr::V4).collect(),
            conversion,
            peers,
            said: said.into_iter().map(IpAddr::V4).collect(),
            mptcp: mptcp.0,
            keep_mptcp: mptcp.1,
        })
}

/// Without this the properties could hold because nothing is ever decided.
#[test]
fn what_is_generated_is_often_accepted_and_often_refused() {
    let mut runner = TestRunner::deterministic();
    let sample = (0..1000).map(|_| kernel().new_tree(&mut runner).unwrap().current());
    let accepted = sample.filter(|kernel| decide(&kernel.node, &kernel.observe()).is_ok()).count();
    assert!((250..750).contains(&accepted), "{accepted} of 1000");
}
