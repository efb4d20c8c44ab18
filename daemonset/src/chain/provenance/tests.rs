use super::*;

fn ours(list: &str) -> Ours {
    Ours { lists: [(list.into(), Since { since: 7 })].into(), ..Ours::default() }
}

#[test]
fn what_is_ours_is_remembered_per_configuration_directory() {
    let dir = tempfile::tempdir().unwrap();
    let open = |conf_dir: &str| Provenance::open(&dir.path().join("a/b"), Path::new(conf_dir)).unwrap();
    open("/one").record(ours("10-a.conflist")).unwrap();
    assert_eq!(open("/one").ours(), ours("10-a.conflist"));
    assert_eq!(open("/two").ours(), Ours::default());
    open("/one").record(Ours::default()).unwrap();
    assert!(open("/one").document.directories.is_empty());
}

#[test]
fn a_record_that_cannot_be_understood_is_a_problem_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    for content in ["{", r#"{"version":2,"directories":{}}"#] {
        fs::write(dir.path().join("chain.json"), content).unwrap();
        let problem = Provenance::open(dir.path(), Path::new("/one")).unwrap_err();
        assert!(matches!(problem, Problem::Record { .. }), "{problem}");
        assert_eq!(fs::read_to_string(dir.path().join("chain.json")).unwrap(), content);
    }
}
