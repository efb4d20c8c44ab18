//! Work in a process of its own, which can be left behind while the kernel holds it.
//!
//! A call into the kernel that waits for one of its mutexes (RTNL, the commit mutex of nf_tables) cannot be interrupted, not
//! even by SIGKILL, and a process ends only when its last call has come back. So whoever must answer in time has to be another
//! process than the one that calls.
#![allow(unsafe_code, reason = "fork and _exit")]
#![allow(clippy::disallowed_methods, reason = "the plugin, which forks, has one thread")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2};

use crate::{Cause, HostError};

/// The last byte of a whole answer.
const ANSWERED: u8 = b'.';

/// What came of [`run`].
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done; its answer.
    Done(Vec<u8>),
    /// The time is up; the worker goes on without its caller.
    LeftBehind(Held),
}

/// A worker that was left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    /// Its process id.
    pub pid: i32,
    /// The kernel's function in which it waits (`/proc/PID/wchan`, proc(5)); `None` where it runs, or the kernel does not say.
    pub waits_in: Option<String>,
}

/// Does `work` in a process of its own, a copy of this one, and waits for its answer until `until`. Standard input, output and
/// error are not the worker's, so that nobody who reads them waits for it. Where no process or pipe can be made the work is done
/// in this one. To be called in a process with one thread, or `work` must need no lock that another thread may hold.
///
/// # Errors
/// When the worker ended without an answer.
pub fn run(until: Instant, work: impl FnOnce() -> Vec<u8>) -> Result<Outcome, HostError> {
    let Ok((answer, mine)) = pipe2(OFlag::O_CLOEXEC) else { return Ok(Outcome::Done(work())) };
    // SAFETY: the child goes on with its own copy of everything and never returns to the caller. By this function's contract
    // it has the one thread that there was, or touches nothing that another one may have locked.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            drop(answer);
            answer_and_end(mine, work)
        }
        Ok(ForkResult::Parent { child }) => {
            drop(mine);
            await_answer(File::from(answer), child, until)
        }
        Err(_) => Ok(Outcome::Done(work())),
    }
}

/// The worker's whole life.
fn answer_and_end(answer: OwnedFd, work: impl FnOnce() -> Vec<u8>) -> ! {
    let mut end = End { status: 1 };
    let told = detach_standard_streams().and_then(|()| {
        let mut whole = work();
        whole.push(ANSWERED);
        File::from(answer).write_all(&whole)
    });
    end.status = i32::from(told.is_err());
    end.now()
}

/// Ends the process when dropped, so that a panic of the work does not unwind into what the caller was about to do.
struct End {
    status: i32,
}

impl End {
    fn now(&self) -> ! {
        // SAFETY: ends the process and runs nothing of it any more; what others share with it (files) is in the kernel.
        unsafe { libc::_exit(self.status) }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.now()
    }
}

fn detach_standard_streams() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

fn await_answer(mut answer: File, worker: Pid, until: Instant) -> Result<Outcome, HostError> {
    let failed = || "hear from a worker process";
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up, so that the last wait is not a busy one.
        let left = PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(answer.as_fd(), PollFlags::POLLIN)], left) {
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(HostError::new(failed(), errno)),
            Ok(0) if Instant::now() < until => continue,
            Ok(0) => {
                return Ok(Outcome::LeftBehind(Held { pid: worker.as_raw(), waits_in: waits_in(worker) }));
            }
            Ok(_) => {}
        }
        match answer.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => heard.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(HostError::new(failed(), error)),
        }
    }
    if heard.pop_if(|last| *last == ANSWERED).is_some() {
        // Its end is not waited for, which could be held, too; what is left of it goes with this process.
        let _ = waitpid(worker, Some(WaitPidFlag::WNOHANG));
        return Ok(Outcome::Done(heard));
    }
    let ended = waitpid(worker, None);
    Err(HostError::new(failed(), Cause::Unexpected(format!("it ended without an answer: {ended:?}"))))
}

/// `0` is what the kernel shows of a process that runs, and to who may not know.
fn waits_in(worker: Pid) -> Option<String> {
    let function = fs::read_to_string(format!("/proc/{worker}/wchan")).ok()?;
    (!function.is_empty() && function != "0").then_some(function)
}

#[cfg(test)]
mod tests;
