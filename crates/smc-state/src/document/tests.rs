use std::fs;

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Colour {
    name: String,
}

impl Document for Colour {
    const FILE: &'static str = "colour.json";
    const WHAT: &'static str = "colour";
    const VERSION: u32 = 3;
}

#[test]
fn a_document_comes_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    assert_eq!(store.read_document::<Colour>().unwrap(), None);
    let green = Colour { name: "green".to_owned() };
    store.write_document(&green).unwrap();
    assert_eq!(store.read_document().unwrap(), Some(green));
    let text = fs::read_to_string(dir.path().join("colour.json")).unwrap();
    assert_eq!(text, "{\"version\":3,\"name\":\"green\"}\n");
}

#[test]
fn a_document_of_another_version_or_half_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    for text in ["{\"version\":4,\"name\":\"green\"}", "{\"version\":3,\"na", "", "[]"] {
        fs::write(dir.path().join("colour.json"), text).unwrap();
        let error = store.read_document::<Colour>().unwrap_err();
        assert!(matches!(error, StateError::Malformed { .. }), "{text:?}: {error}");
    }
}
