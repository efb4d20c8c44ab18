use super::*;
use crate::release;

fn node() -> NodeFacts {
    let conversion = Conversion::Bpf { map: "/map".into(), protocol: 256 };
    NodeFacts { conversion, guard_pins: Some("/pins".into()), ..crate::plan::tests::examples::node() }
}

fn pod(conversion: PodConversion) -> PodFacts {
    PodFacts {
        primary: "eth0".into(),
        interfaces: Vec::new(),
        conversion,
        anchors: [(Ipv4Addr::new(10, 0, 0, 22), AnchorState::Anchored)].into(),
        guarded: [IpAddr::from([10, 0, 0, 22])].into(),
        peers: None,
        mptcp: false,
        keep_mptcp: false,
    }
}

fn owned() -> Owned {
    let address = Ipv4Addr::new(10, 0, 0, 21);
    let empty = PodFacts { anchors: [].into(), guarded: [].into(), ..pod(PodConversion::Off) };
    Owned::default().after(
        &[
            Step::HoldRoute { address, towards_pod: 5, source: None },
            Step::AnchorAddress { address, anchor: 7 },
            Step::Guard {
                address,
                interface: None,
                also: [Ipv6Addr::LOCALHOST].into(),
                pins: Some("/pins".into()),
                peers: None,
            },
            Step::ConvertByBpf { map: "/map".into(), keep_mptcp: false },
        ],
        &empty,
        &node(),
        Some(NetnsCookie(9)),
    )
}

#[test]
fn what_an_interrupted_run_left_in_place_is_owned_too() {
    let owned = Owned::default().after(&[], &pod(PodConversion::Ours), &node(), Some(NetnsCookie(9)));
    assert_eq!(release(&owned, &BTreeSet::new()).len(), 4);
}

#[test]
fn a_foreign_conversion_is_never_owned() {
    let owned = Owned::default().after(&[], &pod(PodConversion::Foreign), &node(), Some(NetnsCookie(9)));
    assert_eq!(owned.converted, None);
}

#[test]
fn an_interface_that_had_its_pnetid_before_us_is_not_ours_and_a_dropped_id_is_nobodys() {
    let set = |interface: &str, id: &str| Step::SetPnetid {
        interface: interface.to_owned(),
        pnetid: id.parse().unwrap(),
    };
    let after = |owned: Owned, steps: &[Step]| {
        owned.after(steps, &pod(PodConversion::Off), &node(), Some(NetnsCookie(9)))
    };
    let owned = after(Owned::default(), &[set("eth1", "NET1")]);
    assert_eq!(owned.named, [("eth1".to_owned(), "NET1".parse().unwrap())].into());
    let drop = Step::DropPnetid { pnetid: "NET1".parse().unwrap() };
    let owned = after(owned, &[drop, set("eth0", "NET2")]);
    assert_eq!(owned.named, [("eth0".to_owned(), "NET2".parse().unwrap())].into());
}

#[test]
fn conversion_ends_before_the_rest_is_taken_away() {
    let steps = release(&owned(), &BTreeSet::new());
    assert!(matches!(steps[0], Release::Unconvert { cookie: NetnsCookie(9), .. }));
    assert_eq!(steps.len(), 5, "of both families: {steps:?}");
    assert!(matches!(steps[4], Release::Unhold { .. }), "{steps:?}");
}

#[test]
fn an_address_that_another_pod_owns_stays() {
    let others = BTreeSet::from([IpAddr::from([10, 0, 0, 21]), Ipv6Addr::LOCALHOST.into()]);
    let steps = release(&owned(), &others);
    assert_eq!(steps.len(), 1, "only the conversion of the ended namespace: {steps:?}");
}
