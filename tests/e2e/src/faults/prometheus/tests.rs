use super::*;

const TEXT: &str = r#"# HELP kube_smc_pods x
kube_smc_pods{verdict="refused",reason="NoUeid"} 2
kube_smc_pods{verdict="refused",reason="SwitchedOff"} 1
kube_smc_degraded_since_seconds{namespace="d",pod="a \"b\"",reason="NoUeid"} 940
kube_smc_queue_pairs{device="rxe0"} 9
kube_smc_queue_pairs_max{device="rxe0"} 10
kube_smc_queue_pairs{device="rxe1"} 9
kube_smc_events_written_total 3
# EOF"#;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn lines_with_and_without_labels_are_read() {
    let samples = samples(TEXT);
    assert_eq!(samples.len(), 7);
    assert_eq!(samples[0].label("reason"), "NoUeid");
    assert_eq!(samples[2].label("pod"), "a \"b\"");
    assert_eq!((samples[6].name.as_str(), samples[6].value), ("kube_smc_events_written_total", 3.0));
}

#[test]
fn the_forms_of_the_committed_rules_are_evaluated() {
    let history = History(vec![(1000.0, samples(TEXT))]);
    let holds = |expression: &str| holds(expression, &history).unwrap();
    assert_eq!(holds("time() - kube_smc_degraded_since_seconds > 60"), Vec::<Labels>::new());
    assert_eq!(holds("time() - kube_smc_degraded_since_seconds > 59").len(), 1);
    assert_eq!(
        holds(r#"sum by (node, reason) (kube_smc_pods{verdict="refused",reason!="SwitchedOff"}) > 0"#),
        [labels(&[("reason", "NoUeid")])]
    );
    assert_eq!(
        holds("kube_smc_queue_pairs / kube_smc_queue_pairs_max > 0.8"),
        [labels(&[("device", "rxe0")])],
        "a device without a limit has no quotient"
    );
    assert_eq!(holds("kube_smc_events_written_total == 3").len(), 1);
    assert_eq!(holds("kube_smc_events_written_total == 4").len(), 0);
}

#[test]
fn what_is_not_understood_is_an_error_and_not_silence() {
    for expression in ["rate(kube_smc_pods[5m]) > 0", "kube_smc_pods > 0 and on() vector(1)", "1 > 0", "x"] {
        assert!(holds(expression, &History::default()).is_err(), "{expression}");
    }
}

#[test]
fn an_increase_is_what_a_counter_grew_by_within_its_range_also_when_it_began_anew() {
    let mut history = History::default();
    let expression = r#"sum by (reason) (increase(kube_smc_losses_total{reason="A"}[15m])) > 0"#;
    let mut holds_at = |time: f64, count: u32| {
        history.add(time, samples(&format!("kube_smc_losses_total{{reason=\"A\"}} {count}")));
        !holds(expression, &history).unwrap().is_empty()
    };
    assert_eq!([holds_at(0.0, 2), holds_at(10.0, 2), holds_at(20.0, 3)], [false, false, true]);
    assert_eq!([holds_at(910.0, 3), holds_at(930.0, 3)], [true, false]);
    assert!(holds_at(940.0, 1));
}
