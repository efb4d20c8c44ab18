use std::time::{SystemTime, UNIX_EPOCH};

use smc_state::{Store, Traffic};

use clap::Parser as _;
use smc_model::{Failure, Failures};

use super::*;
use crate::judged;
use crate::recorded::{golden_outcome, judged as judgement, pods as recorded};

#[test]
fn the_table_of_recorded_pods_is_as_committed() {
    golden_outcome("pods", &pods(&recorded(), Paint::PLAIN).unwrap());
    assert_eq!(pods(&[], Paint::PLAIN).unwrap().status, Status::Fine);
}

#[test]
fn a_pod_is_meant_by_its_name_with_or_without_its_namespace() {
    let names = |name| named(recorded(), name).map(|found| found.len()).unwrap_or_default();
    assert_eq!(
        (names("client"), names("default/client"), names("other/client"), names("clien")),
        (1, 1, 0, 0)
    );
}

#[test]
fn a_refused_pod_is_a_problem_and_one_that_could_not_be_looked_at_is_not_fine() {
    let all = recorded();
    assert_eq!(status(&all), Status::Problem);
    let well: Vec<ObservedPod> =
        all.into_iter().filter(|seen| seen.record.verdict == Some(Verdict::Configured)).collect();
    assert_eq!(status(&well), Status::Fine);
    let mut unlooked = well;
    unlooked[0].traffic = Some(Err("x".to_owned()));
    assert_eq!(status(&unlooked), Status::CouldNotLook);
}

#[test]
fn what_the_agent_judges_degraded_is_a_problem_with_its_reason() {
    let failure = Failure::Fallback { code: 0x0201_0000, peer_diagnosis: 0, ipv6_socket: false, side: None };
    let failures = vec![Failures { count: 2, failure, diagnosis: None }];
    let degraded = LiveVerdict::Degraded { cause: None, failures };
    let mut seen = named(recorded(), "client").unwrap().remove(0);
    seen.live = Some(judgement(&seen.record, degraded));
    let row = row(&seen);
    assert_eq!((&*row.verdict, &*row.top_reason.unwrap().name), ("degraded", "RdmaTimeout"));
    assert_eq!(status(std::slice::from_ref(&seen)), Status::Problem);
    let text = crate::pod::pod(&[seen], Paint::PLAIN).unwrap().text;
    assert!(text.contains("2 times: RdmaTimeout (0x02010000)"), "{text}");
}

#[test]
fn what_is_wrong_now_is_a_pods_top_reason_also_without_an_agent() {
    let mut seen = named(recorded(), "client").unwrap().remove(0);
    seen.cause = Some(Reason::NoUeid);
    assert_eq!(row(&seen).top_reason.unwrap().name, "NoUeid");
    assert_eq!(status(std::slice::from_ref(&seen)), Status::Problem);
    let text = crate::pod::pod(&[seen], Paint::PLAIN).unwrap().text;
    assert!(text.contains("wrong now"), "{text}");
}

#[test]
fn a_judgement_that_the_agent_has_not_renewed_is_not_taken_for_current() {
    let dir = tempfile::tempdir().unwrap();
    let cli =
        crate::cli::Cli::try_parse_from(["smcctl", "pods", "--state-dir", dir.path().to_str().unwrap()]);
    let options = cli.unwrap().options;
    let store = Store::new(dir.path());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (written, current) in [(now, true), (now - 3600, false)] {
        let seen = named(recorded(), "client").unwrap().remove(0);
        let pod = judgement(&seen.record, LiveVerdict::Active);
        store.write_document(&Traffic { written, no_events: None, pods: vec![pod] }).unwrap();
        assert_eq!(!judged::judged(&options).is_empty(), current);
    }
}
