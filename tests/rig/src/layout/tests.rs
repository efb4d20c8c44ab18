use std::collections::BTreeSet;

use super::*;

fn words() -> BootWords {
    BootWords {
        node: NodeNumber(2),
        kubernetes: true,
        dual_stack: false,
        containerd: Some("/var/cache/k/containerd".into()),
        tcp2smc: Some("/var/cache/k/tcp2smc-1.ko".into()),
        repository: "/src/kube-smc".into(),
        state: "/src/kube-smc/target/rig/a".into(),
        modules: "/var/cache/k/lib/modules".into(),
    }
}

#[test]
fn boot_words_survive_the_kernel_command_line() {
    let line = format!("console=ttyS0 quiet {} panic=-1\n", words().to_command_line().unwrap());
    assert_eq!(BootWords::parse(&line), Ok(words()));
    let own = BootWords { containerd: None, tcp2smc: None, ..words() };
    assert_eq!(BootWords::parse(&own.to_command_line().unwrap()), Ok(own));
}

#[test]
fn a_path_the_kernel_would_split_is_refused() {
    for path in ["/a b", "/a\tb", "/a\"b"] {
        let words = BootWords { state: path.into(), ..words() };
        assert_eq!(words.to_command_line(), Err(BootWordsError::Path(path.into())));
    }
}

#[test]
fn missing_and_senseless_words_are_errors() {
    let line = words().to_command_line().unwrap();
    let senseless = [
        ("rig.node=2", ""),
        ("rig.node=2", "rig.node=4"),
        ("rig.kubernetes=", "x="),
        ("rig.dual_stack=", "rig.dual_stack=per"),
    ];
    for (from, to) in senseless {
        assert!(BootWords::parse(&line.replace(from, to)).is_err(), "{from} -> {to}");
    }
    assert!(BootWords::parse(&line.replace("rig.state=/", "rig.state=")).is_err());
}

#[test]
fn the_nodes_pod_ranges_are_disjoint_and_in_the_nics_subnet() {
    let pods = NodeNumber::ALL.map(|node| node.pod_addresses().collect::<BTreeSet<_>>());
    assert_eq!(pods.each_ref().map(BTreeSet::len), [254; 3]);
    let all: BTreeSet<_> = pods.iter().flatten().copied().collect();
    assert_eq!(all.len(), 3 * 254);
    for address in all {
        assert_eq!(address.octets()[..2], [10, 0]);
        assert!(NodeNumber::ALL.iter().all(|node| node.address() != address));
        assert_ne!(address, OUTSIDE_ADDRESS);
    }
}

#[test]
fn the_second_family_has_as_many_addresses() {
    let second: BTreeSet<_> =
        NodeNumber::ALL.iter().flat_map(|node| node.pod_addresses()).map(second_family).collect();
    assert_eq!(second.len(), 3 * 254);
    assert_eq!(OUTSIDE_ADDRESS_V6.to_string(), "fd00:10::1");
    assert_eq!(NodeNumber(2).pod_network_v6(), "fd00:10:0:2::/64");
}

#[test]
fn there_are_nodes_one_to_three_only() {
    let known: Vec<u8> = (0..=255).filter(|number| NodeNumber::new(*number).is_some()).collect();
    assert_eq!(known, [1, 2, 3]);
}
