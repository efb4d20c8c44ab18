use super::*;

fn veth() -> Veth {
    Veth::new("0123456789abcdef", "eth0", Ipv4Addr::new(10, 0, 1, 1), None)
}

#[test]
fn the_hosts_end_is_named_cali_and_eleven_digits_and_fits_the_kernel() {
    let name = veth().host_name;
    assert_eq!(name.len(), 15);
    let digits = name.strip_prefix("cali").unwrap();
    assert!(digits.chars().all(|digit| digit.is_ascii_hexdigit()), "{name}");
}

#[test]
fn names_follow_from_container_and_interface() {
    assert_eq!(veth().host_name, veth().host_name);
    let other = Veth::new("0123456789abcdef", "eth1", Ipv4Addr::UNSPECIFIED, None);
    assert_ne!(veth().host_name, other.host_name);
    assert_ne!(veth().host_mac, veth().pod_mac);
}

#[test]
fn the_pod_gets_a_32_and_an_onlink_gateway() {
    let lines = veth().pod_batch();
    assert!(lines.contains("address add 10.0.1.1/32 dev eth0\n"));
    assert!(lines.contains("route add default via 169.254.1.1 dev eth0 onlink\n"));
    assert!(veth().host_batch(Path::new("/run/netns/x")).contains("netns /run/netns/x\n"));
}
