use super::*;

fn found(nets: &[&str], pods: &[&str], taken: &[&str]) -> Vec<String> {
    let nets: Vec<Ipv4Net> = nets.iter().map(|net| net.parse().unwrap()).collect();
    let set = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<BTreeSet<_>>();
    let mut all = set(taken);
    all.extend(set(pods));
    candidates(&nets, &set(pods), &all).take(4).map(|address| address.to_string()).collect()
}

#[test]
fn addresses_next_to_pods_come_first() {
    let found = found(&["10.0.0.11/24"], &["10.0.0.129"], &["10.0.0.130"]);
    assert_eq!(found, ["10.0.0.128", "10.0.0.131", "10.0.0.127", "10.0.0.132"]);
}

#[test]
fn without_pods_they_come_from_the_subnets_end_and_never_are_its_edges() {
    assert_eq!(found(&["10.0.0.11/24"], &[], &[]), ["10.0.0.254", "10.0.0.253", "10.0.0.252", "10.0.0.251"]);
    assert_eq!(found(&["10.0.0.1/30"], &["10.0.0.1"], &[]), ["10.0.0.2"]);
    assert!(found(&["10.0.0.1/32"], &[], &[]).is_empty());
}

#[test]
fn only_a_complete_entry_is_an_answer() {
    let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                 10.0.0.12        0x1         0x2         52:54:00:00:01:02     *        eri0\n\
                 10.0.0.99        0x1         0x0         00:00:00:00:00:00     *        eri0\n";
    assert!(is_complete(table, Ipv4Addr::new(10, 0, 0, 12)));
    assert!(!is_complete(table, Ipv4Addr::new(10, 0, 0, 99)));
    assert!(!is_complete(table, Ipv4Addr::new(10, 0, 0, 1)));
}
