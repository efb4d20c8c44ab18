//! Recorded exchanges with a kernel: `# origin`, `> request`, `< reply datagram`, in hexadecimal.

use std::fs;
use std::path::PathBuf;

use smc_abi::{KernelError, Message, Reply, Request, messages};

/// One recorded request and the datagrams that answered it.
pub(crate) struct Exchange {
    request: Vec<u8>,
    datagrams: Vec<Vec<u8>>,
}

impl Exchange {
    /// Reads `tests/golden/<name>.hex`.
    pub(crate) fn load(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut parts: Vec<(char, String)> = Vec::new();
        for line in text.lines() {
            match line.chars().next() {
                Some(mark @ ('#' | '>' | '<')) => parts.push((mark, line[1..].trim().to_owned())),
                _ => parts.last_mut().expect("a first line").1.push_str(line.trim()),
            }
        }
        assert!(matches!(parts[0], ('#', ref origin) if origin.starts_with("Linux ")), "{name}: no origin");
        let bytes = |mark| parts.iter().filter(move |part| part.0 == mark).map(|part| bytes(&part.1));
        let request = bytes('>').next().expect("a request");
        Self { request, datagrams: bytes('<').collect() }
    }

    /// The bytes that were sent.
    pub(crate) fn request_bytes(&self) -> &[u8] {
        &self.request
    }

    /// The sequence number of the first message sent.
    pub(crate) fn sequence(&self) -> u32 {
        let first = messages(&self.request).next().expect("one message").expect("well formed");
        first.sequence
    }

    /// Checks that `request` is what was sent, byte for byte.
    pub(crate) fn asserts_request(&self, request: &Request) -> &Self {
        assert_eq!(request.frame(self.sequence()), self.request);
        self
    }

    /// All messages of the answer, as replies.
    pub(crate) fn replies(&self) -> Vec<Reply<'_>> {
        let all = self.datagrams.iter().flat_map(|datagram| messages(datagram));
        all.map(|message| message.expect("well formed").reply().expect("well formed")).collect()
    }

    /// The data of the answer, which must be followed by exactly one `end` (or by nothing for `None`).
    pub(crate) fn data(&self, end: Option<&Reply<'_>>) -> Vec<Message<'_>> {
        let mut replies = self.replies();
        if let Some(end) = end {
            assert_eq!(replies.pop().as_ref(), Some(end));
        }
        replies.into_iter().map(data).collect()
    }

    /// The bodies of a whole dump.
    pub(crate) fn dump(&self) -> Vec<&[u8]> {
        self.data(Some(&Reply::Done(None))).into_iter().map(|message| message.body).collect()
    }

    /// The one refusal that is the whole answer.
    pub(crate) fn refusal(&self) -> KernelError {
        match self.replies().as_slice() {
            [Reply::Error(error)] => error.clone(),
            other => panic!("not one refusal: {other:?}"),
        }
    }
}

fn data(reply: Reply<'_>) -> Message<'_> {
    match reply {
        Reply::Data(message) => message,
        other => panic!("not data: {other:?}"),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}
