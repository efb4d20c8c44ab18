use super::*;

#[test]
fn a_problem_is_logged_when_it_comes_and_when_it_goes() {
    let (mut problems, now) = (Problems::default(), Instant::now());
    assert_eq!(problems.tell(Subject::MeshServer, None, now), Told::Nothing);
    assert_eq!(problems.tell(Subject::MeshServer, Some("a".into()), now), Told::New("a".into()));
    for seconds in 0..1000 {
        let later = now + Duration::from_secs(seconds);
        assert_eq!(problems.tell(Subject::MeshServer, Some("a".into()), later), Told::Nothing);
    }
    assert_eq!(problems.tell(Subject::MeshServer, None, now), Told::Gone("a".into()));
    assert_eq!(problems.tell(Subject::MeshServer, None, now), Told::Nothing);
}

#[test]
fn alternating_words_fill_no_log_but_stand_in_the_status() {
    let (mut problems, start) = (Problems::default(), Instant::now());
    let mut logged = 0;
    for seconds in 0..600_u64 {
        let words = if seconds % 2 == 0 { "refused" } else { "timed out" };
        let now = start + Duration::from_secs(seconds);
        logged += usize::from(problems.tell(Subject::MeshServer, Some(words.into()), now) != Told::Nothing);
        assert_eq!(problems.iter().collect::<Vec<_>>(), [(&Subject::MeshServer, words)]);
    }
    assert!((2..=11).contains(&logged), "{logged}");
}

#[test]
fn subjects_do_not_hide_each_other() {
    let (mut problems, now) = (Problems::default(), Instant::now());
    problems.tell(Subject::MeshServer, Some("a".into()), now);
    problems.tell(Subject::Events, Some("b".into()), now);
    assert_eq!(problems.iter().collect::<Vec<_>>(), [(&Subject::Events, "b"), (&Subject::MeshServer, "a")]);
}
