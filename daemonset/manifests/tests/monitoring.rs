//! Dashboard and alerts ask only for what the agent exports: its metrics' names stand in `daemonset/src/surfaces/metrics/names.txt`,
//! which a test of the agent holds against its `/metrics`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use manifests::{Promtool, alert_rules, directory, repository};
use serde_json::Value;

/// The names under which Prometheus stores the agent's families, each with its labels.
fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let names = fs::read_to_string(repository().join("daemonset/src/surfaces/metrics/names.txt")).unwrap();
    let mut exported = BTreeMap::new();
    for line in names.lines() {
        let mut words = line.split(' ');
        let (name, kind) = (words.next().unwrap(), words.next().unwrap());
        // The monitor adds the node to every series.
        let labels: BTreeSet<String> = words.chain(["node"]).map(str::to_owned).collect();
        let suffixes: &[&str] = match kind {
            "gauge" => &[""],
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            "info" => &["_info"],
            other => panic!("no rule for metrics of kind {other}"),
        };
        exported.extend(suffixes.iter().map(|suffix| (format!("{name}{suffix}"), labels.clone())));
    }
    exported
}

fn dashboard() -> Value {
    let text = fs::read_to_string(directory().join("monitoring/dashboard.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn rules() -> Vec<Value> {
    alert_rules().unwrap()["groups"][0]["rules"].as_array().unwrap().clone()
}

/// What each alert says, and when it is silent: a test file of promtool's.
fn cases() -> Value {
    let text = fs::read_to_string(directory().join("monitoring/rules-test.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn expressions() -> Vec<String> {
    let of_panels = dashboard()["panels"].as_array().unwrap().clone().into_iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().unwrap().clone();
        targets.into_iter().map(|target| target["expr"].as_str().unwrap().to_owned())
    });
    of_panels.chain(rules().iter().map(|rule| rule["expr"].as_str().unwrap().to_owned())).collect()
}

/// What is wrong with an expression: metrics that nobody exports, and labels that no metric in it has.
fn problems(expression: &str, exported: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let metrics: Vec<&str> =
        expression.split(|c| !is_word(c)).filter(|word| word.starts_with("kube_smc_")).collect();
    let unknown = metrics.iter().filter(|name| !exported.contains_key(**name));
    let mut problems: Vec<String> = unknown.map(|name| format!("nobody exports {name}")).collect();
    if metrics.is_empty() {
        problems.push("it asks for no metric of the agent".to_owned());
    }
    let labels: BTreeSet<&String> = metrics.iter().filter_map(|name| exported.get(*name)).flatten().collect();
    let in_selectors = expression.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let selected = in_selectors
        .flat_map(|selector| selector.split(','))
        .filter_map(|part| part.split(['=', '!']).next());
    let grouped = expression.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    for label in selected.chain(grouped.flat_map(|labels| labels.split(','))).map(str::trim) {
        if !labels.iter().any(|known| *known == label) {
            problems.push(format!("no metric in it has the label {label}"));
        }
    }
    problems
}

#[test]
fn every_expression_of_dashboard_and_alerts_names_metrics_and_labels_that_the_agent_exports() {
    let (exported, expressions) = (exported(), expressions());
    assert!(expressions.len() > 15, "{}", expressions.len());
    for expression in expressions {
        assert_eq!(problems(&expression, &exported), [""; 0], "{expression}");
    }
}

#[test]
fn a_metric_or_a_label_that_is_not_exported_would_be_noticed() {
    let exported = exported();
    assert_eq!(problems("rate(kube_smc_repairs[1h])", &exported).len(), 1, "a counter without its suffix");
    assert_eq!(problems(r#"kube_smc_pods{phase="x"}"#, &exported), ["no metric in it has the label phase"]);
    assert_eq!(problems("sum by (nod) (kube_smc_pods)", &exported), ["no metric in it has the label nod"]);
}

#[test]
fn every_alert_says_which_node_and_why_and_what_to_do() {
    for rule in rules() {
        let annotations = &rule["annotations"];
        let (summary, description) = (annotations["summary"].as_str(), annotations["description"].as_str());
        let (summary, description) = (summary.unwrap(), description.unwrap());
        let text = format!("{summary} {description}");
        assert!(text.contains("$labels.node"), "{rule}");
        let names_a_cause =
            ["$labels.reason", "$labels.state", "$labels.subject", "$labels.device", "NeedsRestart"];
        assert!(names_a_cause.iter().any(|cause| summary.contains(cause)), "{rule}");
        assert!(description.contains("smcctl ") || description.contains("kubectl "), "{rule}");
    }
}

#[test]
fn every_alert_fires_when_it_should_with_the_words_that_it_should_and_is_silent_else() {
    let Some(promtool) = Promtool::find() else {
        return test_support::cannot_run("promtool is not there: run hack/setup");
    };
    assert_eq!(promtool.test(&alert_rules().unwrap(), &cases()).unwrap(), None);
    let mut deaf = alert_rules().unwrap();
    deaf["groups"][0]["rules"][0]["expr"] = "kube_smc_degraded_since_seconds < 0".into();
    let said = promtool.test(&deaf, &cases()).unwrap();
    assert!(
        said.is_some_and(|said| said.contains("KubeSmcPodDegraded")),
        "a rule that never fires is noticed"
    );
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let cases = cases();
    let tests = cases["tests"].as_array().unwrap().iter();
    let tried = tests.flat_map(|test| test["alert_rule_test"].as_array().unwrap());
    let with = |fires: bool| -> BTreeSet<&str> {
        let such = tried.clone().filter(|case| case["exp_alerts"].as_array().unwrap().is_empty() != fires);
        such.map(|case| case["alertname"].as_str().unwrap()).collect()
    };
    let rules = rules();
    let all: BTreeSet<&str> = rules.iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    assert_eq!((with(true), with(false)), (all.clone(), all));
}
