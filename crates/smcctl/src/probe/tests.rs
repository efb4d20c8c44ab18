use super::*;

fn answer(status: u16, pod: Option<&str>) -> Answer {
    Answer { status, pod: pod.map(str::to_owned), body: b"ok\n".to_vec() }
}

#[test]
fn only_the_pods_own_agent_is_believed() {
    let well = Heard::Own { well: true, said: "ok".to_owned() };
    assert_eq!(seen(Ok(answer(200, Some("a"))), Some("a")), well);
    assert_eq!(seen(Ok(answer(200, None)), None), well, "by hand there is no pod");
    assert!(matches!(seen(Ok(answer(503, Some("a"))), Some("a")), Heard::Own { well: false, .. }));
    for pod in [Some("b"), None] {
        let Heard::Not(said) = seen(Ok(answer(200, pod)), Some("a")) else { panic!("{pod:?} is believed") };
        assert!(said.contains("another agent"), "{said}");
    }
}

#[test]
fn where_nobody_answers_that_is_said_with_the_socket() {
    let outcome = probe(Path::new("/nonexistent/agent.sock"), Stage::Alive, Some("a"));
    assert_eq!(outcome.status, Status::Problem);
    assert!(outcome.text.contains("/nonexistent/agent.sock"), "{}", outcome.text);
}
