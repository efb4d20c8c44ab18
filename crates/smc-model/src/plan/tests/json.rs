//! What is written to files comes back as it was, and keeps its form.

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::examples::{node, pod};
use super::generate::{self, config, kernel};
use crate::{NodeFacts, Plan, Step, Verdict, decide};

/// A plan as records of this version hold it. A change here is a change of the format that running nodes have on
/// disk.
const PLAN: &str = include_str!("plan.json");

fn through_json<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn node_facts_come_back_from_json(node in generate::node()) {
        prop_assert_eq!(through_json(&node), node);
    }

    #[test]
    fn plans_and_verdicts_come_back_from_json(kernel in kernel()) {
        match decide(&kernel.node, &kernel.observe()) {
            Ok(plan) => {
                prop_assert_eq!(through_json(&plan), plan);
                prop_assert_eq!(through_json(&Verdict::Configured), Verdict::Configured);
            }
            Err(reason) => {
                let verdict = Verdict::refused(reason.clone());
                prop_assert_eq!(through_json(&verdict), verdict.clone());
                prop_assert_eq!(verdict.reason(), Some(&reason));
            }
        }
    }
}

#[test]
fn a_plans_json_is_the_committed_one() {
    let mut pod = pod();
    pod.interfaces[0].pnetid = Some("OLD".parse().unwrap());
    let plan = decide(&node(), &pod).unwrap();
    assert_eq!(serde_json::to_string_pretty(&plan).unwrap(), PLAN.trim_end());
    assert_eq!(serde_json::from_str::<Plan>(PLAN).unwrap(), plan);
}

/// A tombstone is written with the plan of its record, and that version reads it again.
#[test]
fn steps_of_versions_that_held_the_route_for_a_moment_only_come_back_as_they_were() {
    for step in [
        r#"{"do":"hold-route","address":"10.0.0.21","towards_pod":21}"#,
        r#"{"do":"release-route","address":"10.0.0.21","towards_pod":21}"#,
    ] {
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Step>(step).unwrap()).unwrap(), step);
    }
}

#[test]
fn fields_of_a_newer_version_are_tolerated_and_nonsense_is_not() {
    let mut facts = serde_json::to_value(node()).unwrap();
    facts["from_the_future"] = serde_json::json!(1);
    assert_eq!(serde_json::from_value::<NodeFacts>(facts.clone()).unwrap(), node());
    facts["ports"][0]["pnetid"] = serde_json::json!("NOT_AN_ID");
    assert!(serde_json::from_value::<NodeFacts>(facts).is_err());
}
