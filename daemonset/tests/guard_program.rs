//! The same-node guard's pins, and its program at an interface, against a real kernel: needs root, and no SMC.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use smc_agent::node::bpf::{ConversionProgram, EnsuredGuard, GuardProgram, PinnedGuard};
use smc_host::guard::peers::PEERS_NAME;
use smc_host::guard::{self, COUNTS_NAME, Guard, PROGRAM_NAME, SOURCES_NAME, SPARED_NAME};
use smc_host::netlink::Connection;
use smc_host::netns::Netns;
use smc_model::{StripCause, SynOption};
use support::{BpfFs, run};
use test_support::TestNetns;

fn mainlines_offer() -> SynOption {
    SynOption { kind: 254, data: vec![0xe2, 0xd4, 0xc3, 0xd9] }
}

fn ensure(pins: &Path) -> EnsuredGuard {
    GuardProgram::ensure(pins, &mainlines_offer()).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_program_is_pinned_once_and_what_is_lost_is_made_again_without_the_rest() {
    let Some(bpffs) = BpfFs::mount() else { return };
    let pins = bpffs.pins();
    assert_eq!(PinnedGuard::look(&pins).unwrap(), None);
    assert!(Guard::open_if_there(&pins).unwrap().is_none());
    assert_eq!(ensure(&pins), EnsuredGuard::Made { replaced: false });
    let guard = Guard::open(&pins).unwrap();
    for source in ["10.0.0.5", "fd00::5"] {
        guard.strip(address(source), StripCause::Pod).unwrap();
    }
    let first = PinnedGuard::look(&pins).unwrap();
    assert_eq!(ensure(&pins), EnsuredGuard::Adopted);
    assert_eq!(PinnedGuard::look(&pins).unwrap(), first);

    // The program alone: the maps stay, with what is in them.
    fs::remove_file(pins.join(PROGRAM_NAME)).unwrap();
    assert_eq!(PinnedGuard::look(&pins).unwrap(), None);
    assert_eq!(ensure(&pins), EnsuredGuard::Made { replaced: false });
    assert_eq!(Guard::open(&pins).unwrap().sources().unwrap().len(), 2);

    // A map: whoever has the program before must get the new one.
    for name in [SOURCES_NAME, SPARED_NAME, PEERS_NAME, COUNTS_NAME] {
        fs::remove_file(pins.join(name)).unwrap();
        assert_eq!(ensure(&pins), EnsuredGuard::Made { replaced: true }, "{name}");
        assert_eq!(ensure(&pins), EnsuredGuard::Adopted, "{name}");
    }
    assert_eq!(Guard::open(&pins).unwrap().sources().unwrap().len(), 0);

    // Another kernel's offer makes another program.
    let other = SynOption { kind: 254, data: vec![1, 2, 3, 4] };
    assert_eq!(GuardProgram::ensure(&pins, &other).unwrap(), EnsuredGuard::Made { replaced: true });
    let unknown = SynOption { kind: 253, data: vec![1] };
    assert_eq!(GuardProgram::ensure(&pins, &unknown).unwrap(), EnsuredGuard::UnknownOffer);

    assert!(ConversionProgram::remove(&pins).unwrap().guard);
    assert!(!pins.exists());
}

#[test]
fn a_map_of_another_layout_is_made_anew() {
    let Some(bpffs) = BpfFs::mount() else { return };
    let pins = bpffs.pins();
    ensure(&pins);
    // The one of counts in the place of the one of sources.
    fs::rename(pins.join(COUNTS_NAME), pins.join(SOURCES_NAME)).unwrap();
    assert!(Guard::open(&pins).is_err());
    assert_eq!(ensure(&pins), EnsuredGuard::Made { replaced: true });
    Guard::open(&pins).unwrap().strip(address("10.0.0.5"), StripCause::Pod).unwrap();
}

#[test]
fn sources_are_put_in_and_taken_out_each_for_its_reason() {
    let Some(bpffs) = BpfFs::mount() else { return };
    ensure(&bpffs.pins());
    let guard = Guard::open(&bpffs.pins()).unwrap();
    let (pod, node) = (address("10.0.0.5"), address("10.0.0.1"));
    guard.strip(pod, StripCause::Pod).unwrap();
    guard.strip(node, StripCause::Node).unwrap();
    guard.strip(node, StripCause::Node).unwrap();
    assert_eq!(guard.sources().unwrap(), [(pod, StripCause::Pod), (node, StripCause::Node)].into());
    assert_eq!(guard.strips(pod).unwrap(), Some(StripCause::Pod));
    // Somebody who gives a pod the node's address, and takes it away again.
    guard.strip(node, StripCause::Pod).unwrap();
    guard.leave(node, StripCause::Pod).unwrap();
    assert_eq!(guard.strips(node).unwrap(), Some(StripCause::Node));
    guard.leave(pod, StripCause::Pod).unwrap();
    guard.leave(pod, StripCause::Pod).unwrap();
    assert_eq!(guard.strips(pod).unwrap(), None);
    guard.count_for(pod).unwrap();
    guard.count_for(pod).unwrap();
    assert_eq!(guard.stripped().unwrap(), 0);
    guard.count_no_more(pod).unwrap();
    guard.count_no_more(pod).unwrap();
}

/// What `tc` says of the programs at an interface's ingress.
fn shown(netns: &TestNetns, interface: &str) -> String {
    let arguments = ["netns", "exec", netns.name(), "tc", "filter", "show", "dev", interface, "ingress"];
    String::from_utf8(Command::new("ip").args(arguments).output().unwrap().stdout).unwrap()
}

#[test]
fn an_interface_gets_the_program_beside_those_of_others_and_loses_it_again() {
    let Some(bpffs) = BpfFs::mount() else { return };
    ensure(&bpffs.pins());
    let guard = Guard::open(&bpffs.pins()).unwrap();
    let theirs = format!(
        "filter add dev eth0 ingress prio 7 protocol all bpf da pinned {}",
        bpffs.pins().join(PROGRAM_NAME).display()
    );
    // Nobody's queue, a queue of kind ingress, and one with a filter of somebody else's.
    for (label, before) in [
        ("bare", &[][..]),
        ("ingress", &["qdisc add dev eth0 ingress"][..]),
        ("others", &["qdisc add dev eth0 clsact", &theirs][..]),
    ] {
        let netns = support::netns();
        test_support::ip(&[
            "-n",
            netns.name(),
            "link",
            "add",
            "eth0",
            "type",
            "veth",
            "peer",
            "name",
            "eth1",
        ]);
        test_support::ip(&["-n", netns.name(), "address", "add", "10.0.0.5/24", "dev", "eth0"]);
        for command in before {
            let command: Vec<&str> = command.split(' ').collect();
            run(&[&["ip", "netns", "exec", netns.name(), "tc"][..], &command].concat());
        }
        let mut route: Connection = Netns::open(netns.path()).unwrap().connect().unwrap().route;
        let eth0 = route.link_index("eth0").unwrap().unwrap();
        assert_eq!(guard::unguarded(&mut route, None).unwrap(), ["eth0"], "{label}");
        assert!(!guard.is_attached(&mut route, eth0).unwrap(), "{label}");

        guard.attach(&mut route, eth0).unwrap();
        guard.attach(&mut route, eth0).unwrap();
        assert!(guard.is_attached(&mut route, eth0).unwrap(), "{label}");
        assert_eq!(guard::unguarded(&mut route, None).unwrap(), [""; 0], "{label}");
        let said = shown(&netns, "eth0");
        assert_eq!(said.matches("kube-smc direct-action").count(), 1, "{label}: {said}");
        assert_eq!(said.contains("pref 7"), label == "others", "{said}");

        // The one that is pinned now is another.
        GuardProgram::ensure(&bpffs.pins(), &SynOption { kind: 254, data: vec![1, 2, 3, 4] }).unwrap();
        let other = Guard::open(&bpffs.pins()).unwrap();
        assert!(!other.is_attached(&mut route, eth0).unwrap() && guard::has_any(&mut route, eth0).unwrap());
        let pinned = guard::pinned_program(&bpffs.pins()).unwrap();
        assert_eq!(guard::unguarded(&mut route, pinned).unwrap(), ["eth0"], "it has another one");
        other.attach(&mut route, eth0).unwrap();
        assert!(other.is_attached(&mut route, eth0).unwrap());
        assert_eq!(shown(&netns, "eth0").matches("kube-smc direct-action").count(), 1);

        guard::detach(&mut route, eth0).unwrap();
        guard::detach(&mut route, eth0).unwrap();
        assert!(!guard::has_any(&mut route, eth0).unwrap(), "{label}");
        assert_eq!(shown(&netns, "eth0").contains("pref 7"), label == "others", "{label}");
    }
}

#[test]
fn an_interface_whose_first_place_is_taken_is_refused_with_the_kernels_words() {
    let Some(bpffs) = BpfFs::mount() else { return };
    ensure(&bpffs.pins());
    let guard = Guard::open(&bpffs.pins()).unwrap();
    let netns = support::netns();
    test_support::ip(&["-n", netns.name(), "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
    // The kernel has one kind of filter, for one protocol, at each priority.
    let theirs = format!(
        "filter add dev eth0 ingress prio 1 protocol ip bpf da pinned {}",
        bpffs.pins().join(PROGRAM_NAME).display()
    );
    for command in ["qdisc add dev eth0 clsact", &theirs] {
        let command: Vec<&str> = command.split(' ').collect();
        run(&[&["ip", "netns", "exec", netns.name(), "tc"][..], &command].concat());
    }
    let mut route = Netns::open(netns.path()).unwrap().connect().unwrap().route;
    let eth0 = route.link_index("eth0").unwrap().unwrap();
    let error = guard.attach(&mut route, eth0).unwrap_err();
    assert!(error.with_cause().contains("attach the same-node guard"), "{}", error.with_cause());
    assert!(!guard.is_attached(&mut route, eth0).unwrap());
    assert!(!guard::has_any(&mut route, eth0).unwrap());
}
