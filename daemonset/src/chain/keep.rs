//! Keep the entry in the chain for as long as the agent runs.

use std::future::pending;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant, SystemTime};

use cni_spec::conflist::Entry;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::decide::Present;
use super::install::{Findings, Installer};
use super::load_check::LoadCheck;
use super::place::Place;
use super::watch::Watch;
use super::{Choice, Loaded, LoadedChain, Options, Problem, Runtime, RuntimeError, Status, StatusProblem};
use crate::chain::replace;

mod log;

/// How often the files are looked at though nothing was heard of them.
const RECHECK: Duration = Duration::from_secs(5);
/// The same, where nothing can be heard.
const UNHEARD: Duration = Duration::from_secs(1);
/// Shortest time between two looks, however many changes there are.
const SPACING: Duration = Duration::from_millis(5);
/// After a failure nothing is attempted for so long, twice as long after each further one.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// A list that is missing or half-written is mentioned as a problem when it stays so.
const GRACE: Duration = Duration::from_secs(5);
/// Longest wait for the runtime's answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

type Question<'a> = Pin<Box<dyn Future<Output = Result<LoadedChain, RuntimeError>> + Send + 'a>>;

/// Puts the entry into the chain, and back whenever it is lost, until `stop`; asks `runtime` whether it uses it, and
/// tells `status` about all of it. Never gives up: every problem is told, waited out and tried again. The files stay
/// as they are when it ends.
///
/// The files are read and written in between waiting: give it a thread that does nothing slow ([`super::ChainThread`]).
pub async fn keep<R: Runtime>(
    options: Options,
    runtime: R,
    status: watch::Sender<Status>,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    let mut watch = Watch::new();
    let mut keeper = Keeper::new(options, status);
    let mut question: Option<Question<'_>> = None;
    loop {
        let now = Instant::now();
        if question.is_none() && keeper.next_question().is_some_and(|next| now >= next) {
            keeper.check.asked();
            question = Some(Box::pin(ask(&runtime)));
        }
        if now >= keeper.next_look {
            keeper.look(now, &mut watch);
        }
        let next_question = keeper.next_question().filter(|_| question.is_none());
        let wake = [Some(keeper.next_look), keeper.next_late_look, next_question];
        let wake = wake.into_iter().flatten().min().unwrap_or(now + RECHECK);
        // Every branch only waits; what it leads to is done after the select.
        let answer = tokio::select! {
            () = &mut stop => return,
            () = watch.changed() => {
                keeper.changed(Instant::now());
                None
            }
            answer = answered(&mut question) => Some(answer),
            () = sleep_until(wake.into()) => None,
        };
        if let Some(answer) = answer {
            question = None;
            keeper.answered(answer, Instant::now());
        }
        keeper.look_for_late_bytes(Instant::now(), &mut watch);
    }
}

async fn ask<R: Runtime>(runtime: &R) -> Result<LoadedChain, RuntimeError> {
    match timeout(ANSWER_LIMIT, runtime.loaded_chain()).await {
        Ok(answer) => answer,
        Err(_) => Err(RuntimeError::Call(format!("no answer within {} seconds", ANSWER_LIMIT.as_secs()))),
    }
}

async fn answered(question: &mut Option<Question<'_>>) -> Result<LoadedChain, RuntimeError> {
    match question {
        Some(question) => question.await,
        None => pending().await,
    }
}

struct Keeper {
    installer: Installer,
    swept: bool,
    next_look: Instant,
    next_late_look: Option<Instant>,
    /// No look before this, whatever changes.
    not_before: Instant,
    failures: u32,
    check: LoadCheck,
    /// What the runtime is expected to have: the list's name and the entry.
    expected: Option<(Option<String>, Present)>,
    nudge_problem: Option<Problem>,
    place: Place,
    choice: Option<Choice>,
    exposed_since: Option<Instant>,
    problem_since: Option<(&'static str, Instant)>,
    state: Status,
    status: watch::Sender<Status>,
}

impl Keeper {
    fn new(options: Options, status: watch::Sender<Status>) -> Self {
        let now = Instant::now();
        let place = Place::new(&options.conf_dir, &options.bin_dir, now);
        Self {
            installer: Installer::new(options),
            swept: false,
            next_look: now,
            next_late_look: None,
            not_before: now,
            failures: 0,
            check: LoadCheck::default(),
            expected: None,
            nudge_problem: None,
            place,
            choice: None,
            exposed_since: None,
            problem_since: None,
            state: Status::default(),
            status,
        }
    }

    /// Something changed in a directory.
    fn changed(&mut self, now: Instant) {
        self.next_look = self.next_look.min(now).max(self.not_before);
    }

    fn look(&mut self, now: Instant, watch: &mut Watch) {
        if let Some(closed_until) = self.place.closed_until(now) {
            self.next_look = closed_until;
            self.tell(self.place.problem(), now);
            return;
        }
        let swept = if self.swept { Ok(()) } else { self.installer.sweep() };
        self.swept |= swept.is_ok();
        let look = self.installer.look(now, None, watch.was_closed());
        self.looked(look, swept.err(), now, watch);
    }

    fn look_for_late_bytes(&mut self, now: Instant, watch: &mut Watch) {
        if self.next_late_look.is_none_or(|next| now < next) {
            return;
        }
        if let Some(late) = self.installer.replaced.look(now) {
            tracing::info!(
                list = %late.0.display(),
                "the list's owner wrote to it after it was replaced; merging what it wrote"
            );
            let path = late.0.clone();
            let look = self.installer.look(now, Some(late), true);
            if look.problem.is_some() || look.again.is_some() {
                self.installer.replaced.give_again(&path, now);
            }
            self.looked(look, None, now, watch);
        }
        self.next_late_look = self.installer.replaced.next_look(now);
    }

    /// Draws the conclusions of a look.
    fn looked(
        &mut self,
        mut look: Findings,
        sweep_problem: Option<Problem>,
        now: Instant,
        watch: &mut Watch,
    ) {
        self.next_late_look = self.installer.replaced.next_look(now);
        self.log(&look);
        if look.put_in {
            self.state.insertions += 1;
        }
        self.expect(&look, now);
        self.expose(&look, now);

        let mut dirs = vec![self.installer.options().conf_dir.clone()];
        dirs.append(&mut look.beside);
        let (unheard, unwatched) = match watch.follow(&dirs) {
            Ok(unheard) => (unheard, None),
            Err(problem) => (true, Some(problem)),
        };
        self.schedule(&look, if unheard { UNHEARD } else { RECHECK }, now);

        let fought = self.installer.fight.too_often().filter(|_| !self.installer.fight.is_over(now));
        let fought = fought.map(|times| Problem::Fought {
            path: look.list.clone().unwrap_or_default(),
            times,
            wait: Duration::from_secs(self.installer.fight.wait(now).unwrap_or_default().as_secs()),
        });
        let problem = fought.or(look.problem).or(sweep_problem).or(unwatched);
        self.tell(problem, now);
    }

    fn schedule(&mut self, look: &Findings, recheck: Duration, now: Instant) {
        let (mut not_before, mut next) = (SPACING, look.again.unwrap_or(recheck));
        match &look.problem {
            Some(Problem::Io { .. } | Problem::Binary(_) | Problem::Record { .. } | Problem::Busy { .. }) => {
                // Our own attempt changes the directory: without this wait it would lead to the next one.
                let retry = FIRST_RETRY.saturating_mul(1 << self.failures.min(16)).min(LONGEST_RETRY);
                self.failures += 1;
                (not_before, next) = (retry, retry);
            }
            Some(problem) if problem.may_pass() => {
                self.failures = 0;
                next = next.min(UNHEARD);
            }
            _ => self.failures = 0,
        }
        self.not_before = now + not_before;
        self.next_look = (now + next).max(self.not_before);
    }

    /// When the runtime is to be asked.
    fn next_question(&self) -> Option<Instant> {
        [self.place.next_ask(), self.check.next_ask()].into_iter().flatten().min()
    }

    /// What the runtime should have now.
    fn expect(&mut self, look: &Findings, now: Instant) {
        let expected = look.present.clone().map(|present| (look.name.clone(), present));
        if expected.is_none() {
            self.check.expect_nothing();
        } else if look.wrote || expected != self.expected {
            self.check.expect(now);
        }
        self.expected = expected;
    }

    /// How long pods could start without the entry.
    fn expose(&mut self, look: &Findings, now: Instant) {
        let exposed = look.list.is_some() && look.present.is_none();
        match (exposed, self.exposed_since) {
            (true, None) => {
                self.exposed_since = Some(now);
                self.state.exposed_since = Some(SystemTime::now());
            }
            (false, Some(since)) => {
                self.state.exposed += since.elapsed();
                self.exposed_since = None;
                self.state.exposed_since = None;
            }
            _ => {}
        }
        self.state.list.clone_from(&look.list);
        let conf_dir = &self.installer.options().conf_dir;
        self.state.present = look.present.as_ref().map(|present| conf_dir.join(&present.at));
        self.state.owner = look.present.as_ref().map(|present| present.owner);
    }

    fn answered(&mut self, answer: Result<LoadedChain, RuntimeError>, now: Instant) {
        self.place.answered(&answer, now);
        if self.place.closed_until(now).is_some() {
            self.next_look = now;
            return;
        }
        let loaded = match (answer, &self.expected) {
            (Ok(chain), Some((Some(name), present))) => match &present.entry {
                Some(entry) => chain.has(name, entry),
                None => chain.has(name, &Entry::default()),
            },
            (Ok(_), _) => Loaded::Unknown { why: "there is no named list with the entry".to_owned() },
            (Err(RuntimeError::Silent), _) => Loaded::Untold,
            (Err(error), _) => Loaded::Unknown { why: error.to_string() },
        };
        if self.state.runtime != loaded {
            match &loaded {
                Loaded::Yes => tracing::info!("the container runtime has loaded the entry"),
                Loaded::No { why } => {
                    tracing::info!(why, "the container runtime has not loaded the entry yet");
                }
                // Before it was put in there is nothing to be known.
                Loaded::Untold | Loaded::Unknown { .. } if self.expected.is_none() => {}
                Loaded::Untold => {
                    let why = RuntimeError::Silent.to_string();
                    tracing::info!(why, "whether the container runtime has loaded the entry is not known");
                }
                Loaded::Unknown { why } => {
                    tracing::info!(why, "whether the container runtime has loaded the entry is not known");
                }
            }
        }
        if self.check.answered(loaded, now) {
            let conf_dir = &self.installer.options().conf_dir;
            tracing::info!(directory = %conf_dir.display(), "nudging the container runtime to read its CNI configuration again");
            let nudged = replace::nudge(conf_dir);
            self.nudge_problem = nudged.map_err(Problem::io("make the runtime look at", conf_dir)).err();
        }
        // The files decide whether there is another problem.
        self.next_look = now.max(self.not_before);
    }

    /// Puts everything into the status, and a problem that came or went into the log.
    fn tell(&mut self, problem: Option<Problem>, now: Instant) {
        self.state.runtime = self.check.loaded().clone();
        let hopeless = self.check.hopeless(now).zip(self.state.present.clone());
        let not_loaded = hopeless.map(|(why, path)| Problem::NotLoaded { path, why: why.to_owned() });
        let problem = problem.or_else(|| self.nudge_problem.take_if(|_| not_loaded.is_some())).or(not_loaded);
        let since = match (&problem, self.problem_since) {
            (Some(problem), Some((name, since))) if name == problem.name() => since,
            _ => now,
        };
        let first = self.problem_since.map(|(name, _)| name) != problem.as_ref().map(Problem::name);
        self.problem_since = problem.as_ref().map(|problem| (problem.name(), since));
        if let Some(problem) = problem.as_ref().filter(|problem| first && problem.may_pass()) {
            tracing::info!("{problem}");
        }
        let lasting = problem.filter(|problem| !problem.may_pass() || now >= since + GRACE);
        let lasting =
            lasting.map(|problem| StatusProblem { name: problem.name(), message: problem.to_string() });
        let name = |problem: &Option<StatusProblem>| problem.as_ref().map(|problem| problem.name);
        if name(&lasting) != name(&self.state.problem) {
            match (&lasting, &self.state.problem) {
                (Some(problem), _) => tracing::warn!(problem = problem.name, "{}", problem.message),
                (None, Some(problem)) => {
                    tracing::info!(problem = problem.name, "no longer: {}", problem.message);
                }
                (None, None) => {}
            }
        }
        self.state.problem = lasting;
        self.status.send_if_modified(|status| {
            let modified = *status != self.state;
            if modified {
                status.clone_from(&self.state);
            }
            modified
        });
    }
}
