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
mod tests;
