//! The plugin's program on the node.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cni_spec::{PLUGIN_TYPE, Version};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Deserialize;
use thiserror::Error;

use crate::chain::replace::{Access, replace, sweep};

const MODE: u32 = 0o755;
/// Many times what the program takes to tell its versions.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long a file that was just written may still be open in a process that is being started.
const BUSY_LIMIT: Duration = Duration::from_secs(1);

/// Keeps the plugin's program in the node's directory of CNI plugins.
#[derive(Debug)]
pub struct PluginBinary {
    source: PathBuf,
    directory: PathBuf,
    /// What source and target were when they were last found equal.
    equal: Option<(Stamp, Stamp)>,
    /// What the target was when it last ran.
    ran: Option<Stamp>,
}

/// Tells a file that was not touched without reading it.
type Stamp = (u64, u64, u64, i64, i64);

impl PluginBinary {
    /// `source` is the program; `directory` where runtimes look for plugins.
    pub fn new(source: PathBuf, directory: PathBuf) -> Self {
        Self { source, directory, equal: None, ran: None }
    }

    /// Where the program is for the runtime.
    pub fn target(&self) -> PathBuf {
        self.directory.join(PLUGIN_TYPE)
    }

    /// Removes what a killed process of ours left.
    pub fn sweep(&self) -> Result<usize, PluginBinaryError> {
        sweep(&self.directory).map_err(io("clean up", &self.directory))
    }

    /// Copies the program unless an equal one is there; says whether it did. A program that runs meanwhile is not
    /// disturbed: its file lives on without a name.
    pub fn ensure(&mut self) -> Result<bool, PluginBinaryError> {
        let target = self.target();
        let stamps = || Some((stamp(&self.source).ok()?, stamp(&target).ok()?));
        if self.equal.is_some() && self.equal == stamps() {
            return Ok(false);
        }
        self.equal = None;
        let content = fs::read(&self.source).map_err(io("read", &self.source))?;
        fs::create_dir_all(&self.directory).map_err(io("make", &self.directory))?;
        let same = fs::read(&target).is_ok_and(|present| present == content)
            && fs::metadata(&target).is_ok_and(|file| file.mode() & 0o7777 == MODE);
        if !same {
            replace(&target, &content, Access::own(MODE)).map_err(io("write", &target))?;
        }
        self.equal = stamps();
        Ok(!same)
    }

    /// Runs the program as a runtime would, once for each file: an entry whose program cannot run keeps every pod of the node
    /// from starting. A directory that is mounted noexec, another processor and a missing library are found so.
    pub fn prove(&mut self) -> Result<(), PluginBinaryError> {
        let target = self.target();
        let now = stamp(&target).map_err(io("look at", &target))?;
        if self.ran == Some(now) {
            return Ok(());
        }
        tell_versions(&target).map_err(io("run", &target))?;
        self.ran = Some(now);
        Ok(())
    }

    /// Whether the program that is there now has run.
    pub fn is_proven(&self) -> bool {
        self.ran.is_some() && self.ran == stamp(&self.target()).ok()
    }
}

/// CNI's `VERSION`, the one command that needs nothing.
fn tell_versions(program: &Path) -> io::Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        supported_versions: Vec<String>,
    }
    let begun = Instant::now();
    let mut running = loop {
        let mut command = Command::new(program);
        command.env_clear().env("CNI_COMMAND", "VERSION").stdin(Stdio::null());
        match command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() {
            // Another thread forked while the file was being written.
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && begun.elapsed() < BUSY_LIMIT =>
            {
                sleep(Duration::from_millis(10));
            }
            started => break started?,
        }
    };
    let said = match running.stdout.take().map(|stdout| read_until_closed(stdout, begun + ANSWER_LIMIT)) {
        Some(Ok(said)) => said,
        said => {
            running.kill()?;
            running.wait()?;
            said.transpose()?.unwrap_or_default()
        }
    };
    let status = running.wait()?;
    let answer = serde_json::from_slice(&said).ok().filter(|_| status.success());
    let speaks =
        |answer: Answer| answer.supported_versions.iter().any(|text| text.parse::<Version>().is_ok());
    if answer.is_some_and(speaks) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    Err(io::Error::other(format!(
        "asked for the versions of CNI that it speaks, it said {said:?} ({status})"
    )))
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let file = fs::metadata(path)?;
    Ok((file.dev(), file.ino(), file.len(), file.ctime(), file.ctime_nsec()))
}

fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> PluginBinaryError + 'a {
    move |source| PluginBinaryError { action, path: path.to_owned(), source }
}

/// Why the program is not in place.
#[derive(Debug, Error)]
#[error("cannot {action} {path}, which is needed to install the plugin: {source}")]
pub struct PluginBinaryError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What comes from a pipe until nobody can write to it any more.
fn read_until_closed(mut pipe: ChildStdout, until: Instant) -> io::Result<Vec<u8>> {
    let (mut said, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let ready = match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        if ready == 0 {
            return Err(io::Error::other(format!("it did not end within {} s", ANSWER_LIMIT.as_secs())));
        }
        match pipe.read(&mut part)? {
            0 => return Ok(said),
            count => said.extend_from_slice(&part[..count]),
        }
    }
}

#[cfg(test)]
mod tests;
