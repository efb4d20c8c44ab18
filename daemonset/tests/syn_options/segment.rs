//! A TCP segment to a pod.

use super::*;

/// A TCP segment to be sent from somewhere.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) source: IpAddr,
    pub(super) flags: u8,
    pub(super) options: Vec<u8>,
    /// Options of IPv4, or extension headers of IPv6, the first of this kind.
    pub(super) between: (u8, Vec<u8>),
    /// As in the header: more fragments, and the offset in units of 8 bytes.
    pub(super) fragment: u16,
    pub(super) tags: Vec<u16>,
    /// How much of the segment is there.
    pub(super) kept: usize,
    /// How much more the Ethernet frame has: the kernel cuts it off.
    pub(super) padding: Vec<u8>,
    pub(super) protocol: u8,
}

impl Segment {
    pub(super) fn from(source: impl Into<IpAddr>, options: &[u8]) -> Self {
        Self {
            source: source.into(),
            flags: SYN,
            options: options.to_vec(),
            between: (6, Vec::new()),
            fragment: 0,
            tags: Vec::new(),
            kept: usize::MAX,
            padding: Vec::new(),
            protocol: 6,
        }
    }

    pub(super) fn pod(&self) -> IpAddr {
        if self.source.is_ipv4() { POD.into() } else { POD6.into() }
    }

    /// The TCP header with right checksum, and a few bytes of data.
    pub(super) fn tcp(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4), 0);
        let mut tcp = vec![0xc0, 0x01, 0x1f, 0x90, 1, 2, 3, 4, 0, 0, 0, 0];
        tcp.push(u8::try_from((20 + options.len()) / 4).unwrap() << 4);
        tcp.extend([self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(&options);
        tcp.extend(b"odd");
        let sum = checksum(self.source, self.pod(), &tcp);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        tcp
    }

    pub(super) fn packet(&self) -> Vec<u8> {
        let mut tcp = self.tcp();
        tcp.truncate(self.kept);
        let (next, between) = &self.between;
        let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for tag in &self.tags {
            packet.extend(tag.to_be_bytes());
            packet.extend([0, 5]);
        }
        let length = u16::try_from(between.len() + tcp.len()).unwrap();
        match self.source {
            IpAddr::V4(source) => {
                packet.extend([8, 0, 0x45 + u8::try_from(between.len() / 4).unwrap(), 0]);
                packet.extend((20 + length).to_be_bytes());
                packet.extend([0, 1]);
                packet.extend(self.fragment.to_be_bytes());
                packet.extend([64, self.protocol, 0, 0]);
                packet.extend(source.octets());
                packet.extend(POD.octets());
            }
            IpAddr::V6(source) => {
                packet.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                packet.extend(length.to_be_bytes());
                packet.extend([*next, 64]);
                packet.extend(source.octets());
                packet.extend(POD6.octets());
            }
        }
        packet.extend(between);
        packet.extend(tcp);
        packet.extend(&self.padding);
        packet
    }
}

/// TCP's checksum (RFC 9293, 3.1) of a segment whose own is in it or 0; of one that is right it is 0.
pub(super) fn checksum(source: IpAddr, destination: IpAddr, tcp: &[u8]) -> u16 {
    let mut bytes = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    bytes.extend([0, 6]);
    bytes.extend(u16::try_from(tcp.len()).unwrap().to_be_bytes());
    bytes.extend(tcp);
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}
