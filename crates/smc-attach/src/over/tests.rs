use std::process::Command;

use smc_model::{Owned, Plan, Verdict};
use smc_state::{AttachmentId, Phase, PodName, RECORD_VERSION};

use test_support::TestNetns;

use super::*;

fn record(netns: &Path) -> Record {
    let opened = Netns::open(netns).ok();
    Record {
        version: RECORD_VERSION,
        phase: Phase::Settled,
        id: "id".to_owned(),
        network: "n".to_owned(),
        attachment: AttachmentId::new("c1", "eth0").unwrap(),
        pod: PodName::default(),
        netns: netns.to_owned(),
        netns_id: opened.map(|netns| netns.id()),
        cookie: None,
        verdict: Some(Verdict::Configured),
        seen: String::new(),
        remedy: String::new(),
        plan: Plan::default(),
        owned: Owned::default(),
        timings: Vec::new(),
        started_ms: 0,
        repaired_ms: None,
        unknown: serde_json::Map::default(),
    }
}

#[test]
fn what_is_left_of_a_pod_is_told_by_its_namespace_its_processes_and_the_hosts_way_to_it() {
    let Some(named) = TestNetns::new() else { return };
    // Of this machine's processes only the pod's: not every user may see all of them.
    let seen = tempfile::tempdir().unwrap();
    let (path, proc) = (named.path(), seen.path());
    let mut pod = record(path);
    let empty = Remains::Namespace { processes: false, reachable: false };
    assert_eq!(Remains::of(&pod, proc).unwrap(), empty);

    let mut running =
        Command::new("ip").args(["netns", "exec", named.name(), "sleep", "60"]).spawn().unwrap();
    let id = running.id().to_string();
    std::os::unix::fs::symlink(Path::new("/proc").join(&id), proc.join(&id)).unwrap();
    let mut remains = empty;
    for _ in 0..500 {
        remains = Remains::of(&pod, proc).unwrap();
        if remains != empty {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(remains, Remains::Namespace { processes: true, reachable: false });

    let id = pod.netns_id.unwrap();
    pod.netns_id = Some(smc_model::NetnsId { inode: id.inode + 1, ..id });
    assert_eq!(Remains::of(&pod, proc).unwrap(), Remains::Another);
    pod.netns_id = Some(id);
    named.delete();
    assert_eq!(Remains::of(&pod, proc).unwrap(), Remains::Nothing);
    // The mount point of one that was undone.
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(Remains::of(&record(file.path()), proc).unwrap(), Remains::Nothing);
}

#[test]
fn an_address_that_the_host_still_sends_into_the_namespace_is_reachable() {
    let Some(outer) = TestNetns::new() else { return };
    let home = Netns::open(outer.path()).unwrap();
    let pod = Netns::make().unwrap();
    let address = "10.99.0.7".parse().unwrap();
    let pair = smc_host::veth::Pair { host: "vethover", inside: "eth0", address };
    let mut host = home.run(|| Connection::open(Protocol::Route)).unwrap().unwrap();
    pair.connect(&mut host, &pod).unwrap();
    let mut record = record(&pod.path());
    record.owned.anchored.insert(address);
    let none_seen = tempfile::tempdir().unwrap();
    let look = || home.run(|| Remains::of(&record, none_seen.path())).unwrap().unwrap();
    assert!(matches!(look(), Remains::Namespace { reachable: true, .. }));
    let outer = host.link_index("vethover").unwrap().unwrap();
    smc_host::anchor::hold(&mut host, address, outer, None).unwrap();
    assert!(matches!(look(), Remains::Namespace { reachable: true, .. }));
    let deleted = home.run(|| {
        Command::new("ip")
            .args(["route", "del", "10.99.0.7/32"])
            .status()
            .is_ok_and(|status| status.success())
    });
    assert!(deleted.unwrap());
    assert!(matches!(look(), Remains::Namespace { reachable: false, .. }));
}

#[test]
fn only_what_is_left_without_a_namespace_or_empty_for_long_is_over() {
    let seconds = Duration::from_secs;
    let namespace = |processes, reachable| Remains::Namespace { processes, reachable };
    for (remains, young, old, ancient) in [
        (Remains::Nothing, false, true, true),
        (Remains::Another, false, true, true),
        (namespace(false, false), false, false, true),
        (namespace(true, false), false, false, false),
        (namespace(false, true), false, false, false),
        (namespace(true, true), false, false, false),
    ] {
        let over = [10, 100, 100_000].map(|age| remains.are_over(seconds(age)));
        assert_eq!(over, [young, old, ancient], "{remains:?}");
    }
}
