use super::*;
use crate::chain::provenance::Since;

#[test]
fn an_entry_in_a_directory_that_was_not_looked_in_is_a_problem_until_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (looked_in, other, record) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("record"));
    for directory in [&looked_in, &other] {
        fs::create_dir(directory).unwrap();
    }
    let ours = Ours { lists: [("10-a.conflist".into(), Since { since: 7 })].into(), ..Ours::default() };
    Provenance::open(&record, &other).unwrap().record(ours).unwrap();

    let [problem] = &remove(&looked_in, &record).unwrap().problems[..] else { panic!("one problem") };
    assert!(matches!(problem, Problem::Elsewhere { .. }), "{problem}");
    for part in [other.display().to_string(), record.display().to_string(), "--conf-dir".to_owned()] {
        assert!(problem.to_string().contains(&part), "{part}: {problem}");
    }
    assert!(remove(&other, &record).unwrap().problems.is_empty());
    assert!(!record.exists());
}
