use super::*;
use crate::attribute::AttributeWriter;

fn message(message_type: u16, flags: u16, body: &[u8]) -> Message<'_> {
    Message { message_type, flags, sequence: 1, port: 0, body }
}

fn request(body: Vec<u8>) -> Request {
    Request { message_type: 7, flags: NLM_F_REQUEST, body }
}

#[test]
fn a_framed_request_is_read_again() {
    let frame = request(vec![1, 2, 3, 4]).frame(9);
    let read: Vec<_> = messages(&frame).collect::<Result<_, _>>().unwrap();
    let expected =
        Message { message_type: 7, flags: NLM_F_REQUEST, sequence: 9, port: 0, body: &[1, 2, 3, 4] };
    assert_eq!(read, [expected]);
}

#[test]
fn a_body_is_padded_and_its_padding_counted() {
    let frame = request(vec![1]).frame(0);
    assert_eq!((frame.len(), frame[0], frame[16..].to_vec()), (20, 20, vec![1, 0, 0, 0]));
}

#[test]
fn several_messages_in_one_datagram_are_read_in_order() {
    let datagram = [request(vec![]).frame(1), request(vec![5; 8]).frame(2)].concat();
    let sequences: Vec<_> = messages(&datagram).map(|message| message.unwrap().sequence).collect();
    assert_eq!(sequences, [1, 2]);
}

#[test]
fn a_truncated_message_is_an_error_and_ends_the_datagram() {
    let frame = request(vec![0; 4]).frame(1);
    let mut cut = messages(&frame[..19]);
    let what = "netlink message";
    assert_eq!(cut.next(), Some(Err(DecodeError::Truncated { what, need: 20, have: 19 })));
    assert_eq!(cut.next(), None);
    let header = messages(&frame[..15]).next();
    assert_eq!(header, Some(Err(DecodeError::Truncated { what: "nlmsghdr", need: 16, have: 15 })));
}

#[test]
fn a_length_shorter_than_the_header_is_an_error_and_no_endless_loop() {
    let results: Vec<_> = messages(&[0; 64]).collect();
    assert_eq!(results, [Err(DecodeError::BadLength { what: "nlmsg_len", length: 0 })]);
}

#[test]
fn control_messages_are_told_from_data() {
    assert_eq!(message(NLMSG_NOOP, 0, &[]).reply(), Ok(Reply::Noop));
    assert_eq!(message(NLMSG_OVERRUN, 0, &[]).reply(), Ok(Reply::Overrun));
    assert_eq!(message(NLMSG_ERROR, 0, &[0; 20]).reply(), Ok(Reply::Ack));
    assert_eq!(message(36, 0, &[]).reply(), Ok(Reply::Data(message(36, 0, &[]))));
}

#[test]
fn a_dump_ends_with_no_status_with_zero_or_with_an_error() {
    assert_eq!(message(NLMSG_DONE, 0, &[]).reply(), Ok(Reply::Done(None)));
    assert_eq!(message(NLMSG_DONE, 0, &[0; 4]).reply(), Ok(Reply::Done(None)));
    let error = KernelError { errno: 22, message: None, offset: None };
    let status = (-22_i32).to_ne_bytes();
    assert_eq!(message(NLMSG_DONE, 0, &status).reply(), Ok(Reply::Done(Some(error))));
    assert!(message(NLMSG_DONE, 0, &[0; 3]).reply().is_err());
}

#[test]
fn a_dumps_error_may_carry_the_kernels_sentence() {
    let body = AttributeWriter::new(&(-22_i32).to_ne_bytes()).string(1, "no such device").finish();
    let Ok(Reply::Done(Some(error))) = message(NLMSG_DONE, NLM_F_ACK_TLVS, &body).reply() else {
        panic!("an error expected");
    };
    assert_eq!(error.to_string(), "EINVAL (22): no such device");
}

#[test]
fn attributes_are_read_only_when_announced() {
    let mut header = (-17_i32).to_ne_bytes().to_vec();
    header.extend(request(vec![]).frame(1));
    let body = AttributeWriter::new(&header).string(1, "there already").finish();
    for (flags, expected) in
        [(NLM_F_CAPPED | NLM_F_ACK_TLVS, "EEXIST (17): there already"), (NLM_F_CAPPED, "EEXIST (17)")]
    {
        let Ok(Reply::Error(error)) = message(NLMSG_ERROR, flags, &body).reply() else {
            panic!("an error expected");
        };
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn damaged_attributes_do_not_hide_the_error_number() {
    let mut body = (-1_i32).to_ne_bytes().to_vec();
    body.extend([0xff; 40]);
    let Ok(Reply::Error(error)) = message(NLMSG_ERROR, NLM_F_ACK_TLVS, &body).reply() else {
        panic!("an error expected");
    };
    assert_eq!(error.to_string(), "EPERM (1)");
}

#[test]
fn an_error_message_with_a_positive_or_missing_number_is_malformed() {
    let bad = DecodeError::BadValue { what: "nlmsgerr.error", value: 5 };
    assert_eq!(message(NLMSG_ERROR, 0, &5_i32.to_ne_bytes()).reply(), Err(bad));
    assert!(message(NLMSG_ERROR, 0, &[1, 2]).reply().is_err());
}
