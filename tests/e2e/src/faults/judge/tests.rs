use super::*;
use crate::faults::sighting::{Kind, Sighting};

fn seen(all: &[(u8, Place, &str, bool)]) -> Seen {
    let sighting = |&(node, place, name, alarm): &(u8, Place, &str, bool)| {
        let kind = if alarm { Kind::Standing } else { Kind::Noted };
        (Sighting { node, place, name: name.to_owned(), kind }, 1)
    };
    all.iter().map(sighting).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Expected: `NoUeid` on node 2 by doctor and verdict; node 1 may say `PeerDeclined`.
fn judged(all: &[(u8, Place, &str, bool)]) -> Judgement {
    let wanted = Expectation {
        node: 2,
        expected: &names(&["NoUeid"]),
        places: [Place::Doctor, Place::Verdict].into(),
        may_say: names(&["PeerDeclined"]),
        of_others: names(&[]),
    };
    judge(&wanted, &seen(all))
}

const DOCTOR: (u8, Place, &str, bool) = (2, Place::Doctor, "NoUeid", true);
const VERDICT: (u8, Place, &str, bool) = (2, Place::Verdict, "NoUeid", true);

#[test]
fn a_cause_is_named_when_it_was_seen_in_every_place() {
    assert!(judged(&[DOCTOR, VERDICT]).named);
    assert!(!judged(&[DOCTOR]).named);
    assert!(!judged(&[]).named);
}

#[test]
fn another_cause_besides_makes_it_not_named() {
    let judgement = judged(&[DOCTOR, VERDICT, (2, Place::Event, "NoSmcrDevice", true)]);
    assert!(!judgement.named);
    assert_eq!(judgement.reported, names(&["NoSmcrDevice", "NoUeid"]));
    assert!(!judged(&[DOCTOR, VERDICT, (1, Place::Doctor, "PnetidLost", true)]).named);
}

#[test]
fn the_peer_may_say_what_it_cannot_know_better_and_the_faulty_node_may_not() {
    let declined = judged(&[DOCTOR, VERDICT, (1, Place::Verdict, "PeerDeclined", true)]);
    assert!(declined.named);
    assert_eq!((declined.reported, declined.at_the_peer), (names(&["NoUeid"]), names(&["PeerDeclined"])));
    assert!(!judged(&[DOCTOR, VERDICT, (2, Place::Verdict, "PeerDeclined", true)]).named);
}

#[test]
fn a_counter_that_is_no_alarm_is_no_cause_but_can_be_what_was_expected() {
    assert!(judged(&[DOCTOR, VERDICT, (2, Place::Metric, "PeerWithoutSmc", false)]).named);
    let wanted = Expectation {
        node: 1,
        expected: &names(&["PeerWithoutSmc"]),
        places: [Place::Metric].into(),
        may_say: BTreeSet::new(),
        of_others: BTreeSet::new(),
    };
    assert!(judge(&wanted, &seen(&[(1, Place::Metric, "PeerWithoutSmc", false)])).named);
}

#[test]
fn where_nothing_is_expected_any_alarm_is_one_too_many() {
    let nothing = names(&[]);
    let wanted = Expectation {
        node: 2,
        expected: &nothing,
        places: [].into(),
        may_say: names(&[]),
        of_others: names(&["PeerLostSmc"]),
    };
    assert!(judge(&wanted, &Seen::new()).named);
    assert!(!judge(&wanted, &seen(&[DOCTOR])).named);
    // But what is known of another fault.
    assert!(judge(&wanted, &seen(&[(2, Place::Doctor, "PeerLostSmc", true)])).named);
}
