use super::*;

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn ipam(directory: &Path, last: &[u8]) -> Ipam {
    Ipam::new(directory.join("ipam"), last.iter().copied().map(address))
}

#[test]
fn two_owners_get_two_addresses_and_one_owner_keeps_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let ipam = ipam(directory.path(), &[1, 2]);
    assert_eq!(ipam.allocate("a", None).unwrap(), address(1));
    assert_eq!(ipam.allocate("b", None).unwrap(), address(2));
    assert_eq!(ipam.allocate("a", None).unwrap(), address(1));
}

#[test]
fn an_exhausted_pool_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let ipam = ipam(directory.path(), &[1]);
    ipam.allocate("a", None).unwrap();
    assert!(matches!(ipam.allocate("b", None), Err(IpamError::Exhausted)));
}

#[test]
fn a_released_address_is_the_last_to_be_given_again() {
    let directory = tempfile::tempdir().unwrap();
    let ipam = ipam(directory.path(), &[1, 2, 3]);
    ipam.allocate("a", None).unwrap();
    ipam.release("a").unwrap();
    let next: Vec<_> = ["b", "c", "d"].map(|owner| ipam.allocate(owner, None).unwrap()).into();
    assert_eq!(next, [address(2), address(3), address(1)]);
}

#[test]
fn releasing_twice_or_without_an_address_is_fine() {
    let directory = tempfile::tempdir().unwrap();
    let ipam = ipam(directory.path(), &[1]);
    ipam.release("a").unwrap();
    ipam.allocate("a", None).unwrap();
    ipam.release("a").unwrap();
    ipam.release("a").unwrap();
    assert_eq!(ipam.allocate("b", None).unwrap(), address(1));
}

#[test]
fn a_wanted_address_is_given_unless_taken_or_foreign() {
    let directory = tempfile::tempdir().unwrap();
    let ipam = ipam(directory.path(), &[1, 2]);
    assert_eq!(ipam.allocate("a", Some(address(2))).unwrap(), address(2));
    let taken = ipam.allocate("b", Some(address(2)));
    assert!(matches!(taken, Err(IpamError::Taken { owner, .. }) if owner == "a"));
    assert!(matches!(ipam.allocate("b", Some(address(9))), Err(IpamError::Foreign(_))));
}

#[test]
fn many_owners_at_once_never_share_an_address() {
    let directory = tempfile::tempdir().unwrap();
    let ipam = ipam(directory.path(), &(1..=40).collect::<Vec<_>>());
    let mut addresses: Vec<_> = std::thread::scope(|scope| {
        let ipam = &ipam;
        let threads: Vec<_> = (0..40)
            .map(|owner| scope.spawn(move || ipam.allocate(&owner.to_string(), None).unwrap()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 40);
}
