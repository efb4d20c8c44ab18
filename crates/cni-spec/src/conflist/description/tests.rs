use super::*;

fn described(keys: &str) -> Description {
    describe(format!(r#"{{{keys}"plugins":[{{"type":"a"}}]}}"#).as_bytes()).unwrap()
}

#[test]
fn a_list_takes_drop_ins_in_a_directory_of_its_name_unless_it_forbids_them() {
    for (keys, directory) in [
        (r#""name":"terway-chainer","#, Some("terway-chainer")),
        (r#""name":"n","loadOnlyInlinedPlugins":false,"#, Some("n")),
        (r#""name":"n","loadOnlyInlinedPlugins":"False","#, Some("n")),
        (r#""name":"n","loadOnlyInlinedPlugins":true,"#, None),
        (r#""name":"n","loadOnlyInlinedPlugins":"TRUE","#, None),
        (r#""name":"n","loadOnlyInlinedPlugins":7,"#, None),
        (r#""name":"..","#, None),
        (r#""name":"a/b","#, None),
        (r#""name":"","#, None),
        (r#""name":7,"#, None),
        ("", None),
    ] {
        assert_eq!(described(keys).drop_in_directory(), directory, "{keys}");
    }
}

#[test]
fn a_list_is_called_in_its_version_or_in_the_newest_that_runtime_and_plugin_speak() {
    let (old, new) = (Some(false), Some(true));
    for (keys, knows, expected) in [
        (r#""cniVersion":"0.4.0","#, old, Ok(Version::V0_4_0)),
        (r#""cniVersion":"0.4.0","#, None, Ok(Version::V0_4_0)),
        ("", old, Err("no \"cniVersion\"")),
        ("", None, Err("no \"cniVersion\"")),
        (r#""cniVersion":"","#, new, Err("is \"\"")),
        (r#""cniVersion":"0.2.0","#, None, Err("\"0.2.0\"")),
        (r#""cniVersion":4,"#, None, Err("\"4\"")),
        (r#""cniVersions":["0.4.0","1.0.0","9.0.0"],"#, new, Ok(Version::V1_0_0)),
        (r#""cniVersions":["0.4.0","1.0.0"],"#, old, Err("no \"cniVersion\"")),
        (r#""cniVersions":["0.4.0"],"#, None, Err("no \"cniVersion\"")),
        (r#""cniVersion":"1.0.0","cniVersions":["0.4.0"],"#, None, Ok(Version::V1_0_0)),
        (r#""cniVersions":["0.1.0"],"#, new, Err("[\"0.1.0\"]")),
    ] {
        let called = described(keys).called_in(knows);
        match expected {
            Ok(version) => assert_eq!(called, Ok(version), "{keys}"),
            Err(words) => assert!(called.unwrap_err().said.contains(words), "{keys}"),
        }
    }
}

#[test]
fn what_is_no_list_is_refused_with_the_reason_that_editing_gives() {
    assert!(describe(br#"{"name":"n","plug"#).unwrap_err().is_incomplete());
    let single = describe(br#"{"name":"n","type":"bridge"}"#).unwrap_err();
    assert!(matches!(single, ConflistError::SinglePlugin), "{single:?}");
}
