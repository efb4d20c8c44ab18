//! Whether the runtime looks where the agent writes: asked before anything is written.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{LoadedChain, Problem, RuntimeError};

/// How long the first answer is waited for. A runtime that restarts answers again within seconds; one whose socket is not there
/// will never tell, and then what was given is believed.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// Between two questions of a runtime that does not answer.
const SOON: Duration = Duration::from_millis(500);
/// Between two questions of one that looks elsewhere: it may be restarted with other settings.
const LATER: Duration = Duration::from_secs(30);

/// The directories that the agent was given, and what is known of the runtime's.
#[derive(Debug)]
pub(super) struct Place {
    conf_dir: PathBuf,
    bin_dir: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The first answer is waited for.
    Asking { until: Instant, next: Instant },
    /// They are the runtime's, or nobody can tell.
    Believed,
    /// They are not.
    Elsewhere { theirs: LoadedChain, next: Instant },
}

impl Place {
    pub(super) fn new(conf_dir: &Path, bin_dir: &Path, now: Instant) -> Self {
        let state = State::Asking { until: now + FIRST_ANSWER, next: now };
        Self { conf_dir: conf_dir.to_owned(), bin_dir: bin_dir.to_owned(), state }
    }

    /// When to ask the runtime.
    pub(super) fn next_ask(&self) -> Option<Instant> {
        match self.state {
            State::Asking { next, .. } | State::Elsewhere { next, .. } => Some(next),
            State::Believed => None,
        }
    }

    /// Until when nothing may be written; `None`: now it may be.
    pub(super) fn closed_until(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Asking { until, .. } => (now < until).then_some(until),
            State::Believed => None,
            State::Elsewhere { next, .. } => Some(next),
        }
    }

    /// Why nothing may be written.
    pub(super) fn problem(&self) -> Option<Problem> {
        match &self.state {
            State::Elsewhere { theirs, .. } => theirs.looks_elsewhere(&self.conf_dir, &self.bin_dir),
            State::Asking { .. } | State::Believed => None,
        }
    }

    /// What the runtime said.
    pub(super) fn answered(&mut self, answer: &Result<LoadedChain, RuntimeError>, now: Instant) {
        self.state = match (answer, &self.state) {
            (Ok(chain), _) if chain.looks_elsewhere(&self.conf_dir, &self.bin_dir).is_some() => {
                State::Elsewhere { theirs: chain.clone(), next: now + LATER }
            }
            (Err(_), State::Elsewhere { theirs, .. }) => {
                State::Elsewhere { theirs: theirs.clone(), next: now + LATER }
            }
            (Err(RuntimeError::Call(_)), State::Asking { until, .. }) if now < *until => {
                State::Asking { until: *until, next: now + SOON }
            }
            (Ok(_) | Err(_), _) => State::Believed,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(conf_dir: &str, bin_dir: &str) -> LoadedChain {
        LoadedChain {
            conf_dir: conf_dir.into(),
            bin_dirs: vec![bin_dir.into()],
            networks: Vec::new(),
            load_error: None,
        }
    }

    fn place(start: Instant) -> Place {
        Place::new(Path::new("/etc/cni/net.d"), Path::new("/opt/cni/bin"), start)
    }

    #[test]
    fn nothing_may_be_written_until_the_runtime_has_said_that_it_looks_there() {
        let start = Instant::now();
        let mut place = place(start);
        assert!(place.closed_until(start).is_some());
        assert_eq!(place.next_ask(), Some(start));
        place.answered(&Ok(chain("/etc/cni/net.d", "/opt/cni/bin")), start);
        assert_eq!((place.closed_until(start), place.next_ask()), (None, None));
    }

    #[test]
    fn a_runtime_that_looks_elsewhere_closes_until_it_does_not_any_more() {
        let start = Instant::now();
        let mut place = place(start);
        place.answered(&Ok(chain("/etc/cni/net.d", "/var/lib/k3s/bin")), start);
        assert!(matches!(place.problem(), Some(Problem::OtherBinDir { .. })));
        let later = start + LATER;
        assert_eq!((place.closed_until(start), place.next_ask()), (Some(later), Some(later)));
        // It restarts, and does not answer meanwhile.
        place.answered(&Err(RuntimeError::Call("connection refused".to_owned())), later);
        assert!(place.problem().is_some() && place.closed_until(later).is_some());
        place.answered(&Ok(chain("/etc/cni/net.d", "/opt/cni/bin")), later + LATER);
        assert!(place.problem().is_none() && place.closed_until(later + LATER).is_none());
        // And the other way about.
        place.answered(&Ok(chain("/etc/other", "/opt/cni/bin")), later + LATER);
        assert!(matches!(place.problem(), Some(Problem::OtherConfDir { .. })));
    }

    #[test]
    fn one_that_cannot_be_asked_is_waited_for_and_then_what_was_given_is_believed() {
        let start = Instant::now();
        let mut place = place(start);
        let refused = || Err(RuntimeError::Call("connection refused".to_owned()));
        place.answered(&refused(), start);
        assert_eq!(place.next_ask(), Some(start + SOON));
        assert_eq!(place.closed_until(start + SOON), Some(start + FIRST_ANSWER));
        assert_eq!(place.closed_until(start + FIRST_ANSWER), None);
        place.answered(&refused(), start + FIRST_ANSWER);
        assert_eq!(place.next_ask(), None);
        for told in [RuntimeError::Silent, RuntimeError::Nobody] {
            let mut place = self::place(start);
            place.answered(&Err(told), start);
            assert_eq!(place.closed_until(start), None);
        }
    }
}
