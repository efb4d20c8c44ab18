//! What docs/security.md says is tested, is.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

/// Every function's name in the sources below `directory`.
fn functions_below(directory: &Path, names: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            functions_below(&path, names)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            let after_fn = text.split("fn ").skip(1);
            names.extend(after_fn.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.to_owned()));
        }
    }
    Ok(())
}

#[test]
fn every_test_that_the_security_page_names_is_there() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(repository.join("docs/security.md")).unwrap();
    // A test's name is a sentence; other words in code are shorter.
    let words = page.split('`').skip(1).step_by(2);
    let named: Vec<&str> = words.filter(|word| word.matches('_').count() > 3).collect();
    assert!(named.len() > 10, "{named:?}");
    let mut there = BTreeSet::new();
    for directory in ["crates", "cni-plugin", "daemonset", "tests"] {
        functions_below(&repository.join(directory), &mut there).unwrap();
    }
    let lacking: Vec<&&str> = named.iter().filter(|name| !there.contains(**name)).collect();
    assert!(lacking.is_empty(), "docs/security.md names tests that are not there: {lacking:?}");
}
