use super::*;
use crate::faults::Table;
use crate::faults::judge::Judgement;
use crate::faults::sighting::Place;

fn row(reported: &[&str], named: bool) -> Row {
    let table = Table::committed();
    let judgement = Judgement {
        reported: reported.iter().map(|name| (*name).to_owned()).collect(),
        at_the_peer: [].into(),
        places: [Place::Doctor].into(),
        named,
    };
    let outcome = Outcome { judgement, named_after: Some(Duration::from_millis(4_234)) };
    Row::of(table.fault("no-ueid").unwrap(), Conversion::Bpf, outcome)
}

#[test]
fn an_entry_has_the_fields_that_are_promised() {
    let expected = json!({
        "name": "no-ueid", "cause_named": true, "reported": "NoUeid", "where": ["doctor"], "seconds": 4.2,
    });
    assert_eq!(row(&["NoUeid"], true).to_json(), expected);
}

#[test]
fn a_row_that_is_wrong_says_what_was_expected() {
    let wrong = row(&["NoSmcrDevice", "NoUeid"], false);
    let text = wrong.to_string();
    assert!(text.starts_with("✗ no-ueid") && text.contains("NoSmcrDevice, NoUeid"), "{text}");
    assert!(text.ends_with("expected NoUeid"), "{text}");
    assert!(!wrong.is_right());
}

#[test]
fn a_fault_that_did_not_heal_is_not_right_even_when_it_was_named() {
    let mut row = row(&["NoUeid"], true);
    assert!(row.is_right());
    row.fail("undone, and not well again".to_owned());
    assert!(!row.is_right() && row.cause_named() && row.to_string().starts_with('✗'));
}
