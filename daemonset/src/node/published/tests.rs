use std::fs;

use smc_state::BoundPort;

use super::*;
use crate::testing::test_values::{board, node};

fn unseen(store: &Store) -> PublishedNode<'_> {
    let (read, last) = (RecordCache::default(), LastLook::default());
    PublishedNode::new(store, read, board(), "this boot".to_owned(), last, watch::channel(None).1)
}

#[test]
fn what_could_not_be_written_is_written_as_soon_as_it_can_be_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let mut published = unseen(&store);
    let port = BoundPort { device: "rxe0".to_owned(), port: 1, pnetid: "NET1".parse().unwrap() };
    published.made.ports.insert(port.clone());
    // Root may write everywhere; but not a file where a directory is.
    let in_the_way = [dir.path().join("made.json"), store.node_path()];
    for path in &in_the_way {
        fs::create_dir(path).unwrap();
    }
    for path in &in_the_way {
        let error = published.write(node(Vec::new())).unwrap_err();
        assert!(error.with_cause().contains(path.to_str().unwrap()), "{}", error.with_cause());
        assert!(published.facts().is_none(), "nobody is told what the plugin does not know");
        fs::remove_dir(path).unwrap();
    }
    assert!(published.write(node(Vec::new())).unwrap());
    assert!(!published.write(node(Vec::new())).unwrap(), "nothing changed");
    let made: Made = store.read_document().unwrap().unwrap();
    assert_eq!(made.ports, [port].into());
    assert_eq!(store.node_facts("this boot").unwrap(), node(Vec::new()));
}

#[test]
fn a_list_of_what_was_made_that_cannot_be_read_keeps_no_facts_from_the_plugin() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    fs::write(dir.path().join("made.json"), "{").unwrap();
    let mut published = unseen(&store);
    let port = BoundPort { device: "rxe0".to_owned(), port: 1, pnetid: "NET1".parse().unwrap() };
    published.made.ports.insert(port);
    let error = published.write(node(Vec::new())).unwrap_err();
    assert!(error.with_cause().contains("made.json") && !error.is_for_want_of_room());
    assert_eq!(store.node_facts("this boot").unwrap(), node(Vec::new()));
}
