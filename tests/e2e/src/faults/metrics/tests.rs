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

#[test]
fn lines_with_and_without_labels_are_read() {
    let samples = samples(TEXT);
    assert_eq!(samples.len(), 7);
    assert_eq!(samples[0].label("reason"), "NoUeid");
    assert_eq!(samples[2].label("pod"), "a \"b\"");
    assert_eq!((samples[6].name.as_str(), samples[6].value), ("kube_smc_events_written_total", 3.0));
}
