use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

const MAP: &str = "/map";
const PINS: &str = "/pins";

fn addresses() -> impl Strategy<Value = BTreeSet<Ipv4Addr>> {
    btree_set((1..6_u8).prop_map(|last| Ipv4Addr::new(10, 0, 0, last)), 0..4)
}

fn cookies() -> impl Strategy<Value = BTreeSet<NetnsCookie>> {
    btree_set((1..6_u64).prop_map(NetnsCookie), 0..4)
}

fn ranges() -> PeerRanges {
    "10.0.0.0/8, fd00::/8".parse().unwrap()
}

fn owned() -> impl Strategy<Value = Owned> {
    (addresses(), addresses(), addresses(), option::of(1..6_u64), any::<bool>()).prop_map(
        |(anchored, held, guarded, cookie, said)| {
            let converted = cookie.map(|cookie| (MAP.into(), NetnsCookie(cookie)));
            let (guard_pins, peers) = (Some(PINS.into()), said.then(ranges));
            Owned { anchored, held, guarded, guard_pins, peers, converted, ..Owned::default() }
        },
    )
}

/// Some as they should be, some not.
fn peers() -> impl Strategy<Value = BTreeMap<IpAddr, PeerRules>> {
    let rules = |address: Ipv4Addr| {
        let full = ranges().rules(address.into());
        let part = full.clone().into_iter().take(1).collect();
        (address.into(), if address.octets()[3].is_multiple_of(2) { full } else { part })
    };
    addresses().prop_map(move |said| said.into_iter().map(rules).collect())
}

fn state() -> impl Strategy<Value = HostState> {
    let parts = (option::of(addresses()), option::of(addresses()), option::of(addresses()));
    (parts, option::of(cookies()), peers()).prop_map(|((anchored, held, guarded), cookies, peers)| {
        HostState {
            anchored,
            held,
            superseded: BTreeSet::new(),
            stripped_nodes: BTreeSet::new(),
            peers: if guarded.is_some() { peers } else { BTreeMap::new() },
            guarded: guarded.map(|guarded| (PINS.into(), guarded.into_iter().map(IpAddr::V4).collect())),
            converting: cookies.map(|cookies| (MAP.into(), cookies)),
        }
    })
}

/// The kernel after both.
fn after(state: &HostState, missing: &Missing, strays: &[Release]) -> HostState {
    let mut state = state.clone();
    let put = |into: &mut Option<BTreeSet<Ipv4Addr>>, what: &BTreeSet<Ipv4Addr>| {
        if let Some(into) = into {
            into.extend(what);
        }
    };
    put(&mut state.anchored, &missing.anchored);
    put(&mut state.held, &missing.held);
    if let Some((_, guarded)) = &mut state.guarded {
        guarded.extend(&missing.guarded);
    }
    state.peers.extend(missing.peers.iter().map(|(address, peers)| (*address, peers.rules(*address))));
    if let Some((_, cookies)) = &mut state.converting {
        cookies.extend(&missing.converting);
    }
    for stray in strays {
        let there = match stray {
            Release::Unconvert { cookie, .. } => state.converting.as_mut().unwrap().1.remove(cookie),
            Release::Unguard { address, .. } => {
                state.peers.remove(address);
                state.guarded.as_mut().unwrap().1.remove(address)
            }
            // The one before may have done it.
            Release::AllowAll { address, .. } => {
                state.peers.remove(address);
                true
            }
            Release::Unanchor { address } => state.anchored.as_mut().unwrap().remove(address),
            Release::Unhold { address } => state.held.as_mut().unwrap().remove(address),
        };
        assert!(there, "{stray:?}");
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_pass_brings_the_kernel_to_what_the_records_say(
        owned in vec((owned(), any::<bool>()), 0..5),
        state in state(),
    ) {
        let holdings: Vec<Holding<'_>> =
            owned.iter().map(|(owned, stands)| Holding { owned, stands: *stands }).collect();
        let (missing, strays) = (state.missing(&holdings), state.strays(&holdings));
        let after = after(&state, &missing, &strays);
        prop_assert!(after.missing(&holdings).is_nothing());
        prop_assert_eq!(after.strays(&holdings), []);
        for (owned, stands) in &owned {
            let guarded = after.guarded.as_ref();
            prop_assert!(!stands || guarded.is_none_or(|(_, there)| owned.in_guard().all(|own| there.contains(&own))));
            for (address, peers) in owned.peers.iter().flat_map(|peers| owned.in_guard().map(move |own| (own, peers))) {
                let agreed = agreed_peers(&holdings).contains_key(&address);
                let said = after.peers.get(&address) == Some(&peers.rules(address));
                prop_assert!(!stands || after.guarded.is_none() || said == agreed, "{}", address);
            }
            for (there, own) in [(&after.anchored, &owned.anchored), (&after.held, &owned.held)] {
                prop_assert!(!stands || there.as_ref().is_none_or(|there| own.is_subset(there)));
            }
            for stray in &strays {
                let taken = match stray {
                    Release::Unconvert { cookie, .. } => owned.converted == Some((MAP.into(), *cookie)),
                    Release::Unguard { address, .. } => owned.all_addresses().contains(address),
                    Release::AllowAll { address, .. } => agreed_peers(&holdings).contains_key(address),
                    Release::Unanchor { address }
                    | Release::Unhold { address } => owned.addresses().contains(address),
                };
                prop_assert!(!taken, "{:?} is owned", stray);
            }
        }
    }
}

#[test]
fn what_the_node_has_no_part_for_is_neither_missing_nor_stray() {
    let address = BTreeSet::from([Ipv4Addr::new(10, 0, 0, 1)]);
    let pins = Some(PINS.into());
    let owned = Owned { anchored: address.clone(), guarded: address, guard_pins: pins, ..Owned::default() };
    let holdings = [Holding { owned: &owned, stands: true }];
    assert!(HostState::default().missing(&holdings).is_nothing());
    assert_eq!(HostState::default().strays(&holdings), []);
}

#[test]
fn who_is_guarded_as_earlier_versions_did_is_set_up_anew_and_not_called_lost() {
    let owned = Owned { guarded: [Ipv4Addr::new(10, 0, 0, 1)].into(), ..Owned::default() };
    let state = HostState { guarded: Some((PINS.into(), BTreeSet::new())), ..HostState::default() };
    assert!(state.missing(&[Holding { owned: &owned, stands: true }]).is_nothing());
    assert!(owned.is_of_earlier_version());
}

#[test]
fn an_address_that_is_a_nodes_as_well_is_not_missed_and_no_stray() {
    let address = Ipv4Addr::new(10, 0, 0, 1);
    let owned = Owned { guarded: [address].into(), guard_pins: Some(PINS.into()), ..Owned::default() };
    let state = HostState {
        guarded: Some((PINS.into(), BTreeSet::new())),
        stripped_nodes: [address.into()].into(),
        ..HostState::default()
    };
    let holdings = [Holding { owned: &owned, stands: true }];
    assert!(state.missing(&holdings).is_nothing());
    assert_eq!(state.strays(&[]), []);
}

#[test]
fn who_is_converted_by_another_map_is_not_put_into_this_one() {
    let owned = Owned { converted: Some(("/other".into(), NetnsCookie(7))), ..Owned::default() };
    let state = HostState { converting: Some((MAP.into(), BTreeSet::new())), ..HostState::default() };
    assert!(state.missing(&[Holding { owned: &owned, stands: true }]).is_nothing());
}
