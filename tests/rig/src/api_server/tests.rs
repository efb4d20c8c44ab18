use super::*;

#[test]
fn each_change_is_an_event_of_the_next_version() {
    let mut state = State::default();
    state.change(Some(json!({ "spec": 1 })));
    state.change(Some(json!({ "spec": 2 })));
    state.change(None);
    let kinds: Vec<&str> = state.events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, ["ADDED", "MODIFIED", "DELETED"]);
    assert_eq!(state.events[1]["object"]["metadata"]["resourceVersion"], "2");
    assert_eq!((state.object, state.version), (None, 3));
}

#[test]
fn an_event_is_created_once_and_each_write_of_it_is_kept_whole() {
    let mut state = State::default();
    let event = json!({ "metadata": { "name": "web.1" }, "reason": "NoUeid", "count": 1 });
    assert_eq!(state.create_event("default", event.clone()), Ok(()));
    assert_eq!(state.create_event("default", event.clone()), Err("AlreadyExists"));
    assert_eq!(state.create_event("other", event), Ok(()));
    assert_eq!(state.patch_event("default", "web.1", &json!({ "count": 2 })), Ok(()));
    assert_eq!(state.patch_event("default", "web.2", &json!({ "count": 2 })), Err("NotFound"));
    let told: Vec<(&str, u64)> = state
        .written
        .iter()
        .filter_map(|event| Some((event["reason"].as_str()?, event["count"].as_u64()?)))
        .collect();
    assert_eq!(told, [("NoUeid", 1), ("NoUeid", 1), ("NoUeid", 2)]);
}

#[test]
fn a_path_of_events_is_told_from_others() {
    assert_eq!(events_path("/api/v1/namespaces/default/events"), Some(("default", None)));
    assert_eq!(events_path("/api/v1/namespaces/default/events/web.1"), Some(("default", Some("web.1"))));
    assert_eq!(events_path("/api/v1/nodes/node1/status"), None);
    assert_eq!(events_path("/api/v1/namespaces/default/eventsource"), None);
}
