use serde_json::json;
use smc_model::LiveVerdict;

use super::*;
use crate::recorded::{alibaba, golden_outcome, judged, rig};

#[test]
fn a_node_at_a_glance_is_as_committed() {
    golden_outcome("status-rig", &status(&rig(), Paint::PLAIN).unwrap());
    golden_outcome("status-alibaba", &status(&alibaba(), Paint::PLAIN).unwrap());
    let mut facts = rig();
    facts.published = Err(Reason::AgentNotReady { path: "/run/kube-smc/node.json".to_owned() });
    facts.agent = Err("connection refused".to_owned());
    golden_outcome("status-without-agent", &status(&facts, Paint::PLAIN).unwrap());
}

#[test]
fn pods_are_counted_by_what_their_traffic_shows() {
    let mut facts = rig();
    let counted = |facts: &Facts| status(facts, Paint::PLAIN).unwrap().json["pods"].clone();
    assert_eq!(counted(&facts), json!({ "configured": 1 }));
    let judged = judged(&facts.pods[0].record, LiveVerdict::Active);
    facts.pods[0].judged = Some(judged);
    assert_eq!(counted(&facts), json!({ "active": 1 }));
}
