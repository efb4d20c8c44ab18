//! What is wrong at this moment, and when to say so in the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use smc_surfaces::Subject;

/// How soon other words for a subject that is wrong already are logged again: causes can alternate by the second.
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// The problems that stand, one per subject.
#[derive(Debug, Clone, Default)]
pub struct Problems(BTreeMap<Subject, Problem>);

#[derive(Debug, Clone)]
struct Problem {
    text: String,
    /// What the log says, and since when.
    logged: String,
    at: Instant,
}

/// What is to be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// A problem.
    New(String),
    /// A problem that was logged is gone.
    Gone(String),
}

impl Problems {
    /// Takes in what is wrong with a subject now, if anything.
    pub fn tell(&mut self, subject: Subject, problem: Option<String>, now: Instant) -> Told {
        let Some(text) = problem else {
            return self.0.remove(&subject).map_or(Told::Nothing, |gone| Told::Gone(gone.logged));
        };
        if let Some(standing) = self.0.get_mut(&subject) {
            standing.text.clone_from(&text);
            if text == standing.logged || now.duration_since(standing.at) < SAY_AGAIN_AFTER {
                return Told::Nothing;
            }
        }
        self.0.insert(subject, Problem { logged: text.clone(), text: text.clone(), at: now });
        Told::New(text)
    }

    /// What is wrong with one subject.
    pub fn of(&self, subject: &Subject) -> Option<&str> {
        self.0.get(subject).map(|problem| problem.text.as_str())
    }

    /// Each subject with what is wrong with it.
    pub fn iter(&self) -> impl Iterator<Item = (&Subject, &str)> {
        self.0.iter().map(|(subject, problem)| (subject, problem.text.as_str()))
    }
}

#[cfg(test)]
mod tests {
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
            logged +=
                usize::from(problems.tell(Subject::MeshServer, Some(words.into()), now) != Told::Nothing);
            assert_eq!(problems.iter().collect::<Vec<_>>(), [(&Subject::MeshServer, words)]);
        }
        assert!((2..=11).contains(&logged), "{logged}");
    }

    #[test]
    fn subjects_do_not_hide_each_other() {
        let (mut problems, now) = (Problems::default(), Instant::now());
        problems.tell(Subject::MeshServer, Some("a".into()), now);
        problems.tell(Subject::Events, Some("b".into()), now);
        assert_eq!(
            problems.iter().collect::<Vec<_>>(),
            [(&Subject::Events, "b"), (&Subject::MeshServer, "a")]
        );
    }
}
