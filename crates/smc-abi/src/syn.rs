//! TCP options of a SYN, as `TCP_SAVED_SYN` gives it: IP header, TCP header, options (RFC 791, 8200, 9293).

/// An option of a TCP header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpOption {
    /// Its kind.
    pub kind: u8,
    /// What follows kind and length.
    pub data: Vec<u8>,
}

/// End of options, and no operation: the two kinds without a length.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
/// Bytes of a TCP header without options.
const TCP_HEADER: usize = 20;

/// The options of a SYN with its IP header, without those that only fill; what is cut short or malformed ends them.
pub fn options(packet: &[u8]) -> Vec<TcpOption> {
    let mut found = Vec::new();
    let mut rest = option_bytes(packet).unwrap_or_default();
    loop {
        match rest {
            [] | [END, ..] => return found,
            [NO_OPERATION, after @ ..] => rest = after,
            [kind, length, ..] => {
                let Some((option, after)) = rest.split_at_checked(usize::from(*length)) else { return found };
                let Some(data) = option.get(2..) else { return found };
                found.push(TcpOption { kind: *kind, data: data.to_vec() });
                rest = after;
            }
            [_] => return found,
        }
    }
}

fn option_bytes(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let ip_header = match first >> 4 {
        4 => usize::from(first & 0x0f) * 4,
        6 => 40,
        _ => return None,
    };
    let tcp = packet.get(ip_header..)?;
    let tcp_header = usize::from(*tcp.get(12)? >> 4) * 4;
    tcp.get(TCP_HEADER..tcp_header)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A SYN over IPv4 with these options; all else in it is of no matter here.
    fn syn(options: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45; 20];
        let words = u8::try_from((TCP_HEADER + options.len()) / 4).unwrap();
        let mut tcp = vec![0; TCP_HEADER];
        tcp[12] = words << 4;
        packet.extend(tcp);
        packet.extend(options);
        packet
    }

    #[test]
    fn each_option_comes_with_its_data_and_fillers_do_not() {
        let bytes = [2, 4, 0xff, 0xd7, 1, 1, 254, 6, 0xe2, 0xd4, 0xc3, 0xd9, 1, 3, 3, 7];
        let found = options(&syn(&bytes));
        let kinds: Vec<u8> = found.iter().map(|option| option.kind).collect();
        assert_eq!(kinds, [2, 254, 3]);
        assert_eq!(found[1].data, [0xe2, 0xd4, 0xc3, 0xd9]);
    }

    #[test]
    fn a_malformed_option_ends_them() {
        for bytes in [[254, 0, 1, 1], [254, 1, 1, 1], [254, 9, 1, 1], [1, 1, 1, 254]] {
            assert_eq!(options(&syn(&bytes)), [], "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(packet in prop::collection::vec(any::<u8>(), 0..120)) {
            options(&packet);
        }
    }
}
