//! A blocking netlink connection with extended acknowledgements.
//!
//! One dialect for all that SMC needs: frames and attributes are [`smc_abi`]'s, and the fixed headers of rtnetlink's families
//! are netlink-packet-route's. That crate's messages would make a value of every attribute of every link and route, on the path
//! of each pod's start, for the two or three that are asked for; and it does not know SMC's families. Only the agent's anchor
//! link is made by the crate rtnetlink, which is asynchronous like the agent and knows how links are made.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{fmt, io};

use netlink_sys::Socket;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use smc_abi::frame::{NLM_F_ACK, NLM_F_DUMP};
use smc_abi::{KernelError, Message, Reply, Request, messages};
use smc_model::NetnsCookie;

use crate::socket_ioctl::{link_index, namespace};
use crate::sockopt::netns_cookie;
use crate::{Cause, HostError};

/// Longest wait for one answer. The kernel answers netlink from within the request; only a lock held by somebody
/// else delays it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Netlink dumps come in datagrams of up to 32 KiB (net/netlink/af_netlink.c, `netlink_dump`).
const BUFFER: usize = 32 * 1024;

/// `EBUSY`/`EINTR` dumps: how often an interrupted dump is repeated.
const DUMP_TRIES: usize = 4;
const NLM_F_DUMP_INTR: u16 = 0x10;

/// The netlink protocols used here (uapi/linux/netlink.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Links, addresses, routes.
    Route,
    /// Socket diagnostics.
    SockDiag,
    /// nftables.
    Netfilter,
    /// Families with dynamic numbers: SMC_PNETID, SMC_GEN_NETLINK.
    Generic,
    /// RDMA devices.
    Rdma,
}

impl Protocol {
    fn number(self) -> isize {
        match self {
            Self::Route => 0,
            Self::SockDiag => 4,
            Self::Netfilter => 12,
            Self::Generic => 16,
            Self::Rdma => 20,
        }
    }
}

/// A connection to the kernel; it stays in the network namespace it was opened in.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    sequence: u32,
}

/// Room for what is received, taken by one connection after the other: fewer pages for the kernel to find. No thread has
/// its own, because what is dropped at a thread's end costs the plugin, which has but one thread, more than it receives:
/// the C library's allocator is set up for it, and its thread-local storage gets a mapping of its own.
static ROOM: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The body of one answer and the type of its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `nlmsg_type`.
    pub message_type: u16,
    /// What follows the header.
    pub body: Vec<u8>,
}

/// The sequence numbers of what was sent in one datagram. The kernel answers the refusal of a single message under
/// that message's number, but the refusal of a batch as a whole (EPERM, a subsystem that is not there) under the
/// number of its begin (net/netfilter/nfnetlink.c, `nfnetlink_rcv_batch`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sequences {
    /// The number of the first message.
    pub(crate) first: u32,
    /// How many messages there are, numbered consecutively.
    pub(crate) count: u32,
    /// The number of the message that asks for an acknowledgement.
    pub(crate) awaited: u32,
}

impl Sequences {
    fn one(sequence: u32) -> Self {
        Self { first: sequence, count: 1, awaited: sequence }
    }

    fn contain(self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.first) < self.count
    }
}

/// What ends the answers to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Done,
    Ack,
    FirstAnswer,
}

impl Connection {
    /// Opens a connection in the calling thread's network namespace.
    pub fn open(protocol: Protocol) -> Result<Self, HostError> {
        let open = || -> io::Result<Socket> {
            let socket = Socket::new(protocol.number())?;
            // A refusal repeats the request then, which costs less than another option for every connection.
            socket.set_ext_ack(true)?;
            Ok(socket)
        };
        let socket = open().map_err(HostError::at(format!("open a netlink socket ({protocol:?})")))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The cookie of the network namespace that the connection was opened in; `None` where the kernel gives none.
    pub fn netns_cookie(&self) -> Result<Option<NetnsCookie>, HostError> {
        netns_cookie(&self.socket)
    }

    /// The network namespace that the connection was opened in.
    pub(crate) fn namespace(&self) -> Result<File, Errno> {
        namespace(&self.socket)
    }

    /// The index of an interface of the connection's namespace; `None` when it is not there.
    pub fn link_index(&self, name: &str) -> Result<Option<u32>, HostError> {
        link_index(&self.socket, name).map_err(HostError::at(format_args!("look for the interface {name}")))
    }

    /// Sends a request and returns the bodies of all its answers. `attempt` says what it is for, to follow "cannot".
    pub fn request(
        &mut self,
        attempt: &dyn fmt::Display,
        request: &Request,
    ) -> Result<Vec<Answer>, HostError> {
        self.transact(request).map_err(HostError::at(attempt))
    }

    /// Sends several messages in one datagram, numbered as `batch` says, and waits for the acknowledgement of the
    /// awaited one. A refusal of any of them is a refusal of the batch, see [`Sequences`].
    pub(crate) fn batch(
        &mut self,
        attempt: &dyn fmt::Display,
        datagram: &[u8],
        batch: Sequences,
    ) -> Result<(), HostError> {
        self.socket.send(datagram, 0).map_err(HostError::at(attempt))?;
        self.sequence = batch.first.wrapping_add(batch.count.saturating_sub(1));
        self.collect(batch, Until::Ack).map(drop).map_err(HostError::at(attempt))
    }

    /// Sends two requests at once, of which the second asks for an acknowledgement. Each is carried out whatever becomes of the
    /// other; the first refusal is the answer.
    pub(crate) fn both(
        &mut self,
        attempt: &dyn fmt::Display,
        first: &Request,
        second: &Request,
    ) -> Result<(), HostError> {
        let sequence = self.next_sequence();
        let last = sequence.wrapping_add(1);
        let datagram = [first.frame(sequence), second.frame(last)].concat();
        self.batch(attempt, &datagram, Sequences { first: sequence, count: 2, awaited: last })
    }

    /// The sequence number that a batch may start with.
    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn transact(&mut self, request: &Request) -> Result<Vec<Answer>, Cause> {
        let until = if request.flags & NLM_F_DUMP != 0 {
            Until::Done
        } else if request.flags & NLM_F_ACK != 0 {
            Until::Ack
        } else {
            Until::FirstAnswer
        };
        for _ in 0..DUMP_TRIES {
            let sequence = self.next_sequence();
            self.socket.send(&request.frame(sequence), 0)?;
            if let Some(answers) = self.collect(Sequences::one(sequence), until)? {
                return Ok(answers);
            }
        }
        Err(Cause::Unexpected("what was listed kept changing while it was listed".to_owned()))
    }

    /// Collects the answers to the awaited request; `None` when the dump was interrupted by a change and must be
    /// repeated.
    fn collect(&self, asked: Sequences, until: Until) -> Result<Option<Vec<Answer>>, Cause> {
        // Whoever comes while another has the room makes some, and one of the two is kept.
        let mut received = ROOM.try_lock().map(|mut room| std::mem::take(&mut *room)).unwrap_or_default();
        received.clear();
        received.reserve_exact(BUFFER);
        let collected = self.collect_in(&mut received, asked, until);
        if let Ok(mut room) = ROOM.try_lock() {
            *room = received;
        }
        collected
    }

    /// Receives one datagram. It is there when its request was sent, but for what a lock in the kernel delays.
    fn receive(&self, received: &mut Vec<u8>) -> io::Result<()> {
        received.clear();
        match self.socket.recv(received, libc::MSG_DONTWAIT) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.await_answer()?;
                self.socket.recv(received, libc::MSG_DONTWAIT).map(drop)
            }
            result => result.map(drop),
        }
    }

    fn await_answer(&self) -> io::Result<()> {
        let until = Instant::now() + ANSWER_TIMEOUT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) => return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)),
                Err(Errno::EINTR) => {}
                ready => return Ok(ready.map(drop)?),
            }
        }
    }

    fn collect_in(
        &self,
        received: &mut Vec<u8>,
        asked: Sequences,
        until: Until,
    ) -> Result<Option<Vec<Answer>>, Cause> {
        let mut answers = Vec::new();
        let mut interrupted = false;
        loop {
            self.receive(received)?;
            for message in messages(received) {
                let message = message?;
                // Leftovers of a request that timed out before.
                if !asked.contain(message.sequence) {
                    continue;
                }
                let awaited = message.sequence == asked.awaited;
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.reply()? {
                    Reply::Error(error) => return Err(Cause::Netlink(error)),
                    _ if !awaited => {}
                    Reply::Data(Message { message_type, body, .. }) => {
                        answers.push(Answer { message_type, body: body.to_vec() });
                        if until == Until::FirstAnswer {
                            return Ok(Some(answers));
                        }
                    }
                    Reply::Done(None) | Reply::Ack => return Ok((!interrupted).then_some(answers)),
                    Reply::Done(Some(error)) => return Err(Cause::Netlink(error)),
                    Reply::Overrun => return Err(Cause::Netlink(overrun())),
                    Reply::Noop => {}
                }
            }
        }
    }
}

fn overrun() -> KernelError {
    KernelError { errno: libc::ENOBUFS, message: None, offset: None }
}

#[cfg(test)]
mod tests;
