//! No bytes, however wrong, make a parser panic or loop: arbitrary ones, and recorded answers with damage.
#![allow(clippy::expect_used, reason = "a test helper fails the test")]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use smc_abi::attribute::attributes;
use smc_abi::{Message, diag, genl, messages, nft, pnetid, rdma, smc};

/// Everything that was recorded from a kernel, requests and answers.
static RECORDED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut recorded = Vec::new();
    for entry in fs::read_dir(directory).expect("the golden directory") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            let text = fs::read_to_string(&path).expect("text");
            let mut all = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("");
            all.retain(|letter| letter != ' ');
            recorded.extend(all.split(['<', '>']).filter(|hex| !hex.is_empty()).map(bytes));
        }
    }
    recorded
});

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// Gives the bytes to every parser, and the bodies of the messages in them too.
fn parse_all(datagram: &[u8]) {
    let mut count = 0;
    for message in messages(datagram).filter_map(Result::ok) {
        count += 1;
        let _ = message.reply();
        parse_body(message.body);
    }
    assert!(count <= datagram.len() / 16, "more messages than fit");
    for message_type in [1, 2, 3, 4, 20] {
        for flags in [0, 0x100, 0x200, 0x300] {
            let _ = Message { message_type, flags, sequence: 1, port: 0, body: datagram }.reply();
        }
    }
    parse_body(datagram);
}

fn parse_body(body: &[u8]) {
    assert!(attributes(body).count() <= body.len() / 4 + 1, "more attributes than fit");
    let _ = genl::parse_family(body);
    let _ = pnetid::parse(body);
    let _ = smc::parse_sys_info(body);
    let _ = smc::parse_device(body);
    let _ = smc::parse_stats(body);
    let _ = smc::parse_fallback_stats(body);
    let _ = smc::parse_link_group(body);
    let _ = smc::parse_link_record(body);
    let _ = smc::parse_ueid(body);
    let _ = rdma::parse_device(body);
    let _ = rdma::parse_port(body);
    let _ = rdma::parse_netns_mode(body);
    let mut sockets: Vec<_> = diag::parse_smc_socket(body).into_iter().collect();
    let tcp: Vec<_> = diag::parse_tcp_socket(body).into_iter().collect();
    diag::join(&mut sockets, &tcp);
}

#[test]
fn every_recorded_message_cut_anywhere_is_survived() {
    assert!(RECORDED.len() > 100, "recordings missing: {}", RECORDED.len());
    for datagram in RECORDED.iter() {
        for end in 0..datagram.len() {
            parse_all(&datagram[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        parse_all(&bytes);
    }

    #[test]
    fn recorded_messages_with_changed_bytes_are_survived(
        which in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<Index>()),
    ) {
        let mut datagram = which.get(&RECORDED).clone();
        for (at, byte) in &changes {
            let at = at.index(datagram.len());
            datagram[at] = *byte;
        }
        if let Some(cut) = cut {
            datagram.truncate(cut.index(datagram.len()));
        }
        parse_all(&datagram);
    }

    #[test]
    fn requests_of_any_text_are_well_formed(
        name in ".{0,80}",
        other in ".{0,80}",
        sequence in any::<u32>(),
    ) {
        let requests = [
            genl::family(&name),
            pnetid::add_netdev(30, &name, &other),
            pnetid::add_device(30, &name, &other, 1),
            pnetid::delete(30, &name),
            smc::add_ueid(31, &name),
            smc::remove_ueid(31, &name),
        ];
        for request in requests {
            let frame = request.frame(sequence);
            let all: Vec<_> = messages(&frame).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(all.len(), 1);
            prop_assert_eq!((all[0].sequence, all[0].body), (sequence, request.body.as_slice()));
            prop_assert!(attributes(&request.body[4..]).all(|attribute| attribute.is_ok()));
        }
        let batch = nft::delete_table(&name).frames(sequence);
        prop_assert_eq!(messages(&batch).filter_map(Result::ok).count(), 3);
    }
}
