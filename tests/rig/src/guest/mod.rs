//! What runs inside a rig node: its first process, the server of sessions, and a CNI plugin shaped like Terway.

pub mod conversion;
pub mod init;
pub mod mounts;
pub mod network;
pub mod runtime;
pub mod serve;
pub mod services;
pub mod session;
pub mod terway;

use std::io;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Why a node could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// A file or directory operation failed.
    #[error("{action} {path:?}")]
    File {
        /// What was attempted.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A mount failed.
    #[error("mount {kind} on {target:?}")]
    Mount {
        /// The file system's type, or `bind`.
        kind: &'static str,
        /// The mount point.
        target: PathBuf,
        /// The system's answer.
        source: nix::Error,
    },
    /// A program could not be started.
    #[error("start {program}")]
    Start {
        /// Its name.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{command:?} failed: {stderr}")]
    Program {
        /// The command line.
        command: String,
        /// What it said.
        stderr: String,
    },
    /// The kernel command line is not one of the rig's.
    #[error("read the kernel command line")]
    BootWords(#[from] crate::layout::BootWordsError),
    /// No network interface has the hardware address the rig gave it.
    #[error("no network interface has the hardware address {0}")]
    NoInterface(String),
    /// The server of sessions could not listen.
    #[error("listen on {address}")]
    Listen {
        /// Address and port.
        address: String,
        /// The system's answer.
        source: io::Error,
    },
}

/// Runs a program with `input` on its standard input and returns its output; an unsuccessful end is an error.
pub fn run(program: &str, arguments: &[&str], input: &str) -> Result<Output, GuestError> {
    let start_error = |source| GuestError::Start { program: program.to_owned(), source };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start_error)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early says why on its standard error.
        let _ = io::Write::write_all(&mut stdin, input.as_bytes());
    }
    let output = child.wait_with_output().map_err(start_error)?;
    if output.status.success() {
        return Ok(output);
    }
    Err(GuestError::Program {
        command: format!("{program} {}", arguments.join(" ")),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Writes a file, such as a sysctl.
pub(crate) fn write_file(path: impl Into<PathBuf>, content: impl AsRef<[u8]>) -> Result<(), GuestError> {
    let path = path.into();
    std::fs::write(&path, content).map_err(|source| GuestError::File { action: "write", path, source })
}

/// Makes a directory and its parents.
pub(crate) fn make_directory(path: impl Into<PathBuf>) -> Result<(), GuestError> {
    let path = path.into();
    std::fs::create_dir_all(&path).map_err(|source| GuestError::File {
        action: "make the directory",
        path,
        source,
    })
}
