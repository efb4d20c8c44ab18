use super::super::metrics::samples;
use super::*;

fn at(timeline: &mut Timeline, second: u64, text: &str) {
    timeline.add(1, Duration::from_secs(second), &samples(text));
}

/// The alerts of these looks, by the committed rules.
fn alarms(looks: &[(u64, &str)]) -> Option<Vec<String>> {
    let Some(promtool) = Promtool::find() else {
        test_support::cannot_run("promtool is not there: run hack/setup");
        return None;
    };
    let mut timeline = Timeline::new(manifests::alert_rules().unwrap(), 1e9);
    assert!(timeline.rules() >= 7, "{timeline:?}");
    for (second, text) in looks {
        at(&mut timeline, *second, text);
    }
    Some(timeline.alarms(&promtool).unwrap())
}

const HEALTHY: &str = "kube_smc_node_ready{reason=\"\"} 1\nkube_smc_chain_loaded{state=\"loaded\"} 1\n\
                       kube_smc_pods{verdict=\"active\",reason=\"\"} 2\nkube_smc_queue_pairs{device=\"rxe0\"} 1\n\
                       kube_smc_losses_total{reason=\"UeidGone\"} 3\n";

#[test]
fn a_healthy_agent_fires_no_committed_rule() {
    let Some(alarms) = alarms(&[(0, HEALTHY), (30, HEALTHY), (600, HEALTHY)]) else { return };
    assert_eq!(alarms, [""; 0]);
}

#[test]
fn a_rule_fires_when_it_has_held_for_a_minute_and_is_told_once() {
    let down = "kube_smc_node_ready{reason=\"NoUeid\"} 0\n";
    let Some(short) = alarms(&[(0, HEALTHY), (20, down), (70, HEALTHY), (75, down), (130, HEALTHY)]) else {
        return;
    };
    assert_eq!(short, [""; 0]);
    let long = alarms(&[(0, HEALTHY), (20, down), (100, down)]).unwrap();
    assert_eq!(long.len(), 1, "{long:?}");
    assert!(long[0].starts_with("1m20s of the run: alert ") && long[0].contains("NoUeid"), "{long:?}");
}

#[test]
fn what_holds_since_a_time_is_measured_from_that_time() {
    let since = |second: u64| {
        format!("kube_smc_degraded_since_seconds{{namespace=\"d\",pod=\"a\",reason=\"x\"}} {second}\n")
    };
    let begun = 1_000_000_000;
    let (soon, late) = (since(begun + 10), since(begun - 60));
    let Some(soon) = alarms(&[(15, &soon), (65, &soon)]) else { return };
    assert_eq!(soon, [""; 0]);
    let late = alarms(&[(0, &late), (5, &late)]).unwrap();
    assert!(late.len() == 1 && late[0].starts_with("5s of the run"), "{late:?}");
}

#[test]
fn a_loss_is_an_alarm_when_its_count_grows() {
    let Some(alarms) = alarms(&[(0, HEALTHY), (30, &HEALTHY.replace("} 3", "} 4"))]) else { return };
    assert!(alarms.len() == 1 && alarms[0].contains("KubeSmcTakenAway"), "{alarms:?}");
}

#[test]
fn rules_that_promtool_cannot_read_are_an_alarm_and_no_silence() {
    let Some(promtool) = Promtool::find() else {
        return test_support::cannot_run("promtool is not there: run hack/setup");
    };
    let rules = json!({ "groups": [{ "name": "x", "rules": [{ "alert": "X", "expr": "((" }] }] });
    let mut timeline = Timeline::new(rules, 0.0);
    at(&mut timeline, 1, HEALTHY);
    let alarms = timeline.alarms(&promtool).unwrap();
    assert!(alarms.len() == 1 && alarms[0].starts_with("promtool: "), "{alarms:?}");
}
