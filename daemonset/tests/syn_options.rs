//! What the program at a pod's interface does to packets, by the kernel's own test run: needs root, and no SMC.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

#[path = "syn_options/peers.rs"]
mod peers;
#[path = "syn_options/segment.rs"]
mod segment;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use libbpf_rs::MapHandle;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use segment::{Segment, checksum};
use smc_agent::node::bpf::{BpfError, Fate, GuardProgram, SynOptions};
use smc_host::guard::peers::{PEERS_NAME, Whose};
use smc_host::guard::{COUNTS_NAME, Guard, SOURCES_NAME, SPARED_NAME, Taken};
use smc_model::{PeerRanges, PeerRules, StripCause, SynOption, nobody};
use support::BpfFs;

const MAGIC: [u8; 4] = [0xe2, 0xd4, 0xc3, 0xd9];
const OFFER: [u8; 6] = [254, 6, 0xe2, 0xd4, 0xc3, 0xd9];
const SPOILT: [u8; 6] = [254, 6, 0, 0, 0, 0];
const SYN: u8 = 2;
const SYN_ACK: u8 = 0x12;

const STRIPPED: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const POD: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 3);
const STRIPPED6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 1);
const POD6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 3, 0, 0, 0, 3);

/// The program over pinned maps, which are filled as the agent and the plugin do it.
struct Program {
    loaded: SynOptions,
    maps: Guard,
    _pins: BpfFs,
}

/// Loaded, with offers of [`STRIPPED`] and [`STRIPPED6`] taken out, and counted for both pods.
fn program() -> Option<Program> {
    let bpffs = BpfFs::mount()?;
    let offer = SynOption { kind: 254, data: MAGIC.to_vec() };
    GuardProgram::ensure(&bpffs.pins(), &offer).unwrap();
    let names = [SOURCES_NAME, SPARED_NAME, PEERS_NAME, COUNTS_NAME];
    let pinned = names.map(|name| (name, MapHandle::from_pinned_path(bpffs.pins().join(name)).unwrap()));
    let loaded = SynOptions::load(&offer, &pinned).unwrap().unwrap();
    let maps = Guard::open(&bpffs.pins()).unwrap();
    for source in [IpAddr::from(STRIPPED), STRIPPED6.into()] {
        maps.strip(source, StripCause::Pod).unwrap();
    }
    for pod in [IpAddr::from(POD), POD6.into()] {
        maps.count_for(pod).unwrap();
    }
    Some(Program { loaded, maps, _pins: bpffs })
}

impl Program {
    fn run(&self, packet: &[u8]) -> Result<Fate, BpfError> {
        self.loaded.run(packet)
    }

    /// What packets to a pod lost.
    fn taken(&self, pod: impl Into<IpAddr>) -> BTreeMap<StripCause, Taken> {
        self.maps.taken().unwrap().remove(&pod.into()).unwrap_or_default()
    }
}

/// What becomes of the segment's options; what else changes, but the checksum, fails.
#[track_caller]
fn options_after(program: &Program, segment: &Segment) -> Option<Vec<u8>> {
    let before = segment.packet();
    let Fate::Passed(after) = program.run(&before).unwrap() else { return None };
    let tcp = after.len() - segment.tcp().len().min(segment.kept);
    if segment.kept < usize::MAX || segment.fragment != 0 || segment.protocol != 6 {
        assert_eq!(after, before);
        return Some(segment.options.clone());
    }
    assert_eq!(checksum(segment.source, segment.pod(), &after[tcp..]), 0, "the checksum is wrong");
    let options = tcp + 20..tcp + 20 + segment.options.len();
    let but_options = |packet: &[u8]| {
        [&packet[..tcp + 16], &packet[tcp + 18..options.start], &packet[options.end..]].concat()
    };
    assert_eq!(but_options(&after), but_options(&before));
    Some(after[options].to_vec())
}

#[track_caller]
fn passes_as_it_is(program: &Program, segment: &Segment) {
    assert_eq!(options_after(program, segment).as_ref(), Some(&segment.options));
}

/// What both pods lost by all causes: offers, and packets.
fn lost(program: &Program) -> (u64, u64) {
    let taken = [IpAddr::from(POD), POD6.into()].map(|pod| program.taken(pod));
    let all = taken.iter().flat_map(BTreeMap::values);
    all.fold((0, 0), |(stripped, dropped), one| (stripped + one.stripped, dropped + one.dropped))
}

#[test]
fn a_syn_of_a_stripped_source_loses_its_offer_wherever_that_stands_and_is_counted() {
    let Some(program) = program() else { return };
    let mss = [2, 4, 5, 0xb4];
    for source in [IpAddr::from(STRIPPED), STRIPPED6.into()] {
        for before in
            [&[][..], &[1], &[1, 1, 1], &mss, &[&mss[..], &[4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0]].concat()]
        {
            let segment = Segment::from(source, &[before, &OFFER, &[1, 3, 3, 7]].concat());
            let wanted = [before, &SPOILT, &[1, 3, 3, 7]].concat();
            assert_eq!(options_after(&program, &segment), Some(wanted));
        }
    }
    for pod in [IpAddr::from(POD), POD6.into()] {
        assert_eq!(program.taken(pod), [(StripCause::Pod, Taken { stripped: 5, dropped: 0 })].into());
    }
    // Also where it is not counted.
    program.maps.count_no_more(POD.into()).unwrap();
    let segment = Segment::from(STRIPPED, &OFFER);
    assert_eq!(options_after(&program, &segment), Some(SPOILT.to_vec()));
    assert_eq!(program.taken(POD), BTreeMap::new());
}

#[test]
fn what_is_no_offer_or_no_syn_or_from_elsewhere_passes_as_it_is() {
    let Some(program) = program() else { return };
    passes_as_it_is(&program, &Segment::from(STRANGER, &OFFER));
    passes_as_it_is(&program, &Segment { flags: SYN_ACK, ..Segment::from(STRIPPED, &OFFER) });
    passes_as_it_is(&program, &Segment { flags: 0x10, ..Segment::from(STRIPPED, &OFFER) });
    passes_as_it_is(&program, &Segment::from(STRIPPED, &[]));
    // TCP Fast Open's experiment, one of a length that the kernel does not take, one after the end.
    passes_as_it_is(&program, &Segment::from(STRIPPED, &[254, 4, 0xf9, 0x89]));
    passes_as_it_is(&program, &Segment::from(STRIPPED, &[&[254, 7][..], &MAGIC, &[0]].concat()));
    passes_as_it_is(&program, &Segment::from(STRIPPED, &[&[0][..], &OFFER].concat()));
    // What is no TCP, whatever its bytes say, and a first part that is no SYN.
    passes_as_it_is(&program, &Segment { protocol: 17, ..Segment::from(STRIPPED, &OFFER) });
    let part = Segment { fragment: 0x2000, flags: 0x10, ..Segment::from(STRIPPED, &OFFER) };
    passes_as_it_is(&program, &part);
    let icmp = Segment { between: (58, Vec::new()), ..Segment::from(STRIPPED6, &OFFER) };
    assert_eq!(program.run(&icmp.packet()).unwrap(), Fate::Passed(icmp.packet()));
    assert_eq!(lost(&program), (0, 0));
}

#[test]
fn every_offer_of_a_syn_goes_also_a_longer_one() {
    let Some(program) = program() else { return };
    let long = [&[254, 10][..], &MAGIC, &[9, 9, 9, 9]].concat();
    let segment = Segment::from(STRIPPED, &[&[1][..], &long, &OFFER, &[1], &OFFER].concat());
    let wanted = [&[1, 254, 10, 0, 0, 0, 0, 9, 9, 9, 9][..], &SPOILT, &[1], &SPOILT].concat();
    assert_eq!(options_after(&program, &segment), Some(wanted));
    assert_eq!(lost(&program), (1, 0), "packets are counted");
}

#[test]
fn tags_ip_options_and_extension_headers_hide_no_offer() {
    let Some(program) = program() else { return };
    let four = Segment::from(STRIPPED, &OFFER);
    let six = Segment::from(STRIPPED6, &OFFER);
    for segment in [
        Segment { tags: vec![0x8100], ..four.clone() },
        Segment { tags: vec![0x88a8, 0x8100], ..four.clone() },
        Segment { tags: vec![0x8100; 8], ..four.clone() },
        Segment { tags: vec![0x8100], ..six.clone() },
        // Router alert; no-operations up to the longest header.
        Segment { between: (6, vec![148, 4, 0, 0]), ..four.clone() },
        Segment { between: (6, vec![1; 40]), ..four },
        // Hop-by-hop, destination, routing, authentication (whose length is in words).
        Segment { between: (0, [&[60, 0][..], &[0; 6], &[6, 1], &[0; 14]].concat()), ..six.clone() },
        Segment { between: (43, [&[51, 0][..], &[0; 6], &[6, 4], &[0; 22]].concat()), ..six.clone() },
        // An atomic fragment (RFC 6946): the whole packet.
        Segment { between: (44, vec![6, 0, 0, 0, 0, 0, 0, 1]), ..six },
    ] {
        assert_eq!(options_after(&program, &segment), Some(SPOILT.to_vec()), "{:?}", segment.between);
    }
}

#[test]
fn a_syn_in_parts_or_that_cannot_be_read_is_dropped_and_counted_if_its_source_is_stripped() {
    let Some(program) = program() else { return };
    // What the kernel cuts off again says that it is no SYN, or no TCP.
    let said_otherwise = [&[0, 0, 0, 0, 0x50, 0x10][..], &[0; 12]].concat();
    let hidden = |source: IpAddr| {
        let segment = Segment::from(source, &OFFER);
        let begun = Segment { kept: 8, padding: said_otherwise.clone(), ..segment.clone() };
        if source.is_ipv4() {
            vec![
                Segment { fragment: 0x2000, ..segment.clone() },
                Segment { kept: 12, fragment: 0x2000, ..segment.clone() },
                Segment { fragment: 0x2000, ..begun },
                Segment { kept: 22, ..segment },
            ]
        } else {
            let more = |next: u8, then: &[u8]| [&[next, 0, 0, 1, 0, 0, 0, 1], then].concat();
            vec![
                Segment { between: (44, more(6, &[])), ..segment.clone() },
                Segment { between: (44, more(6, &[])), ..begun },
                // Its destination options name another header of them, which is only in the padding.
                Segment {
                    between: (44, more(60, &[60, 0, 1, 4, 0, 0, 0, 0])),
                    kept: 0,
                    padding: vec![59; 24],
                    ..segment.clone()
                },
                Segment { between: (0, [0, 0, 0, 0, 0, 0, 0, 0].repeat(8)), ..segment },
            ]
        }
    };
    let stripped = [STRIPPED.into(), STRIPPED6.into()].map(hidden).concat();
    for segment in &stripped {
        assert_eq!(program.run(&segment.packet()).unwrap(), Fate::Dropped, "{:?}", segment.between);
    }
    assert_eq!(lost(&program), (0, u64::try_from(stripped.len()).unwrap()));
    let others = [STRANGER.into(), POD6.into()].map(hidden).concat();
    // Nothing can be seen in a later part, and without the first it comes to nothing.
    let later = Segment { fragment: 0x0002, ..Segment::from(STRIPPED, &OFFER) };
    for segment in others.iter().chain([&later]) {
        assert_eq!(program.run(&segment.packet()).unwrap(), Fate::Passed(segment.packet()));
    }
    // So many tags nobody needs, and behind them nothing is looked for.
    let tagged = Segment { tags: vec![0x8100; 9], ..Segment::from(STRANGER, &OFFER) };
    assert_eq!(program.run(&tagged.packet()).unwrap(), Fate::Dropped);
}

/// Where the kernel would see an offer (net/ipv4/tcp_input.c, `tcp_parse_options` and `smc_parse_options`), made unreadable.
fn spoilt(options: &[u8]) -> Vec<u8> {
    let mut all = options.to_vec();
    let mut at = 0;
    while at < all.len() && all[at] != 0 {
        if all[at] == 1 {
            at += 1;
            continue;
        }
        let Some(&size) = all.get(at + 1) else { break };
        let end = at + usize::from(size);
        if size < 2 || end > all.len() {
            break;
        }
        if all[at] == 254 && size >= 6 && size % 2 == 0 && all[at + 2..at + 6] == MAGIC {
            all[at + 2..at + 6].fill(0);
        }
        at = end;
    }
    all
}

#[test]
fn whatever_the_options_are_they_are_read_as_the_kernel_reads_them() {
    let Some(program) = program() else { return };
    let piece = prop_oneof![
        Just(OFFER.to_vec()),
        Just(vec![1]),
        Just(vec![0]),
        (any::<u8>(), 0_u8..12, prop::collection::vec(any::<u8>(), 0..8))
            .prop_map(|(kind, size, data)| { [&[kind, size][..], &data].concat() }),
        (4_u8..12).prop_map(|size| [&[254, size][..], &MAGIC, &[1; 6]].concat()),
    ];
    let options = prop::collection::vec(piece, 0..10).prop_map(|pieces| {
        let mut options = pieces.concat();
        options.truncate(40);
        options.resize(options.len().next_multiple_of(4), 0);
        options
    });
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(2000) });
    let held = runner.run(&options, |options| {
        prop_assert_eq!(options_after(&program, &Segment::from(STRIPPED, &options)), Some(spoilt(&options)));
        Ok(())
    });
    held.unwrap();
}
