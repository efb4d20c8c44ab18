use serde_json::json;

use super::*;

fn seen(answers: &Answers) -> Vec<String> {
    let told = answers.sightings(1).into_iter();
    told.map(|(s, count)| {
        format!("{} {} {count}{}", s.place, s.name, if s.kind.is_alarm() { "" } else { " noted" })
    })
    .collect()
}

#[test]
fn each_place_tells_its_reasons_and_what_is_well_tells_none() {
    let text = r#"
@@pods
{"pods":[{"namespace":"d","name":"a","interface":"eth0","verdict":"degraded","smc_r":0,"tcp":1,"top_reason":{"name":"NoUeid"}},
         {"namespace":"d","name":"b","interface":"eth0","verdict":"active","smc_r":1,"tcp":3,
          "top_reason":{"name":"PeerWithoutSmc","code":1,"connections":3}}]}
@@doctor
{"status":"problem","checks":[{"name":"UEID","state":"problem","seen":"none","reason":"NoUeid"},
                              {"name":"memory","state":"unknown","seen":"?"},
                              {"name":"PNETIDs","state":"note","seen":"x","reason":"ForeignPnetid"}]}
@@metrics
kube_smc_node_ready{reason="NoUeid"} 0
kube_smc_chain_loaded{state="loaded"} 1
kube_smc_pods{verdict="degraded",reason="NoUeid"} 2
kube_smc_pods{verdict="active",reason=""} 5
kube_smc_peer_without_smc_total{namespace="d",pod="b"} 3
@@events
[{"type":"Normal","reason":"SMCActive","message":"x"},
 {"type":"Warning","reason":"NoUeid","message":"runs on plain TCP"}]"#;
    let answers = Answers::parse(text);
    assert_eq!(
        seen(&answers),
        [
            "verdict NoUeid 1",
            "event NoUeid 1",
            "doctor ForeignPnetid 1 noted",
            "doctor NoUeid 1",
            "metric NoUeid 3",
            "metric PeerWithoutSmc 3 noted",
        ]
    );
    assert_eq!((answers.verdict("b"), answers.verdict("c")), (Some("active"), None));
}

#[test]
fn an_agent_that_does_not_answer_leaves_the_other_places() {
    let answers = Answers::parse("\n@@pods\n{\"pods\":[]}\n@@metrics\n@@events\n");
    assert_eq!((seen(&answers).len(), answers.events), (0, Value::Null));
}

#[test]
fn an_event_about_a_degradation_names_the_cause_in_its_message() {
    let named = |reason: &str, message: &str| {
        let events = json!([{ "type": "Warning", "reason": reason, "message": message }]);
        seen(&Answers { events, ..Answers::default() })
    };
    let message = "new connections are TCP. RdmaPortDown: RDMA port rxe0/1 is not ACTIVE; Degraded";
    assert_eq!(named("SMCDegraded", message), ["event RdmaPortDown 1"]);
    let fell = "new connections are TCP. connections to other nodes fell back: 2 × PeerDeclined (0x05000000; the \
                peer said NoSmcrDevice)";
    assert_eq!(named("SMCDegraded", fell), ["event PeerDeclined 1"]);
    assert_eq!(named("SourceAnchorLost", "x"), ["event SourceAnchorLost 1"]);
}

#[test]
fn news_is_what_was_not_there_or_less_often() {
    let sighting =
        |name: &str| Sighting { node: 1, place: Place::Event, name: name.to_owned(), kind: Kind::Happened };
    let before = Seen::from([(sighting("A"), 1), (sighting("B"), 2)]);
    let now = Seen::from([(sighting("A"), 2), (sighting("B"), 2), (sighting("C"), 1)]);
    let news = news(&now, &before);
    assert_eq!(news.keys().map(|seen| seen.name.as_str()).collect::<Vec<_>>(), ["A", "C"]);
}

#[test]
#[should_panic(expected = "pods cannot be read")]
fn an_answer_of_another_form_is_no_silence() {
    Answers::parse("\n@@pods\n{\"pods\":[{}]}\n");
}
