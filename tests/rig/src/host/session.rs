//! Sessions with a node: the other end of `rig-guest serve`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Output};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::network::Network;
use super::{RigError, qemu};
use crate::layout::NodeNumber;
use crate::wire::{self, Action, Frame, Kind, Request};

/// How to reach a node.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) node: NodeNumber,
    pub(crate) network: Arc<Network>,
    pub(crate) token: Token,
}

/// A rig's secret; not shown in debug output, which ends up in test logs.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Address {
    /// Opens a session and waits until the node accepted it.
    pub(crate) fn open(&self, action: Action) -> Result<TcpStream, RigError> {
        let node = self.node.get();
        let open = || -> io::Result<(TcpStream, Result<(), String>)> {
            let port = qemu::management_port(self.node);
            let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            let mut stream = self.network.run(connect).map_err(io::Error::other)??;
            stream.set_nodelay(true)?;
            wire::write_request(&mut stream, &Request { token: self.token.0.clone(), action })?;
            let answer = wire::read_answer(&mut stream)?;
            Ok((stream, answer))
        };
        let (stream, answer) = open().map_err(RigError::session("open a session with", node))?;
        answer.map_err(|why| RigError::Refused { node, why })?;
        Ok(stream)
    }
}

/// A command to run in a node, as root.
#[derive(Debug, Clone)]
pub struct NodeCommand {
    address: Address,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    directory: Option<PathBuf>,
    stdin: Vec<u8>,
    timeout: Option<Duration>,
}

impl NodeCommand {
    pub(crate) fn new(address: Address, argv: &[impl AsRef<str>]) -> Self {
        Self {
            address,
            argv: argv.iter().map(|word| word.as_ref().to_owned()).collect(),
            env: BTreeMap::new(),
            directory: None,
            stdin: Vec::new(),
            timeout: None,
        }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets the working directory; it is `/` otherwise.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// What the command reads on its standard input; nothing otherwise.
    #[must_use]
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = input.into();
        self
    }

    /// Ends the command when it takes longer.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Starts the command.
    pub fn spawn(self) -> Result<RunningCommand, RigError> {
        let node = self.address.node;
        let program = self.argv.first().cloned().unwrap_or_default();
        let action = Action::Exec { argv: self.argv, env: self.env, directory: self.directory };
        let stream = self.address.open(action)?;
        Ok(RunningCommand { stream, node, program, timeout: self.timeout, stdin: self.stdin })
    }

    /// Runs the command to its end and collects what it wrote. An unsuccessful end is not an error.
    pub fn output(self) -> Result<Output, RigError> {
        self.spawn()?.wait()
    }

    /// Runs the command to its end; any but a successful end is an error that tells what it wrote.
    pub fn check(self) -> Result<Output, RigError> {
        let (node, command) = (self.address.node.get(), self.argv.join(" "));
        let output = self.output()?;
        if output.status.success() {
            return Ok(output);
        }
        Err(RigError::Command {
            command,
            node,
            status: output.status.to_string(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Runs the command with this process's own standard streams.
    pub fn attach(self) -> Result<ExitStatus, RigError> {
        let running = self.spawn()?;
        let node = running.node.get();
        let mut to_node = running.stream.try_clone().map_err(RigError::session("talk to", node))?;
        // Ends with the process: it may be waiting for a terminal when the command has ended.
        thread::spawn(move || forward(&mut io::stdin(), &mut to_node));
        let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
        running.carry(&mut |kind, bytes| match kind {
            Kind::Stdout => stdout.write_all(bytes).and_then(|()| stdout.flush()),
            _ => stderr.write_all(bytes),
        })
    }
}

/// A command that runs in a node. Dropping it ends the command.
#[derive(Debug)]
pub struct RunningCommand {
    stream: TcpStream,
    node: NodeNumber,
    program: String,
    timeout: Option<Duration>,
    stdin: Vec<u8>,
}

impl RunningCommand {
    /// Sends a signal, such as 15, to the command's process group.
    pub fn signal(&self, number: u8) -> Result<(), RigError> {
        let sent = wire::write_frame(&mut &self.stream, Kind::Signal, &[number]);
        sent.map_err(RigError::session("send a signal to a command on", self.node.get()))
    }

    /// Waits for its end and collects what it wrote.
    pub fn wait(mut self) -> Result<Output, RigError> {
        let node = self.node.get();
        let mut to_node = self.stream.try_clone().map_err(RigError::session("talk to", node))?;
        let stdin = std::mem::take(&mut self.stdin);
        // In a thread of its own: the command may write before it has read everything.
        let input = thread::spawn(move || forward(&mut stdin.as_slice(), &mut to_node));
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let status = self.carry(&mut |kind, bytes| {
            (if kind == Kind::Stdout { &mut stdout } else { &mut stderr }).extend_from_slice(bytes);
            Ok(())
        })?;
        let _ = input.join();
        Ok(Output { status, stdout, stderr })
    }

    fn carry(self, write: &mut dyn FnMut(Kind, &[u8]) -> io::Result<()>) -> Result<ExitStatus, RigError> {
        let node = self.node.get();
        let deadline = self.timeout.map(|limit| Instant::now() + limit);
        let lost = |source| RigError::Session { action: "run a command on", node, source };
        loop {
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                // Zero would mean no limit.
                let limit = left.max(Duration::from_millis(1));
                self.stream.set_read_timeout(Some(limit)).map_err(lost)?;
            }
            match wire::read_frame(&mut &self.stream) {
                Ok(Some(Frame { kind: kind @ (Kind::Stdout | Kind::Stderr), payload })) => {
                    write(kind, &payload).map_err(lost)?;
                }
                Ok(Some(Frame { kind: Kind::Exit, payload })) => {
                    let raw = <[u8; 4]>::try_from(payload.as_slice());
                    let raw = raw.map_err(|_| lost(io::ErrorKind::InvalidData.into()))?;
                    return Ok(ExitStatus::from_raw(i32::from_be_bytes(raw)));
                }
                Ok(Some(_)) => return Err(lost(io::ErrorKind::InvalidData.into())),
                Ok(None) => return Err(lost(io::ErrorKind::UnexpectedEof.into())),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    let seconds = self.timeout.unwrap_or_default().as_secs();
                    return Err(RigError::Timeout {
                        what: format!("the end of {}", self.program),
                        node,
                        seconds,
                    });
                }
                Err(error) => return Err(lost(error)),
            }
        }
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        // Threads may hold copies of the connection; the node ends the command when all of it is gone.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// Sends all of `input` as the command's standard input, and then its end.
fn forward(input: &mut impl Read, to_node: &mut TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                if wire::write_frame(to_node, Kind::Stdin, &buffer[..length]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    // The command may have ended already.
    let _ = wire::write_frame(to_node, Kind::Stdin, &[]);
}
