//! The same-node guard against the real nft and kernel, in a network namespace of its own.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use smc_agent::guard::{Deviation, Guard, GuardChange, GuardError, GuardState};
use smc_host::netlink::{Connection, Protocol};
use smc_host::netns::Netns;
use support::TestNetns;

const POD: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

struct Node {
    netns: TestNetns,
    guard: Guard,
}

impl Node {
    fn new(label: &str) -> Option<Self> {
        if !support::is_root() {
            support::cannot_run("making a network namespace needs root");
            return None;
        }
        let netns = TestNetns::new(label);
        let guard = Guard::with_command(["ip", "netns", "exec", netns.name(), "nft"]);
        Some(Self { netns, guard })
    }

    fn nft(&self, script: &str) {
        let mut child = Command::new("ip")
            .args(["netns", "exec", self.netns.name(), "nft", "-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{script}");
    }

    fn pods(&self) -> BTreeSet<Ipv4Addr> {
        match self.guard.observe().unwrap() {
            GuardState::Present { pods, .. } | GuardState::Altered { pods, .. } => pods,
            GuardState::Absent => panic!("no guard"),
        }
    }

    /// Makes the guard with a pod, breaks it, and lets it be repaired.
    fn repaired_after(&self, breakage: &str) -> Vec<Deviation> {
        self.guard.ensure().unwrap();
        self.nft(&format!("add element inet kube-smc local_pods {{ {POD} }}\n"));
        self.nft(breakage);
        let change = self.guard.ensure().unwrap();
        assert!(matches!(self.guard.observe().unwrap(), GuardState::Present { .. }), "{breakage}");
        assert_eq!(self.guard.ensure().unwrap(), GuardChange::Kept, "{breakage}");
        match change {
            GuardChange::Repaired(deviations) => deviations,
            other => panic!("{other:?} after {breakage}"),
        }
    }
}

#[test]
fn the_guard_is_made_once_and_then_kept() {
    let Some(node) = Node::new("made") else { return };
    assert_eq!(node.guard.observe().unwrap(), GuardState::Absent);
    assert_eq!(node.guard.ensure().unwrap(), GuardChange::Created);
    assert_eq!(node.guard.ensure().unwrap(), GuardChange::Kept);
    let empty = GuardState::Present { pods: BTreeSet::new(), guarded_connections: 0 };
    assert_eq!(node.guard.observe().unwrap(), empty);
}

#[test]
fn pods_put_into_the_set_over_netlink_are_kept_and_seen() {
    let Some(node) = Node::new("pods") else { return };
    node.guard.ensure().unwrap();
    let mut netfilter = Netns::open(&node.netns.path())
        .unwrap()
        .run(|| Connection::open(Protocol::Netfilter))
        .unwrap()
        .unwrap();
    smc_host::guard::add(&mut netfilter, POD).unwrap();
    assert_eq!(node.guard.ensure().unwrap(), GuardChange::Kept);
    assert_eq!(node.pods(), [POD].into());
    assert!(smc_host::guard::contains(&mut netfilter, POD).unwrap());
}

#[test]
fn a_missing_or_altered_chain_or_rule_is_repaired_and_the_pods_stay() {
    let Some(node) = Node::new("repair") else { return };
    let hook = |hook: &str| {
        format!(
            "flush chain inet kube-smc same_node\ndelete chain inet kube-smc same_node\n\
             add chain inet kube-smc same_node {{ type filter hook {hook} priority mangle; }}\n"
        )
    };
    for (breakage, expected) in [
        ("flush chain inet kube-smc same_node\n".to_owned(), vec![Deviation::RuleMissing]),
        (
            "flush chain inet kube-smc same_node\ndelete chain inet kube-smc same_node\n".to_owned(),
            vec![Deviation::ChainMissing],
        ),
        (hook("forward"), vec![Deviation::ChainAltered, Deviation::RuleMissing]),
        (
            "flush chain inet kube-smc same_node\n\
             add rule inet kube-smc same_node ip saddr @local_pods counter tcp option @254,16,32 set 0x01010101\n"
                .to_owned(),
            vec![Deviation::RuleMissing, Deviation::ForeignRules],
        ),
        ("insert rule inet kube-smc same_node accept\n".to_owned(), vec![Deviation::ForeignRules]),
    ] {
        assert_eq!(node.repaired_after(&breakage), expected, "{breakage}");
        assert_eq!(node.pods(), [POD].into(), "{breakage}");
    }
}

#[test]
fn a_dormant_table_or_another_kind_of_set_is_made_again_with_its_pods() {
    let Some(node) = Node::new("rebuild") else { return };
    assert_eq!(node.repaired_after("add table inet kube-smc { flags dormant; }\n"), [Deviation::TableFlags]);
    assert_eq!(node.pods(), [POD].into());

    let other_set = format!(
        "delete table inet kube-smc\nadd table inet kube-smc\n\
         add set inet kube-smc local_pods {{ type ipv4_addr; flags timeout; }}\n\
         add element inet kube-smc local_pods {{ {POD} timeout 1h, {NEIGHBOUR} }}\n"
    );
    assert_eq!(node.repaired_after(&other_set), [Deviation::SetAltered, Deviation::ChainMissing]);
    assert_eq!(node.pods(), [POD, NEIGHBOUR].into());
}

#[test]
fn other_peoples_tables_are_left_alone() {
    let Some(node) = Node::new("others") else { return };
    node.nft("add table inet other\nadd chain inet other kept\nadd table ip kube-smc\n");
    node.guard.ensure().unwrap();
    node.guard.remove().unwrap();
    node.guard.remove().unwrap();
    assert_eq!(node.guard.observe().unwrap(), GuardState::Absent);
    let ruleset =
        Command::new("ip").args(["netns", "exec", node.netns.name(), "nft", "list", "ruleset"]).output();
    let ruleset = String::from_utf8(ruleset.unwrap().stdout).unwrap();
    assert!(ruleset.contains("chain kept") && ruleset.contains("table ip kube-smc"), "{ruleset}");
}

#[test]
fn only_first_packets_between_two_pods_of_the_set_are_counted() {
    let Some(node) = Node::new("count") else { return };
    node.guard.ensure().unwrap();
    for address in [POD, NEIGHBOUR] {
        support::ip(&["-n", node.netns.name(), "addr", "add", &format!("{address}/32"), "dev", "lo"]);
    }
    let connect = || {
        let netns = Netns::open(&node.netns.path()).unwrap();
        let connected = netns.run(|| {
            let listener = std::net::TcpListener::bind((NEIGHBOUR, 0))?;
            let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
            client.bind(&std::net::SocketAddr::from((POD, 0)).into())?;
            client.connect(&listener.local_addr()?.into())
        });
        connected.unwrap().unwrap();
    };
    let counted = || match node.guard.observe().unwrap() {
        GuardState::Present { guarded_connections, .. } => guarded_connections,
        other => panic!("{other:?}"),
    };
    node.nft(&format!("add element inet kube-smc local_pods {{ {POD} }}\n"));
    connect();
    assert_eq!(counted(), 0, "one of the two is not an accelerated pod of this node");
    node.nft(&format!("add element inet kube-smc local_pods {{ {NEIGHBOUR} }}\n"));
    connect();
    assert_eq!(counted(), 1, "the SYN, and neither the SYN-ACK nor what follows");
}

#[test]
fn a_refused_transaction_changes_nothing() {
    let Some(node) = Node::new("refused") else { return };
    node.guard.ensure().unwrap();
    node.nft("flush chain inet kube-smc same_node\n");
    // An nft without the privilege to change anything, as in a container without CAP_NET_ADMIN.
    let powerless = Guard::with_command([
        "ip",
        "netns",
        "exec",
        node.netns.name(),
        "setpriv",
        "--bounding-set",
        "-net_admin",
        "nft",
    ]);
    let before = node.guard.observe().unwrap();
    let error = powerless.ensure().unwrap_err();
    assert!(
        matches!(&error, GuardError::Refused { message, .. } if message.contains("not permitted")),
        "{error}"
    );
    assert!(error.remedy().contains("CAP_NET_ADMIN"));
    assert_eq!(node.guard.observe().unwrap(), before);
}
