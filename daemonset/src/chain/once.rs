//! Put program and entry in place, once.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::install::Installer;
use super::late::QUIET;
use super::{Choice, Options, Owner, Problem};

/// How long a list that is being written is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What [`install_once`] did.
#[derive(Debug)]
pub struct Installed {
    /// Whether the program was copied; `false` when an equal one was there.
    pub binary_copied: bool,
    /// How the entry gets into the chain; `None` when it is left alone.
    pub choice: Option<Choice>,
    /// The list or drop-in with the entry.
    pub file: Option<PathBuf>,
    /// Who placed the entry.
    pub owner: Option<Owner>,
    /// Whether a configuration was written.
    pub changed: bool,
}

/// Puts program and entry in place, once. Waits some seconds at most, for a list that is being written.
pub fn install_once(options: Options) -> Result<Installed, Problem> {
    let mut installer = Installer::new(options);
    installer.sweep()?;
    let end = Instant::now() + PATIENCE;
    let (mut binary_copied, mut changed) = (false, false);
    let mut late = None;
    loop {
        let look = installer.look(Instant::now(), late.take(), false);
        binary_copied |= look.binary_copied;
        changed |= look.wrote;
        let in_time = Instant::now() < end;
        match (look.problem, look.again) {
            (Some(Problem::Unfinished { .. }), _) if in_time => sleep(QUIET),
            (Some(problem), _) => return Err(problem),
            (None, Some(wait)) if in_time => sleep(wait),
            (None, Some(_)) => return Err(Problem::Unfinished { path: look.list.unwrap_or_default() }),
            (None, None) => {
                late = look.wrote.then(|| wait_for_late_bytes(&mut installer)).flatten();
                if late.is_none() {
                    return Ok(Installed {
                        binary_copied,
                        choice: look.choice,
                        owner: look.present.as_ref().map(|present| present.owner),
                        file: look.present.map(|present| installer.options().conf_dir.join(present.at)),
                        changed,
                    });
                }
            }
        }
    }
}

/// Gives the owner of a list that was just replaced a moment for its last bytes.
fn wait_for_late_bytes(installer: &mut Installer) -> Option<(PathBuf, Vec<u8>)> {
    for _ in 0..5 {
        sleep(QUIET);
        if let Some(late) = installer.replaced.look(Instant::now()) {
            return Some(late);
        }
    }
    None
}
