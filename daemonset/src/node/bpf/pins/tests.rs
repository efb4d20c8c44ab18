use super::*;

#[test]
fn an_ordinary_directory_is_refused_with_the_place_and_a_remedy() {
    let ordinary = tempfile::tempdir().unwrap();
    let wanted = ordinary.path().join("kube-smc");
    let error = Pins::lock(&wanted).err().unwrap();
    assert!(matches!(&error, BpfError::NotBpffs { path, .. } if path == ordinary.path()), "{error:?}");
    assert!(error.remedy().contains("mount"));
    assert!(!wanted.exists(), "nothing may be made outside a bpffs");
}

#[test]
fn a_missing_parent_directory_is_named() {
    let error = Pins::lock(Path::new("/nonexistent/deep/kube-smc")).err().unwrap();
    assert!(matches!(&error, BpfError::Pin { path, .. } if path == Path::new("/nonexistent/deep")));
}

#[test]
fn removing_from_a_directory_that_is_not_there_finds_nothing() {
    let removed = remove(Path::new("/nonexistent/kube-smc")).unwrap();
    assert_eq!(removed, Removed { link: false, map: false, guard: false });
}

#[test]
fn a_map_that_is_not_pinned_is_none() {
    assert!(open_map(Path::new("/nonexistent/kube-smc/converting_netns")).unwrap().is_none());
}
