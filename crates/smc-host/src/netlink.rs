//! A blocking netlink connection with extended acknowledgements.

use std::time::Duration;

use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::Socket;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use smc_abi::frame::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use smc_abi::{KernelError, Message, Reply, Request, messages};

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
    buffer: Vec<u8>,
}

/// The body of one answer and the type of its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `nlmsg_type`.
    pub message_type: u16,
    /// What follows the header.
    pub body: Vec<u8>,
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
        let open = || -> std::io::Result<Socket> {
            let socket = Socket::new(protocol.number())?;
            socket.set_ext_ack(true)?;
            socket.set_cap_ack(true)?;
            #[expect(clippy::cast_possible_wrap, reason = "a second")]
            let timeout = TimeVal::new(ANSWER_TIMEOUT.as_secs() as i64, 0);
            setsockopt(&socket, sockopt::ReceiveTimeout, &timeout)?;
            Ok(socket)
        };
        let socket = open().map_err(HostError::at(format!("open a netlink socket ({protocol:?})")))?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Sends a request and returns the bodies of all its answers. `attempt` says what it is for, to follow "cannot".
    pub fn request(&mut self, attempt: &str, request: &Request) -> Result<Vec<Answer>, HostError> {
        self.transact(request).map_err(HostError::at(attempt))
    }

    /// Sends an rtnetlink message with `flags` besides NLM_F_REQUEST and returns the answers.
    pub fn route_request(
        &mut self,
        attempt: &str,
        message: &RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, HostError> {
        let mut body = vec![0; message.buffer_len()];
        message.serialize(&mut body);
        let request = Request { message_type: message.message_type(), flags: NLM_F_REQUEST | flags, body };
        let answers = self.transact(&request).map_err(HostError::at(attempt))?;
        answers
            .iter()
            .map(|answer| {
                let mut header = NetlinkHeader::default();
                header.message_type = answer.message_type;
                RouteNetlinkMessage::deserialize(&header, &answer.body)
                    .map_err(|error| HostError::new(attempt, Cause::Answer(error.to_string())))
            })
            .collect()
    }

    /// Sends several messages in one datagram, numbered from `first`, and waits for the acknowledgement of the one
    /// numbered `awaited` (both relative to this connection's sequence as given by [`Self::next_sequence`]).
    pub(crate) fn batch(&mut self, attempt: &str, datagram: &[u8], awaited: u32) -> Result<(), HostError> {
        self.socket.send(datagram, 0).map_err(HostError::at(attempt))?;
        self.sequence = self.sequence.max(awaited).wrapping_add(1);
        self.collect(awaited, Until::Ack).map(drop).map_err(HostError::at(attempt))
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
            if let Some(answers) = self.collect(sequence, until)? {
                return Ok(answers);
            }
        }
        Err(Cause::Unexpected("what was listed kept changing while it was listed".to_owned()))
    }

    /// Collects the answers to `sequence`; `None` when the dump was interrupted by a change and must be repeated.
    fn collect(&mut self, sequence: u32, until: Until) -> Result<Option<Vec<Answer>>, Cause> {
        let mut answers = Vec::new();
        let mut interrupted = false;
        loop {
            self.buffer.clear();
            self.socket.recv(&mut self.buffer, 0)?;
            for message in messages(&self.buffer) {
                let message = message?;
                // Leftovers of a request that timed out before.
                if message.sequence != sequence {
                    continue;
                }
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.reply()? {
                    Reply::Data(Message { message_type, body, .. }) => {
                        answers.push(Answer { message_type, body: body.to_vec() });
                        if until == Until::FirstAnswer {
                            return Ok(Some(answers));
                        }
                    }
                    Reply::Done(None) | Reply::Ack => return Ok((!interrupted).then_some(answers)),
                    Reply::Done(Some(error)) | Reply::Error(error) => return Err(Cause::Netlink(error)),
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
