//! Netlink messages: framing of requests, and taking reply datagrams apart (uapi/linux/netlink.h).

use crate::bytes::{aligned, i32_at, u16_at, u32_at};
use crate::{DecodeError, KernelError};

/// The message is a request.
pub const NLM_F_REQUEST: u16 = 0x001;
/// The reply is one of several, ended by `NLMSG_DONE`.
pub const NLM_F_MULTI: u16 = 0x002;
/// The sender wants an acknowledgement, also when all went well.
pub const NLM_F_ACK: u16 = 0x004;
/// List everything (`NLM_F_ROOT | NLM_F_MATCH`).
pub const NLM_F_DUMP: u16 = 0x300;
/// Make the object when it is not there.
pub const NLM_F_CREATE: u16 = 0x400;
/// Fail where it exists already.
pub const NLM_F_EXCL: u16 = 0x200;
/// In an acknowledgement: of the request only the header is repeated.
pub const NLM_F_CAPPED: u16 = 0x100;
/// In an acknowledgement: extended-acknowledgement attributes follow.
pub const NLM_F_ACK_TLVS: u16 = 0x200;

const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;

/// A request, all but its sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `nlmsg_type`: a family id, or a protocol's message number.
    pub message_type: u16,
    /// `nlmsg_flags`, with `NLM_F_REQUEST` and, as needed, `NLM_F_ACK` or `NLM_F_DUMP` already set.
    pub flags: u16,
    /// What follows the header, padded to 4 bytes.
    pub body: Vec<u8>,
}

impl Request {
    /// The same request, not asking for an acknowledgement: for what is answered by data or by a refusal, never by
    /// nothing. It saves a message of the answer.
    #[must_use]
    pub fn without_ack(self) -> Self {
        Self { flags: self.flags & !NLM_F_ACK, ..self }
    }

    /// The whole message as sent, with port id 0 (the kernel fills in the sender's).
    pub fn frame(&self, sequence: u32) -> Vec<u8> {
        let length = aligned(HEADER.saturating_add(self.body.len()));
        let mut frame = Vec::with_capacity(length);
        frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
        frame.extend_from_slice(&self.message_type.to_ne_bytes());
        frame.extend_from_slice(&self.flags.to_ne_bytes());
        frame.extend_from_slice(&sequence.to_ne_bytes());
        frame.extend_from_slice(&0_u32.to_ne_bytes());
        frame.extend_from_slice(&self.body);
        frame.resize(length, 0);
        frame
    }
}

/// One message of a datagram; it borrows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub message_type: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// Sequence number of the request this answers.
    pub sequence: u32,
    /// Port id of the socket the message is for.
    pub port: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// What a message from the kernel means to the one who sent the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The request was carried out.
    Ack,
    /// The end of a dump, with the error that ended it early, if one did.
    Done(Option<KernelError>),
    /// The request was refused.
    Error(KernelError),
    /// Messages were lost (`NLMSG_OVERRUN`).
    Overrun,
    /// To be ignored (`NLMSG_NOOP`).
    Noop,
    /// An answer of the family asked.
    Data(Message<'a>),
}

impl<'a> Message<'a> {
    /// Tells control messages from data.
    pub fn reply(self) -> Result<Reply<'a>, DecodeError> {
        match self.message_type {
            NLMSG_NOOP => Ok(Reply::Noop),
            NLMSG_OVERRUN => Ok(Reply::Overrun),
            NLMSG_ERROR => self.error(),
            NLMSG_DONE => self.done(),
            _ => Ok(Reply::Data(self)),
        }
    }

    /// `struct nlmsgerr`: the negative errno, the request or only its header, then the attributes.
    fn error(self) -> Result<Reply<'a>, DecodeError> {
        let status = i32_at(self.body, 0, "nlmsgerr.error")?;
        if status == 0 {
            return Ok(Reply::Ack);
        }
        if status > 0 {
            return Err(DecodeError::BadValue { what: "nlmsgerr.error", value: status.into() });
        }
        let request = if self.flags & NLM_F_CAPPED != 0 {
            HEADER
        } else {
            u32_at(self.body, 4, "nlmsgerr.msg.nlmsg_len").map_or(usize::MAX, |length| length as usize)
        };
        let offset = aligned(request).saturating_add(4);
        Ok(Reply::Error(self.kernel_error(status, offset)))
    }

    /// The end of a dump. Its status is missing after `SMC_PNETID_GET` without `NLM_F_DUMP`
    /// (net/smc/smc_pnet.c, `smc_pnet_get`), and a positive one is no error.
    fn done(self) -> Result<Reply<'a>, DecodeError> {
        if self.body.is_empty() {
            return Ok(Reply::Done(None));
        }
        let status = i32_at(self.body, 0, "NLMSG_DONE status")?;
        Ok(Reply::Done((status < 0).then(|| self.kernel_error(status, 4))))
    }

    fn kernel_error(self, status: i32, attributes_at: usize) -> KernelError {
        let attributes = if self.flags & NLM_F_ACK_TLVS != 0 { self.body.get(attributes_at..) } else { None };
        KernelError::new(status.saturating_neg(), attributes.unwrap_or_default())
    }
}

/// The messages in a datagram, in order.
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

/// Iterator of [`messages`]. It ends after the first error.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.rest);
        if bytes.is_empty() {
            return None;
        }
        Some(first_message(bytes).map(|(message, rest)| {
            self.rest = rest;
            message
        }))
    }
}

fn first_message(bytes: &[u8]) -> Result<(Message<'_>, &[u8]), DecodeError> {
    let what = "nlmsghdr";
    if bytes.len() < HEADER {
        return Err(DecodeError::Truncated { what, need: HEADER, have: bytes.len() });
    }
    let length = u32_at(bytes, 0, what)? as usize;
    if length < HEADER {
        return Err(DecodeError::BadLength { what: "nlmsg_len", length });
    }
    let body = bytes.get(HEADER..length).ok_or(DecodeError::Truncated {
        what: "netlink message",
        need: length,
        have: bytes.len(),
    })?;
    let message = Message {
        message_type: u16_at(bytes, 4, what)?,
        flags: u16_at(bytes, 6, what)?,
        sequence: u32_at(bytes, 8, what)?,
        port: u32_at(bytes, 12, what)?,
        body,
    };
    Ok((message, bytes.get(aligned(length)..).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
