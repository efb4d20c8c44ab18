use super::*;

fn event(family: u16, local: &[u8], remote: &[u8]) -> [u8; EVENT_BYTES] {
    let mut bytes = [0; EVENT_BYTES];
    bytes[..8].copy_from_slice(&7_u64.to_ne_bytes());
    bytes[8..12].copy_from_slice(&0x0500_0000_u32.to_ne_bytes());
    bytes[12..16].copy_from_slice(&0x0303_0008_u32.to_ne_bytes());
    bytes[16..18].copy_from_slice(&family.to_ne_bytes());
    bytes[18..20].copy_from_slice(&80_u16.to_ne_bytes());
    bytes[20..22].copy_from_slice(&5000_u16.to_ne_bytes());
    bytes[22] = 1;
    bytes[24..24 + local.len()].copy_from_slice(local);
    bytes[40..40 + remote.len()].copy_from_slice(remote);
    bytes
}

#[test]
fn an_event_is_read_as_the_program_writes_it() {
    let read = FallbackEvent::parse(&event(2, &[10, 0, 0, 5], &[10, 0, 1, 9])).unwrap();
    let expected = FallbackEvent {
        cookie: NetnsCookie(7),
        code: 0x0500_0000,
        peer_diagnosis: 0x0303_0008,
        ipv6_socket: false,
        side: Side::Server,
        local: "10.0.0.5:80".parse().unwrap(),
        remote: "10.0.1.9:5000".parse().unwrap(),
    };
    assert_eq!(read, expected);
}

#[test]
fn a_mapped_address_of_an_ipv6_socket_is_told_as_ipv4() {
    let mapped = |last| Ipv4Addr::new(10, 0, 1, last).to_ipv6_mapped().octets();
    let read = FallbackEvent::parse(&event(10, &mapped(5), &mapped(9))).unwrap();
    assert!(read.ipv6_socket);
    assert_eq!(read.remote, "10.0.1.9:5000".parse().unwrap());
}

#[test]
fn what_is_too_short_is_no_event() {
    assert_eq!(FallbackEvent::parse(&[0; EVENT_BYTES - 1]), None);
}
