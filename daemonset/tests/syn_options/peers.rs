//! Who may speak SMC with whom.

use super::*;

/// What becomes of the offer of a SYN from there to the pod of its family.
#[track_caller]
fn becomes(program: &Program, source: &str, offer: [u8; 6]) {
    let source: IpAddr = source.parse().unwrap();
    assert_eq!(options_after(program, &Segment::from(source, &OFFER)), Some(offer.to_vec()), "{source}");
}

fn ranges(text: &str) -> PeerRanges {
    text.parse().unwrap()
}

#[test]
fn who_may_not_speak_smc_with_the_nodes_pods_loses_its_offer_and_the_longest_range_decides() {
    let Some(program) = program() else { return };
    let peers = program.maps.peers().unwrap();
    let set = |rules: &PeerRules, why| peers.set(Whose::Node, rules, why).unwrap();
    becomes(&program, "192.0.2.1", OFFER);
    set(&ranges("10.0.0.0/8, 192.0.2.7").all_rules(), StripCause::NotAllowed);
    becomes(&program, "192.0.2.1", SPOILT);
    becomes(&program, "192.0.2.7", OFFER);
    becomes(&program, "10.9.9.9", OFFER);
    becomes(&program, "fd00::9", SPOILT);
    // Also whoever may is taken out where it is a pod of this node.
    becomes(&program, "10.0.1.1", SPOILT);
    let taken = program.taken(POD);
    assert_eq!(taken.keys().collect::<Vec<_>>(), [&StripCause::Pod, &StripCause::NotAllowed]);
    set(&ranges("192.0.2.0/24 fd00::/16").all_rules(), StripCause::NotAllowed);
    becomes(&program, "192.0.2.1", OFFER);
    becomes(&program, "10.9.9.9", SPOILT);
    becomes(&program, "fd00::9", OFFER);
    set(&nobody(), StripCause::SwitchedOff);
    becomes(&program, "192.0.2.1", SPOILT);
    becomes(&program, "fd00::9", SPOILT);
    assert_eq!(
        program.taken(POD6).keys().collect::<Vec<_>>(),
        [&StripCause::SwitchedOff, &StripCause::NotAllowed]
    );
    set(&PeerRules::new(), StripCause::NotAllowed);
    becomes(&program, "192.0.2.1", OFFER);
    assert!(peers.all().unwrap().is_empty());
}

#[test]
fn a_pods_own_ranges_hold_for_it_alone_and_never_let_in_whom_the_node_does_not() {
    let Some(program) = program() else { return };
    let (peers, own) = (program.maps.peers().unwrap(), ranges("10.1.0.0/16 192.0.2.1"));
    program.maps.add_pod(POD.into(), Some(&own)).unwrap();
    assert!(program.maps.has_pod(POD.into()).unwrap() && !program.maps.has_pod(POD6.into()).unwrap());
    becomes(&program, "10.1.0.9", OFFER);
    becomes(&program, "10.2.0.9", SPOILT);
    becomes(&program, "fd00::9", OFFER);
    peers.set(Whose::Node, &ranges("10.0.0.0/8").all_rules(), StripCause::NotAllowed).unwrap();
    becomes(&program, "10.1.0.9", OFFER);
    becomes(&program, "10.2.0.9", SPOILT);
    becomes(&program, "192.0.2.1", SPOILT);
    becomes(&program, "fd00::9", SPOILT);
    let all = peers.all().unwrap();
    assert_eq!(all.get(&Whose::Pod(POD.into())), Some(&own.rules(POD.into())));
    assert_eq!(all.len(), 2);
    program.maps.remove_pod(POD.into()).unwrap();
    program.maps.remove_pod(POD.into()).unwrap();
    becomes(&program, "10.2.0.9", OFFER);
    assert_eq!(peers.all().unwrap().len(), 1);
}

#[test]
fn what_is_spared_counts_for_nothing_and_ranges_decide_instead() {
    let Some(program) = program() else { return };
    let stripped = STRIPPED.to_string();
    becomes(&program, &stripped, SPOILT);
    program.maps.spare(&StripCause::SAME_NODE).unwrap();
    becomes(&program, &stripped, OFFER);
    let peers = program.maps.peers().unwrap();
    peers.set(Whose::Node, &ranges("192.0.2.0/24").all_rules(), StripCause::NotAllowed).unwrap();
    becomes(&program, &stripped, SPOILT);
    assert_eq!(program.taken(POD).keys().collect::<Vec<_>>(), [&StripCause::Pod, &StripCause::NotAllowed]);
    program.maps.spare(&[]).unwrap();
    peers.set(Whose::Node, &PeerRules::new(), StripCause::NotAllowed).unwrap();
    becomes(&program, &stripped, SPOILT);
}

/// Sources and pods of a small world, so that ranges meet them.
fn small_world() -> impl Strategy<Value = (Vec<String>, Vec<String>, u8, u8)> {
    let range = || {
        (0_u8..4, 0_u8..4, 14_u8..=32).prop_map(|(third, fourth, bits)| {
            let address: IpNet = format!("10.0.{third}.{fourth}/{bits}").parse().unwrap();
            address.trunc().to_string()
        })
    };
    (prop::collection::vec(range(), 0..5), prop::collection::vec(range(), 0..5), 0..4_u8, 0..4_u8)
}

#[test]
fn the_kernel_lets_in_whom_the_model_lets_in_whatever_was_said_before() {
    let Some(program) = program() else { return };
    let peers = program.maps.peers().unwrap();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(300) });
    let held = runner.run(&small_world(), |(node, pod, third, fourth)| {
        let [node, pod] = [node, pod].map(|words| words.join(",").parse::<PeerRanges>().ok());
        let rules =
            |ranges: &Option<PeerRanges>| ranges.as_ref().map(PeerRanges::all_rules).unwrap_or_default();
        peers.set(Whose::Node, &rules(&node), StripCause::NotAllowed).unwrap();
        let own = pod.as_ref().map(|ranges| ranges.rules(POD.into())).unwrap_or_default();
        peers.set(Whose::Pod(POD.into()), &own, StripCause::NotAllowed).unwrap();
        // None of the two that are stripped anyway.
        let source = IpAddr::from([10, 0, third, fourth.max(2)]);
        let may = [&node, &pod].into_iter().flatten().all(|ranges| ranges.allow(source));
        let wanted = if may { OFFER } else { SPOILT };
        prop_assert_eq!(options_after(&program, &Segment::from(source, &OFFER)), Some(wanted.to_vec()));
        Ok(())
    });
    held.unwrap();
}
