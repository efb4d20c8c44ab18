//! The chain entry, and what the agent says of itself.

use super::*;

#[test]
fn each_fault_of_the_chain_is_named_once_and_in_the_words_of_who_judged_it() {
    assert_eq!(problems(|facts| facts.chain.entry = None), ["ChainEntryMissing"]);
    assert_eq!(problems(|facts| facts.chain.program = false), ["PluginMissing"]);
    assert_eq!(
        problems(|facts| facts.agent.as_mut().unwrap().chain = ChainState::NotLoaded),
        ["ChainEntryNotLoaded"]
    );
    let not_loaded = |facts: &mut Facts| {
        let agent = facts.agent.as_mut().unwrap();
        (agent.chain, agent.chain_why) = (ChainState::NotLoaded, Some("its list lacks it".to_owned()));
        agent.not_ready = Some("the container runtime has not loaded smc-cni: its list lacks it".to_owned());
        agent.problems = vec![(Subject::Chain, "x".to_owned())];
    };
    assert_eq!(problems(not_loaded), ["ChainEntryNotLoaded"], "the agent waits for the runtime");
    let line = |change: &dyn Fn(&mut Facts)| {
        let mut facts = rig();
        change(&mut facts);
        checks(&facts).into_iter().find(|check| check.name == "chain entry").unwrap().seen
    };
    let judged = |facts: &mut Facts| {
        not_loaded(facts);
        facts.agent.as_mut().unwrap().problems = vec![(Subject::Chain, "its policy is wrong".to_owned())];
    };
    assert!(line(&judged).ends_with("has not loaded it: its policy is wrong"), "{}", line(&judged));
    let refused = |facts: &mut Facts| {
        judged(facts);
        facts.chain.entry = None;
    };
    assert!(line(&refused).ends_with("has no entry of smc-cni: its policy is wrong"), "{}", line(&refused));
    let not_checked = |facts: &mut Facts| {
        not_loaded(facts);
        facts.agent.as_mut().unwrap().not_ready = Some("the node has not been checked yet".to_owned());
    };
    assert_eq!(problems(not_checked), ["ChainEntryNotLoaded", "AgentNotReady"]);
}

#[test]
fn what_the_agent_says_of_itself_is_a_problem_where_it_keeps_pods_from_smc() {
    let off = Switch::Off { why: "smcEnabled is not true".to_owned() };
    assert_eq!(problems(|facts| facts.published.as_mut().unwrap().switch = off), ["SwitchedOff"]);
    let not_ready = Reason::AgentNotReady { path: "/run/kube-smc/node.json".to_owned() };
    assert_eq!(problems(|facts| facts.published = Err(not_ready)), ["AgentNotReady"]);
    let says = |subject: &str| {
        problems(|facts| {
            facts.agent.as_mut().unwrap().problems =
                vec![(Subject::from(subject.to_owned()), "x".to_owned())];
        })
    };
    assert_eq!(says("chain"), ["AgentNotReady"]);
    assert!(says("events").is_empty(), "an API server that cannot be reached keeps no pod from SMC-R");
    assert!(says("port").is_empty(), "nor does a port that is another program's");
    assert_eq!(says("startup taint"), ["AgentNotReady"], "pods may not start at all");
}
