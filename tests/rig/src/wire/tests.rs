use super::*;

fn exec() -> Request {
    Request {
        token: "secret".into(),
        action: Action::Exec {
            argv: vec!["ip".into(), "address".into()],
            env: BTreeMap::from([("A".into(), "b c".into())]),
            directory: Some("/tmp".into()),
        },
    }
}

#[test]
fn every_kind_survives_the_wire() {
    for kind in Kind::ALL {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, kind, b"payload").unwrap();
        let frame = read_frame(&mut bytes.as_slice()).unwrap().unwrap();
        assert_eq!(frame, Frame { kind, payload: b"payload".to_vec() });
    }
}

#[test]
fn a_frame_is_kind_length_and_payload() {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, Kind::Stdin, b"hi").unwrap();
    assert_eq!(bytes, [2, 0, 0, 0, 2, b'h', b'i']);
}

#[test]
fn the_end_between_frames_is_not_an_error() {
    assert_eq!(read_frame(&mut [].as_slice()).unwrap(), None);
}

#[test]
fn the_end_within_a_frame_is_an_error_at_every_byte() {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, Kind::Stdout, b"hello").unwrap();
    for length in 1..bytes.len() {
        let error = read_frame(&mut &bytes[..length]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "after {length} bytes");
    }
}

#[test]
fn an_unknown_kind_is_an_error() {
    let error = read_frame(&mut [99, 0, 0, 0, 0].as_slice()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_length_above_the_limit_is_an_error_and_allocates_nothing() {
    let error = read_frame(&mut [1, 0xff, 0xff, 0xff, 0xff].as_slice()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_payload_above_the_limit_is_not_sent() {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, Kind::Stdin, &vec![0; MAX_PAYLOAD + 1]).unwrap_err();
    assert!(bytes.is_empty());
}

#[test]
fn requests_survive_the_wire() {
    let connect = Request {
        token: String::new(),
        action: Action::Connect { path: "/run/containerd/containerd.sock".into() },
    };
    for request in [exec(), connect] {
        let mut bytes = Vec::new();
        write_request(&mut bytes, &request).unwrap();
        assert_eq!(read_request(&mut bytes.as_slice()).unwrap(), request);
    }
}

#[test]
fn a_session_must_begin_with_a_request() {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, Kind::Stdin, b"{}").unwrap();
    assert!(read_request(&mut bytes.as_slice()).is_err());
}

#[test]
fn a_refusal_carries_its_reason() {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, Kind::Refused, "no such program".as_bytes()).unwrap();
    assert_eq!(read_answer(&mut bytes.as_slice()).unwrap(), Err("no such program".into()));
}
