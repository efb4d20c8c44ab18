//! The protocol between this machine and a rig node: frames on one TCP connection per session.
//!
//! A frame is one byte of [`Kind`], four bytes of payload length (big endian) and the payload. The first frame of a
//! session is a [`Request`]; the node answers [`Kind::Started`] or [`Kind::Refused`]. After an accepted
//! [`Action::Connect`] the connection is a plain byte stream.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The longest payload either side sends or accepts, in bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To the node: a [`Request`] in JSON.
    Request,
    /// To the node: bytes for the command's standard input; an empty payload is its end.
    Stdin,
    /// To the node: one byte, the number of a signal for the command's process group.
    Signal,
    /// From the node: the request was accepted and the command runs, or the socket is connected.
    Started,
    /// From the node: the request was not accepted; the payload says why, in UTF-8.
    Refused,
    /// From the node: bytes of the command's standard output.
    Stdout,
    /// From the node: bytes of the command's standard error.
    Stderr,
    /// From the node: the command ended; the payload is its wait status (`waitpid(2)`), a big-endian `i32`.
    Exit,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Request,
        Self::Stdin,
        Self::Signal,
        Self::Started,
        Self::Refused,
        Self::Stdout,
        Self::Stderr,
        Self::Exit,
    ];

    fn code(self) -> u8 {
        match self {
            Self::Request => 1,
            Self::Stdin => 2,
            Self::Signal => 3,
            Self::Started => 4,
            Self::Refused => 5,
            Self::Stdout => 6,
            Self::Stderr => 7,
            Self::Exit => 8,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the payload is.
    pub kind: Kind,
    /// At most [`MAX_PAYLOAD`] bytes.
    pub payload: Vec<u8>,
}

/// What a session is for, with the secret that proves that the caller may read the rig's state directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Contents of the rig's `token` file.
    pub token: String,
    /// What to do.
    pub action: Action,
}

/// What a node does for a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Run a command as root in the node, until it ends or the connection breaks.
    Exec {
        /// Program and arguments; the program is looked up in the node's `PATH`.
        argv: Vec<String>,
        /// Added to the node's environment.
        env: BTreeMap<String, String>,
        /// The working directory; the root directory when absent.
        directory: Option<PathBuf>,
    },
    /// Join the connection to a listening Unix stream socket of the node.
    Connect {
        /// The socket's path in the node.
        path: PathBuf,
    },
}

/// Writes one frame and flushes it.
pub fn write_frame(to: &mut impl Write, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD);
    let length = length
        .ok_or_else(|| invalid(format!("a frame of {} bytes is longer than {MAX_PAYLOAD}", payload.len())))?;
    let mut bytes = Vec::with_capacity(5 + payload.len());
    bytes.push(kind.code());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    to.write_all(&bytes)?;
    to.flush()
}

/// Reads one frame; `None` when the stream ends before its first byte.
///
/// A stream that ends within a frame is [`io::ErrorKind::UnexpectedEof`]; an unknown kind or a length above
/// [`MAX_PAYLOAD`] is [`io::ErrorKind::InvalidData`], and nothing more can be read from the stream.
pub fn read_frame(from: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut code = [0; 1];
    loop {
        match from.read(&mut code) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let kind = Kind::from_code(code[0]).ok_or_else(|| invalid(format!("unknown frame kind {}", code[0])))?;
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_PAYLOAD {
        return Err(invalid(format!("a frame claims {length} bytes, more than {MAX_PAYLOAD}")));
    }
    let mut payload = vec![0; length];
    from.read_exact(&mut payload)?;
    Ok(Some(Frame { kind, payload }))
}

/// Writes a request as the first frame of a session.
pub fn write_request(to: &mut impl Write, request: &Request) -> io::Result<()> {
    write_frame(to, Kind::Request, &serde_json::to_vec(request)?)
}

/// Reads the first frame of a session, which must be a request.
pub fn read_request(from: &mut impl Read) -> io::Result<Request> {
    match read_frame(from)? {
        Some(Frame { kind: Kind::Request, payload }) => Ok(serde_json::from_slice(&payload)?),
        Some(frame) => Err(invalid(format!("a session began with {:?} instead of a request", frame.kind))),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads the node's answer to a request: `Ok(Err(why))` when it refused.
pub fn read_answer(from: &mut impl Read) -> io::Result<Result<(), String>> {
    match read_frame(from)? {
        Some(Frame { kind: Kind::Started, .. }) => Ok(Ok(())),
        Some(Frame { kind: Kind::Refused, payload }) => {
            Ok(Err(String::from_utf8_lossy(&payload).into_owned()))
        }
        Some(frame) => Err(invalid(format!("the node answered a request with {:?}", frame.kind))),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests;
