use smc_abi::frame::NLM_F_REQUEST;

use super::*;

/// `NFNL_MSG_BATCH_BEGIN` and `NFNL_MSG_BATCH_END` for a subsystem.
fn boundary(message_type: u16, subsystem: u8) -> Request {
    Request { message_type, flags: NLM_F_REQUEST, body: vec![0, 0, 0, subsystem] }
}

#[test]
fn the_refusal_of_a_whole_batch_is_its_answer() {
    // NFNL_SUBSYS_ULOG takes no batches, so the kernel refuses this one at its begin.
    const ULOG: u8 = 4;
    let mut netfilter = Connection::open(Protocol::Netfilter).unwrap();
    let first = netfilter.next_sequence();
    let change = Request { message_type: 4 << 8, flags: NLM_F_REQUEST | NLM_F_ACK, body: vec![0; 4] };
    let mut datagram = boundary(16, ULOG).frame(first);
    datagram.extend(change.frame(first + 1));
    datagram.extend(boundary(17, ULOG).frame(first + 2));
    let batch = Sequences { first, count: 3, awaited: first + 1 };
    let began = Instant::now();
    let error = netfilter.batch(&"do it", &datagram, batch).unwrap_err();
    // EOPNOTSUPP, or EPERM for who may not change netfilter at all; never a wait that times out.
    assert!(matches!(error.errno(), Some(libc::EOPNOTSUPP | libc::EPERM)), "{}", error.with_cause());
    assert!(began.elapsed() < ANSWER_TIMEOUT);
}

#[test]
fn an_answer_that_never_comes_is_waited_for_a_second() {
    let route = Connection::open(Protocol::Route).unwrap();
    let began = Instant::now();
    let error = route.receive(&mut Vec::with_capacity(BUFFER)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ETIMEDOUT));
    // poll(2) counts whole milliseconds.
    assert!((ANSWER_TIMEOUT * 9 / 10..4 * ANSWER_TIMEOUT).contains(&began.elapsed()));
}

#[test]
fn sequence_numbers_of_a_batch_may_wrap_around() {
    let batch = Sequences { first: u32::MAX, count: 3, awaited: 0 };
    assert!([u32::MAX, 0, 1].into_iter().all(|sequence| batch.contain(sequence)));
    assert!(![u32::MAX - 1, 2].into_iter().any(|sequence| batch.contain(sequence)));
}
