//! Where the agent is asked: at its socket, which only root of this node reaches and which nobody else can have, and at its port.
//! Each is opened again and again until it is open; no agent ends for want of one.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use smc_model::Process;
use smc_surfaces::Subject;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use super::{Limits, serve};
use crate::board::Board;
use crate::surfaces::metrics::Metrics;

const PORT: Subject = Subject::Port;
const SOCKET: Subject = Subject::Socket;
/// How soon a door that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often it is looked whether the socket is still where others look for it.
const STILL_THERE: Duration = Duration::from_secs(5);

/// A client's connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open door.
#[derive(Debug)]
pub enum Door {
    /// A port.
    Port(TcpListener),
    /// A socket in the file system.
    Socket(UnixListener),
}

impl Door {
    /// The next client.
    ///
    /// # Errors
    /// The kernel's; none of them lasts.
    pub async fn next(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Port(listener) => Box::new(listener.accept().await?.0),
            Self::Socket(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Answers at the port, as soon as it can be had. While it cannot, the program that has it is named, if `proc` shows it.
pub async fn keep_port(address: SocketAddr, proc: &Path, again: Duration, board: &Board, metrics: &Metrics) {
    loop {
        // Tokio's own sets SO_REUSEADDR: connections of the last agent's, which linger, do not stand in the way.
        match TcpListener::bind(address).await {
            Ok(listener) => {
                board.problem(PORT, None);
                tracing::info!(%address, "serving /metrics, /healthz, /readyz and /status");
                serve(Door::Port(listener), board.clone(), metrics.clone(), Limits::default()).await;
            }
            Err(answer) => {
                let taken = answer.kind() == io::ErrorKind::AddrInUse;
                let holders =
                    taken.then(|| smc_host::listeners::of_port(address.port(), proc).ok()).flatten();
                board.problem(PORT, Some(unavailable(address, &answer, &holders.unwrap_or_default())));
            }
        }
        tokio::time::sleep(again).await;
    }
}

fn unavailable(address: SocketAddr, answer: &io::Error, holders: &[Process]) -> String {
    let names: Vec<String> =
        holders.iter().map(|process| format!("{} (process {})", process.name, process.pid)).collect();
    let held_by =
        if names.is_empty() { String::new() } else { format!("; the port is {}'s", names.join(" and ")) };
    format!(
        "cannot listen on {address}, so there are no metrics of this node: {answer}{held_by}; end that program, or give another \
         address by SMC_AGENT_LISTEN (--listen)"
    )
}

/// Answers at the socket, and puts it back when somebody removes it.
pub async fn keep_socket(path: &Path, board: &Board, metrics: &Metrics) {
    loop {
        match open(path) {
            Ok((listener, inode)) => {
                board.problem(SOCKET, None);
                let gone = async {
                    while fs::symlink_metadata(path).is_ok_and(|found| found.ino() == inode) {
                        tokio::time::sleep(STILL_THERE).await;
                    }
                };
                let served = serve(Door::Socket(listener), board.clone(), metrics.clone(), Limits::default());
                tokio::select! {
                    () = gone => {}
                    () = served => {}
                }
            }
            Err(error) => {
                let told = format!(
                    "cannot make the socket {}, by which the pod's probes and smcctl ask: {error}",
                    path.display()
                );
                board.problem(SOCKET, Some(told));
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// The socket and its inode. One that an earlier agent left is replaced: whoever has the node's lock is the only agent.
fn open(path: &Path) -> io::Result<(UnixListener, u64)> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok((listener, fs::symlink_metadata(path)?.ino()))
}

#[cfg(test)]
mod tests;
