use super::*;

#[test]
fn states_of_the_chain_are_written_by_their_names_and_those_of_a_later_version_are_unknown() {
    for state in [
        ChainState::Unmanaged,
        ChainState::Untold,
        ChainState::Loaded,
        ChainState::NotLoaded,
        ChainState::Unknown,
    ] {
        assert_eq!(serde_json::to_string(&state).unwrap(), format!("{:?}", state.name()));
    }
    assert_eq!(serde_json::from_str::<ChainState>(r#""half""#).unwrap(), ChainState::Unknown);
}

#[test]
fn the_status_of_an_agent_that_tells_less_or_more_is_read_and_another_answer_is_not() {
    let other = r#"{"version":1,"agent":{"version":"0.1.0"},"chain":{"state":"loaded"},"moon":{},
                        "pods":[{"name":"a","live":{"verdict":{"waxing":{}},"smcr":1}}]}"#;
    let status: Brief = serde_json::from_str(other).unwrap();
    assert_eq!((status.agent.version.as_str(), status.chain.state), ("0.1.0", ChainState::Loaded));
    assert!(serde_json::from_str::<Brief>("{}").is_err());
}
