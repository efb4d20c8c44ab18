use super::*;
use crate::options::Policy;

/// Terway's list with Cilium chained, as it is rendered.
const TERWAY: &str = r#"{
  "plugins": [
    {
      "type": "terway",
      "symmetricRouting": true,
      "eniip_virtual_type": "datapathv2"
    },
    {
      "type": "cilium-cni",
      "enable-debug": false,
      "data-path": "datapathv2"
    }
  ],
  "cniVersion": "0.4.0",
  "name": "terway-chainer"
}
"#;

const TERWAY_EDITED: &str = r#"{
  "plugins": [
    {
      "type": "terway",
      "symmetricRouting": true,
      "eniip_virtual_type": "datapathv2"
    },
    {
      "type": "cilium-cni",
      "enable-debug": false,
      "data-path": "datapathv2"
    },
    {
      "type": "smc-cni",
      "capabilities": {"io.kubernetes.cri.pod-annotations": true},
      "policy": "preferred"
    }
  ],
  "cniVersion": "0.4.0",
  "name": "terway-chainer"
}
"#;

/// Our entry in the compact form.
const COMPACT: &str =
    r#"{"type":"smc-cni","capabilities":{"io.kubernetes.cri.pod-annotations":true},"policy":"preferred"}"#;
/// The same with a space after each colon and comma.
const SPACED: &str = r#"{"type": "smc-cni", "capabilities": {"io.kubernetes.cri.pod-annotations": true}, "policy": "preferred"}"#;

fn required() -> Entry {
    Entry {
        policy: Policy::Required,
        state_dir: Some("/run/kube-smc".to_owned()),
        log_dir: Some("/var/log/\"odd\"".to_owned()),
        boot_wait_seconds: Some(0),
    }
}

fn edited(outcome: Result<Edited, ConflistError>) -> (String, Change) {
    let edited = outcome.unwrap();
    (String::from_utf8(edited.bytes).unwrap(), edited.change)
}

#[test]
fn the_entry_goes_last_into_terways_list() {
    assert_eq!(
        edited(insert(TERWAY.as_bytes(), &Entry::default())),
        (TERWAY_EDITED.to_owned(), Change::Inserted)
    );
    assert_eq!(edited(remove(TERWAY_EDITED.as_bytes(), PLUGIN_TYPE)), (TERWAY.to_owned(), Change::Removed));
}

#[test]
fn the_entry_takes_the_formatting_of_its_neighbours() {
    for (before, after) in [
        // One line, compact.
        (
            r#"{"cniVersion":"0.4.0","name":"terway-chainer","plugins":[{"type":"terway"},{"type":"cilium-cni"}]}"#,
            format!(
                r#"{{"cniVersion":"0.4.0","name":"terway-chainer","plugins":[{{"type":"terway"}},{{"type":"cilium-cni"}},{COMPACT}]}}"#
            ),
        ),
        // One line, spaced; one plugin.
        (
            r#"{"name": "terway-chainer", "plugins": [{"type": "terway"}], "cniVersion": "0.4.0"}"#,
            format!(r#"{{"name": "terway-chainer", "plugins": [{{"type": "terway"}}, {SPACED}], "cniVersion": "0.4.0"}}"#),
        ),
        // One plugin per line, with tabs and carriage returns.
        (
            "{\r\n\t\"plugins\": [\r\n\t\t{\"type\": \"terway\"}\r\n\t]\r\n}\r\n",
            format!("{{\r\n\t\"plugins\": [\r\n\t\t{{\"type\": \"terway\"}},\r\n\t\t{SPACED}\r\n\t]\r\n}}\r\n"),
        ),
        // Braces on the bracket's line.
        (
            "{\"plugins\": [{\n  \"type\": \"a\"\n}, {\n  \"type\": \"b\"\n}]}",
            "{\"plugins\": [{\n  \"type\": \"a\"\n}, {\n  \"type\": \"b\"\n}, {\n  \"type\": \"smc-cni\",\n  \"capabilities\": {\"io.kubernetes.cri.pod-annotations\": true},\n  \"policy\": \"preferred\"\n}]}".to_owned(),
        ),
        // Commas first.
        (
            "{ \"plugins\":\n  [ { \"type\" : \"a\" }\n  , { \"type\" : \"b\" }\n  ] }",
            format!("{{ \"plugins\":\n  [ {{ \"type\" : \"a\" }}\n  , {{ \"type\" : \"b\" }}\n  , {{ {} }}\n  ] }}", &SPACED[1..SPACED.len() - 1]),
        ),
        // An array with inner space, a plugin without members.
        (r#"{"plugins":[ {} ]}"#, format!(r#"{{"plugins":[ {{}}, {COMPACT} ]}}"#)),
    ] {
        let outcome = edited(insert(before.as_bytes(), &Entry::default()));
        assert_eq!(outcome, (after.clone(), Change::Inserted));
        assert_eq!(edited(remove(after.as_bytes(), PLUGIN_TYPE)), (before.to_owned(), Change::Removed));
    }
}

#[test]
fn all_settings_are_written_and_found_again() {
    let (text, _) = edited(insert(TERWAY.as_bytes(), &required()));
    assert!(text.contains("\"policy\": \"required\",\n      \"stateDir\": \"/run/kube-smc\",\n"), "{text}");
    assert!(text.contains(r#""logDir": "/var/log/\"odd\"""#), "{text}");
    let found = find(text.as_bytes(), PLUGIN_TYPE).unwrap().unwrap();
    assert_eq!((found.index, found.count, found.entry), (2, 3, Ok(required())));
    let span = &text[found.span];
    assert!(span.starts_with("{\n      \"type\": \"smc-cni\"") && span.ends_with("\n    }"), "{span}");
}

#[test]
fn an_equal_entry_is_left_where_and_as_it_is() {
    let text = format!(
        r#"{{"plugins":[{{"type":"a"}},{{ "policy":"preferred", "mine":1, "capabilities":{{"io.kubernetes.cri.pod-annotations":true,"x":true}},"type":"smc-cni"}},{{"type":"b"}}],"z":{}}}"#,
        "1e3"
    );
    assert_eq!(edited(insert(text.as_bytes(), &Entry::default())), (text, Change::Unchanged));
    // An entry without a policy has the default one.
    let text =
        r#"{"plugins":[{},{"type":"smc-cni","capabilities":{"io.kubernetes.cri.pod-annotations":true}}]}"#;
    assert_eq!(edited(insert(text.as_bytes(), &Entry::default())), (text.to_owned(), Change::Unchanged));
}

#[test]
fn a_differing_entry_is_replaced_in_its_place_and_keeps_the_operators_keys() {
    let text = r#"{"plugins":[{"type":"a"}, {"type": "smc-cni", "logMaxBytes": 1e3, "policy": "required"}, {"type":"b"}]}"#;
    let (after, change) = edited(insert(text.as_bytes(), &Entry::default()));
    assert_eq!(change, Change::Replaced);
    let entry = format!(r#"{}, "logMaxBytes": 1e3}}"#, &SPACED[..SPACED.len() - 1]);
    assert_eq!(after, format!(r#"{{"plugins":[{{"type":"a"}}, {entry}, {{"type":"b"}}]}}"#));
}

#[test]
fn an_unreadable_entry_of_ours_is_replaced() {
    for ours in [
        r#"{"type":"smc-cni"}"#,
        r#"{"type":"smc-cni","capabilities":null}"#,
        r#"{"type":"smc-cni","capabilities":{"io.kubernetes.cri.pod-annotations":false}}"#,
        r#"{"type":"smc-cni","capabilities":{"io.kubernetes.cri.pod-annotations":true},"policy":"maybe"}"#,
        r#"{"type":"smc-cni","capabilities":{"io.kubernetes.cri.pod-annotations":true},"stateDir":7}"#,
        r#"{"type":"smc-cni","capabilities":{"io.kubernetes.cri.pod-annotations":true},"logDir":"/other"}"#,
    ] {
        let text = format!(r#"{{"plugins":[{{"type":"a"}},{ours}]}}"#);
        let expected = format!(r#"{{"plugins":[{{"type":"a"}},{COMPACT}]}}"#);
        assert_eq!(
            edited(insert(text.as_bytes(), &Entry::default())),
            (expected, Change::Replaced),
            "{ours}"
        );
    }
}

#[test]
fn an_entry_anywhere_is_removed_with_one_comma() {
    let ours = r#"{"type":"smc-cni"}"#;
    for (before, after) in [
        (format!(r#"{{"plugins":[ {ours} , {{"type":"a"}} ]}}"#), r#"{"plugins":[ {"type":"a"} ]}"#),
        (format!(r#"{{"plugins":[{{}} , {ours} ,{{"type":"a"}}]}}"#), r#"{"plugins":[{} ,{"type":"a"}]}"#),
        (format!(r#"{{"plugins":[{{}} , {ours} ]}}"#), r#"{"plugins":[{} ]}"#),
    ] {
        assert_eq!(edited(remove(before.as_bytes(), PLUGIN_TYPE)), (after.to_owned(), Change::Removed));
    }
}

#[test]
fn what_is_not_there_is_not_removed() {
    assert_eq!(edited(remove(TERWAY.as_bytes(), PLUGIN_TYPE)), (TERWAY.to_owned(), Change::Unchanged));
    assert_eq!(find(TERWAY.as_bytes(), PLUGIN_TYPE).unwrap(), None);
    assert_eq!(find(TERWAY.as_bytes(), "cilium-cni").unwrap().unwrap().index, 1);
}

#[test]
fn other_mentions_of_our_name_are_not_our_entry() {
    for other in [
        r#"{"type":"x","name":"smc-cni"}"#,
        r#"{"x":{"type":"smc-cni"}}"#,
        r#""smc-cni""#,
        r#"["smc-cni"]"#,
        r#"{"type":["smc-cni"]}"#,
        r#"{"type":"smc-cni2"}"#,
        r#"{"a":"\"type\":\"smc-cni\""}"#,
    ] {
        let text = format!(r#"{{"type":"smc-cni","x":[{{"type":"smc-cni"}}],"plugins":[{other}]}}"#);
        assert_eq!(find(text.as_bytes(), PLUGIN_TYPE).unwrap(), None, "{other}");
    }
    let escaped = br#"{"\u0070lugins":[{},{"type":"smc\u002dcni"}]}"#;
    assert_eq!(find(escaped, PLUGIN_TYPE).unwrap().unwrap().index, 1);
}

#[test]
fn what_is_no_list_is_refused() {
    type Expected = fn(&ConflistError) -> bool;
    let cases: [(&[u8], Expected); 14] = [
        (b"", |error| matches!(error, ConflistError::Empty)),
        (b" \n\t", |error| matches!(error, ConflistError::Empty)),
        (b"plugins", |error| matches!(error, ConflistError::Syntax { .. })),
        (b"{\"plugins\":[{}],}", |error| matches!(error, ConflistError::Syntax { .. })),
        (b"{\"plugins\":[{}]}{", |error| matches!(error, ConflistError::Syntax { .. })),
        (b"{\"plugins\":[{}],\"plugins\":[{}]}", |error| matches!(error, ConflistError::Syntax { .. })),
        (b"{\"plugins\":[{\"a\":\"\xff\"}]}", |error| matches!(error, ConflistError::NotUtf8 { .. })),
        (b"[[{\"type\":\"a\"}]]", |error| matches!(error, ConflistError::NotAnObject)),
        (b"7", |error| matches!(error, ConflistError::NotAnObject)),
        (b"{\"type\":\"bridge\",\"name\":\"n\"}", |error| matches!(error, ConflistError::SinglePlugin)),
        (b"{\"name\":\"n\"}", |error| matches!(error, ConflistError::NoPlugins)),
        (b"{\"plugins\":null}", |error| matches!(error, ConflistError::NoPlugins)),
        (b"{\"plugins\":{\"type\":\"a\"}}", |error| matches!(error, ConflistError::NoPlugins)),
        (b"{\"plugins\":[ ]}", |error| matches!(error, ConflistError::EmptyPlugins)),
    ];
    for (conf, expected) in cases {
        for error in [
            insert(conf, &Entry::default()).unwrap_err(),
            remove(conf, PLUGIN_TYPE).unwrap_err(),
            find(conf, PLUGIN_TYPE).unwrap_err(),
        ] {
            assert!(expected(&error), "{}: {error:?}", conf.escape_ascii());
        }
    }
}

#[test]
fn duplicate_entries_of_ours_are_refused() {
    let conf = br#"{"plugins":[{"type":"smc-cni"},{"type":"a"},{"type":"smc-cni"}]}"#;
    for error in [insert(conf, &Entry::default()).unwrap_err(), remove(conf, PLUGIN_TYPE).unwrap_err()] {
        assert!(matches!(error, ConflistError::Duplicate { count: 2, .. }), "{error:?}");
        assert_eq!(error.to_string(), "the configuration list has 2 entries of type \"smc-cni\"");
    }
    assert!(find(conf, "a").unwrap().is_some());
}

#[test]
fn the_only_entry_is_neither_kept_up_nor_removed() {
    let conf = br#"{"plugins":[{"type":"smc-cni"}]}"#;
    for error in [insert(conf, &Entry::default()).unwrap_err(), remove(conf, PLUGIN_TYPE).unwrap_err()] {
        assert!(matches!(error, ConflistError::NothingElse { .. }), "{error:?}");
    }
}

#[test]
fn every_beginning_of_a_list_is_incomplete_and_no_other_refusal_is() {
    let text = TERWAY_EDITED.replace("terway-chainer", "t\u{e9}rway");
    let text = text.trim_end().as_bytes();
    for length in 0..text.len() {
        let error = insert(&text[..length], &Entry::default()).unwrap_err();
        assert!(error.is_incomplete(), "{length}: {error:?}");
    }
    for conf in [&b"x"[..], b"{\"a\":\"\xff\"}", b"{}", b"{\"plugins\":[]}", b"{\"type\":\"a\"}", b"{}}"] {
        assert!(!insert(conf, &Entry::default()).unwrap_err().is_incomplete(), "{}", conf.escape_ascii());
    }
}
