//! One session: a command whose streams travel in frames, or a byte stream joined to a Unix socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::wire::{self, Action, Kind};

/// How long a command that lost its session may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// A command's children may keep its output open after it ended; when nothing comes for this long, it is complete.
const QUIET: Duration = Duration::from_millis(200);

/// Does what was asked; an error is a reason for a refusal, before anything was done.
pub fn run(connection: &TcpStream, action: Action) -> Result<(), String> {
    match action {
        Action::Exec { argv, env, directory } => {
            let (program, arguments) = argv.split_first().ok_or("the command is empty")?;
            let child = Command::new(program)
                .args(arguments)
                .envs(env)
                .current_dir(directory.as_deref().unwrap_or(Path::new("/")))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .process_group(0)
                .spawn()
                .map_err(|error| format!("cannot start {program}: {error}"))?;
            // A broken connection ends the command; there is nobody to tell.
            let _ = carry(connection, child);
            Ok(())
        }
        Action::Connect { path } => {
            let socket = UnixStream::connect(&path)
                .map_err(|error| format!("cannot connect to {}: {error}", path.display()))?;
            let _ = join(connection, &socket);
            Ok(())
        }
    }
}

/// Carries a command's streams until it ends.
fn carry(connection: &TcpStream, mut child: Child) -> io::Result<()> {
    let group = Pid::from_raw(child.id().cast_signed());
    let ended = Arc::new(AtomicBool::new(false));
    let output = Arc::new(Mutex::new(connection.try_clone()?));
    send(&output, Kind::Started, &[])?;

    let (to_stdin, stdin_chunks) = mpsc::channel();
    if let Some(stdin) = child.stdin.take() {
        thread::spawn(move || feed(stdin, &stdin_chunks));
    }
    let input = connection.try_clone()?;
    let input_ended = Arc::clone(&ended);
    thread::spawn(move || receive(input, to_stdin, group, &input_ended));

    let (done, pumps) = mpsc::channel();
    let activity = Arc::new(Activity::default());
    let mut open = 0;
    let streams = [
        (Kind::Stdout, child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>)),
        (Kind::Stderr, child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>)),
    ];
    for (kind, stream) in streams {
        let Some(stream) = stream else { continue };
        open += 1;
        let (done, output, activity) = (done.clone(), Arc::clone(&output), Arc::clone(&activity));
        thread::spawn(move || {
            pump(kind, stream, &output, &activity);
            let _ = done.send(());
        });
    }

    let status = child.wait()?;
    ended.store(true, Ordering::SeqCst);
    await_output(open, &pumps, &activity);
    send(&output, Kind::Exit, &status.into_raw().to_be_bytes())?;
    // Closing with input unread would reset the connection, and the exit with it: the other side closes first.
    connection.shutdown(Shutdown::Write)
}

/// How far the output pumps are; tells a quiet stream from one whose reader is slow.
#[derive(Default)]
struct Activity {
    chunks: AtomicU64,
    sending: AtomicU64,
}

fn pump(kind: Kind, mut stream: impl Read, output: &Mutex<TcpStream>, activity: &Activity) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                activity.sending.fetch_add(1, Ordering::SeqCst);
                let sent = send(output, kind, &buffer[..length]);
                activity.chunks.fetch_add(1, Ordering::SeqCst);
                activity.sending.fetch_sub(1, Ordering::SeqCst);
                if sent.is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Waits until both pumps ended, or nothing came for [`QUIET`].
fn await_output(mut open: usize, pumps: &Receiver<()>, activity: &Activity) {
    while open > 0 {
        let before = activity.chunks.load(Ordering::SeqCst);
        match pumps.recv_timeout(QUIET) {
            Ok(()) => open -= 1,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let idle = activity.sending.load(Ordering::SeqCst) == 0;
                if idle && activity.chunks.load(Ordering::SeqCst) == before {
                    return;
                }
            }
        }
    }
}

/// Writes chunks to the command until the sender or the command ends. The chunks queue in memory without a bound, so
/// that a command that does not read its input can still be told to end.
fn feed(mut stdin: impl Write, chunks: &Receiver<Vec<u8>>) {
    for chunk in chunks {
        if stdin.write_all(&chunk).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

/// Reads what this machine sends; when the connection breaks, ends the command's whole process group.
fn receive(mut input: TcpStream, to_stdin: Sender<Vec<u8>>, group: Pid, ended: &AtomicBool) {
    let signal_group = |signal: Signal| {
        if !ended.load(Ordering::SeqCst) {
            let _ = killpg(group, signal);
        }
    };
    let mut to_stdin = Some(to_stdin);
    while let Ok(Some(frame)) = wire::read_frame(&mut input) {
        match frame.kind {
            Kind::Stdin if frame.payload.is_empty() => to_stdin = None,
            Kind::Stdin => {
                if let Some(sender) = &to_stdin {
                    let _ = sender.send(frame.payload);
                }
            }
            Kind::Signal => {
                let number = frame.payload.first().copied().map(i32::from);
                if let Some(signal) = number.and_then(|number| Signal::try_from(number).ok()) {
                    signal_group(signal);
                }
            }
            _ => break,
        }
    }
    signal_group(Signal::SIGTERM);
    for _ in 0..20 {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        thread::sleep(GRACE / 20);
    }
    signal_group(Signal::SIGKILL);
}

/// Copies both ways between the connection and a socket until both directions ended.
fn join(mut connection: &TcpStream, socket: &UnixStream) -> io::Result<()> {
    wire::write_frame(&mut connection, Kind::Started, &[])?;
    let (from_connection, to_socket) = (connection.try_clone()?, socket.try_clone()?);
    let forth = thread::spawn(move || {
        let _ = io::copy(&mut &from_connection, &mut &to_socket);
        let _ = to_socket.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut &*socket, &mut connection);
    let _ = connection.shutdown(Shutdown::Both);
    let _ = forth.join();
    Ok(())
}

fn send(output: &Mutex<TcpStream>, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let mut output = output.lock().map_err(|_| io::Error::other("a thread of the session panicked"))?;
    wire::write_frame(&mut *output, kind, payload)
}

#[cfg(test)]
mod tests;
