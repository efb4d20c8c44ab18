use super::*;
use crate::netlink::Protocol;

/// Both ends in namespaces made for it, so that nothing outside is touched. Needs root.
#[test]
fn a_pair_carries_packets_and_goes_with_its_namespace() {
    if !test_support::as_root() {
        return;
    }
    let (outer, inner) = (Netns::make().unwrap(), Netns::make().unwrap());
    let address = Ipv4Addr::new(10, 9, 8, 7);
    let mut route = outer.run(|| Connection::open(Protocol::Route)).unwrap().unwrap();
    Pair { host: "vt0", inside: "eth0", address }.connect(&mut route, &inner).unwrap();
    let within = |netns: &Netns| netns.connect().unwrap();
    let addresses = crate::route::addresses(&mut within(&inner).route).unwrap();
    assert!(addresses.iter().any(|(_, net)| net.address() == address), "{addresses:?}");
    let way = crate::route::way_to(&mut route, address).unwrap().unwrap();
    assert!(way.interface.is_some() && !way.local);
    let way = crate::route::way_to(&mut within(&inner).route, Ipv4Addr::new(10, 1, 1, 1)).unwrap();
    assert!(way.is_some(), "no default route");
    drop(inner);
    for _ in 0..100 {
        if crate::route::links(&mut route).unwrap().iter().all(|link| link.name != "vt0") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the pair outlived its namespace");
}
