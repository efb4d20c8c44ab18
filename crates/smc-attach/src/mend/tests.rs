use std::process::Command;
use test_support::as_root;

use smc_host::route::Way;
use smc_host::veth::Pair;
use smc_model::{Owned, Plan};
use smc_state::{PodName, RECORD_VERSION};

use smc_host::netns::Netns;

use super::*;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 7);

fn record(pod: &Netns) -> Record {
    Record {
        version: RECORD_VERSION,
        phase: Phase::Settled,
        id: "id".to_owned(),
        network: "n".to_owned(),
        attachment: AttachmentId::new("c1", "eth0").unwrap(),
        pod: PodName::default(),
        netns: pod.path(),
        netns_id: Some(pod.id()),
        cookie: None,
        verdict: Some(Verdict::Configured),
        seen: String::new(),
        remedy: String::new(),
        plan: Plan::default(),
        owned: Owned { anchored: [ADDRESS].into(), held: [ADDRESS].into(), ..Owned::default() },
        timings: Vec::new(),
        started_ms: 0,
        repaired_ms: None,
        unknown: serde_json::Map::default(),
    }
}

/// The subnet of RDMA's network device holds the pods' addresses, so there always is some route.
#[test]
fn an_address_is_held_again_towards_its_own_pod_and_by_no_other_route() {
    if !as_root() {
        return;
    }
    let (host, pod) = (Netns::make().unwrap(), Netns::make().unwrap());
    let mut route = host.run(|| Connection::open(Protocol::Route)).unwrap().unwrap();
    Pair { host: "vt0", inside: "eth0", address: ADDRESS }.connect(&mut route, &pod).unwrap();
    let ip = |arguments: &str| {
        let run = || Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
        assert!(host.run(run).unwrap().success(), "ip {arguments}");
    };
    // Any link that is down will do for the anchor's.
    ip("link add kubesmc0 type bridge");
    ip("link add up0 type veth peer name up1");
    ip("address add 10.99.0.1/24 dev up0");
    ip("link set up0 up");
    ip("link set up1 up");
    let index = |route: &Connection, name| route.link_index(name).unwrap().unwrap();
    let (pair, uplink, link) = (index(&route, "vt0"), index(&route, "up0"), index(&route, "kubesmc0"));
    let record = record(&pod);
    let put_back = || {
        let mut done = Missing::default();
        let gone = [ADDRESS].into();
        host.run(|| put_back_anchors(&record, link, &gone, &mut done)).unwrap().unwrap();
        done
    };
    let done = put_back();
    assert_eq!((done.held.len(), done.anchored.len()), (1, 1));
    let held = Way { held: true, local: false, interface: Some(pair), straight: true, source: None };
    assert_eq!(route::way_to(&mut route, ADDRESS).unwrap(), Some(held));

    anchor::unhold(&mut route, ADDRESS, None).unwrap();
    ip("route delete 10.99.0.7/32 dev vt0");
    assert!(put_back().is_nothing());
    let way = route::way_to(&mut route, ADDRESS).unwrap().unwrap();
    assert_eq!((way.held, way.interface), (false, Some(uplink)));

    ip("route add blackhole 10.99.0.7/32");
    assert!(put_back().is_nothing());
    assert_eq!(route::way_to(&mut route, ADDRESS).unwrap(), None);
}
