//! Bytes out, bytes back, and every one of them compared.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use serde::Serialize;

const CHUNK: usize = 16 << 10;

/// What became of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Sent {
    /// Bytes that came back, or were given back.
    pub(super) bytes: u64,
    /// The first byte that was not as it was sent, if one was not: its place in the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wrong_at: Option<u64>,
    /// Whether all came, and nothing else.
    pub(super) complete: bool,
    /// How long it took, in milliseconds.
    pub(super) milliseconds: u64,
}

impl Sent {
    pub(super) fn intact(self) -> bool {
        self.complete && self.wrong_at.is_none()
    }
}

/// The byte at a place of the stream: no short period, so that bytes lost or added shift everything.
fn byte_at(place: u64) -> u8 {
    let mixed = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    #[expect(clippy::cast_possible_truncation, reason = "one byte of the mix is wanted")]
    let byte = (mixed ^ (mixed >> 29)) as u8;
    byte
}

/// Sends `bytes` and compares what comes back, both at the same time; then calls `before_end` and ends its own direction.
pub(super) fn send_and_compare(
    stream: &TcpStream,
    bytes: u64,
    limit: Duration,
    before_end: impl FnOnce(),
) -> Result<Sent> {
    limited(stream, limit)?;
    let began = Instant::now();
    let (compared, sent) = thread::scope(|scope| {
        let sender = scope.spawn(|| send(stream, bytes));
        let compared = compare(stream, bytes);
        (compared, sender.join())
    });
    let (received, wrong_at) = compared.context("cannot receive what was sent")?;
    let sent = sent.map_err(|_| anyhow::anyhow!("the sender panicked"))?;
    sent.context("cannot send")?;
    before_end();
    stream.shutdown(Shutdown::Write).context("cannot end the sending direction")?;
    Ok(Sent {
        bytes: received,
        wrong_at,
        complete: received == bytes,
        milliseconds: super::millis(began.elapsed()),
    })
}

fn limited(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))
}

fn send(mut stream: &TcpStream, bytes: u64) -> io::Result<()> {
    let mut place = 0;
    let mut chunk = Vec::with_capacity(CHUNK);
    while place < bytes {
        let end = bytes.min(place + CHUNK as u64);
        chunk.clear();
        chunk.extend((place..end).map(byte_at));
        stream.write_all(&chunk)?;
        place = end;
    }
    Ok(())
}

/// Reads `bytes`; tells how many came and which was the first wrong one.
fn compare(mut stream: &TcpStream, bytes: u64) -> io::Result<(u64, Option<u64>)> {
    let mut buffer = vec![0; CHUNK];
    let (mut place, mut wrong) = (0_u64, None);
    while place < bytes {
        let length = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for byte in &buffer[..length] {
            if *byte != byte_at(place) && wrong.is_none() {
                wrong = Some(place);
            }
            place += 1;
        }
    }
    Ok((place, wrong))
}

/// Waits for one connection.
pub(super) fn accept(listener: &TcpListener, limit: Duration) -> Result<(TcpStream, SocketAddr)> {
    let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    let limit_value = TimeVal::new(seconds, i64::from(limit.subsec_micros()));
    setsockopt(listener, sockopt::ReceiveTimeout, &limit_value).context("cannot limit the wait")?;
    loop {
        match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                bail!("nobody connected within {} s", limit.as_secs());
            }
            accepted => return accepted.context("cannot accept a connection"),
        }
    }
}

/// Gives back what comes, until the peer ends; `midway` is called once, when the first bytes have come.
pub(super) fn echo(mut stream: &TcpStream, limit: Duration, midway: impl FnOnce()) -> Result<Sent> {
    limited(stream, limit)?;
    let began = Instant::now();
    let (mut buffer, mut bytes, mut wrong_at) = (vec![0; CHUNK], 0_u64, None);
    let mut midway = Some(midway);
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("cannot receive"),
        };
        if let Some(midway) = midway.take() {
            midway();
        }
        for (place, byte) in (bytes..).zip(&buffer[..length]) {
            if *byte != byte_at(place) && wrong_at.is_none() {
                wrong_at = Some(place);
            }
        }
        bytes += length as u64;
        stream.write_all(&buffer[..length]).context("cannot give back what came")?;
    }
    Ok(Sent { bytes, wrong_at, complete: true, milliseconds: super::millis(began.elapsed()) })
}

#[cfg(test)]
mod tests;
