//! Running nft. No behaviour of its own: `listing` judges, `script` says what to do.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::process::{Command, Stdio};

use thiserror::Error;

use super::{GuardChange, GuardState, TABLE, listing, script};

/// Why the guard could not be looked at or put in place.
#[derive(Debug, Error)]
pub enum GuardError {
    /// nft cannot be started; it is in the package `nftables`.
    #[error("cannot run `{command}`")]
    Run {
        /// Program and arguments.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// nft or the kernel refused; nothing was changed.
    #[error("`{command}` failed ({status}): {message}")]
    Refused {
        /// Program and arguments.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote to stderr.
        message: String,
    },
    /// nft answered something other than its JSON.
    #[error("`{command}` answered no listing")]
    NotAListing {
        /// Program and arguments.
        command: String,
    },
    /// The script was accepted, and still the guard is not right.
    #[error("the same-node guard is not in place after it was put there: {state:?}")]
    NotReadBack {
        /// What was found instead.
        state: GuardState,
    },
}

impl GuardError {
    /// What a person can do about it, in one sentence.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Run { .. } => "install nftables where the agent runs (it is in the agent's image)",
            Self::Refused { .. } => {
                "the agent needs CAP_NET_ADMIN in the node's network namespace, and the kernel nf_tables"
            }
            Self::NotAListing { .. } => "use nftables 1.0 or later, built with JSON",
            Self::NotReadBack { .. } => "find out what else changes the table inet kube-smc and stop it",
        }
    }
}

/// The same-node guard in the network namespace where nft runs.
///
/// All methods block for the few milliseconds nft takes.
#[derive(Debug, Clone)]
pub struct Guard {
    command: Vec<OsString>,
}

impl Default for Guard {
    fn default() -> Self {
        Self::with_command(["nft"])
    }
}

impl Guard {
    /// Runs nft as `command`, for example `["nsenter", "--net=/proc/1/ns/net", "nft"]`.
    pub fn with_command<I: IntoIterator<Item: AsRef<OsStr>>>(command: I) -> Self {
        Self { command: command.into_iter().map(|part| part.as_ref().to_owned()).collect() }
    }

    /// Looks at the guard and changes nothing.
    pub fn observe(&self) -> Result<GuardState, GuardError> {
        // nft tells an absent table from other failures only in words; the list of tables is unambiguous.
        let arguments = ["-j", "list", "tables", "inet"];
        match listing::has_table(&self.run(&arguments, None)?) {
            None => return Err(GuardError::NotAListing { command: self.shown(&arguments) }),
            Some(false) => return Ok(GuardState::Absent),
            Some(true) => {}
        }
        let (family, name) = TABLE.split_once(' ').unwrap_or_default();
        let arguments = ["-j", "list", "table", family, name];
        listing::judge(&self.run(&arguments, None)?)
            .ok_or_else(|| GuardError::NotAListing { command: self.shown(&arguments) })
    }

    /// Makes sure that the guard is there and right. Pods in the set stay in it.
    pub fn ensure(&self) -> Result<GuardChange, GuardError> {
        let (script, change) = match self.observe()? {
            GuardState::Present { .. } => return Ok(GuardChange::Kept),
            GuardState::Absent => (script::establish(&[], &[].into()), GuardChange::Created),
            GuardState::Altered { deviations, pods } => {
                (script::establish(&deviations, &pods), GuardChange::Repaired(deviations))
            }
        };
        self.run(&["-f", "-"], Some(&script))?;
        match self.observe()? {
            GuardState::Present { .. } => Ok(change),
            state => Err(GuardError::NotReadBack { state }),
        }
    }

    /// Removes the guard. Its absence is no error.
    pub fn remove(&self) -> Result<(), GuardError> {
        self.run(&["-f", "-"], Some(&script::remove())).map(drop)
    }

    fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<String, GuardError> {
        let (program, prefix) = self
            .command
            .split_first()
            .map_or((OsStr::new("nft"), [].as_slice()), |(program, rest)| (program.as_os_str(), rest));
        let failed = |source| GuardError::Run { command: self.shown(arguments), source };
        let mut child = Command::new(program)
            .args(prefix)
            .args(arguments)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        // An nft that ends before it has read everything says why on stderr, so a broken pipe is not looked at here.
        let fed = match (child.stdin.take(), input) {
            (Some(mut stdin), Some(script)) => stdin.write_all(script.as_bytes()),
            _ => Ok(()),
        };
        let output = child.wait_with_output().map_err(failed)?;
        if !output.status.success() {
            return Err(GuardError::Refused {
                command: self.shown(arguments),
                status: output.status,
                message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        fed.map_err(failed)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn shown(&self, arguments: &[&str]) -> String {
        let command = self.command.iter().map(|part| part.to_string_lossy());
        command.chain(arguments.iter().map(|&part| part.into())).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_nft_is_named_in_the_error() {
        let error = Guard::with_command(["/nonexistent/nft"]).observe().unwrap_err();
        assert_eq!(error.to_string(), "cannot run `/nonexistent/nft -j list tables inet`");
    }

    #[test]
    fn an_answer_that_is_no_listing_is_an_error() {
        let error = Guard::with_command(["echo"]).ensure().unwrap_err();
        assert!(matches!(error, GuardError::NotAListing { .. }), "{error:?}");
    }

    #[test]
    fn a_refusal_carries_the_words_on_stderr() {
        let error =
            Guard::with_command(["sh", "-c", "echo no such permission >&2; exit 1"]).remove().unwrap_err();
        assert!(error.to_string().contains("no such permission"), "{error}");
    }
}
