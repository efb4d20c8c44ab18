//! What the program at a pod's interface does to packets, by the kernel's own test run: needs root, and no SMC.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use libbpf_rs::MapHandle;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use smc_agent::node::bpf::{BpfError, Fate, GuardProgram, SynOptions};
use smc_host::guard::{COUNTS_NAME, Guard, SOURCES_NAME, SPARED_NAME, Taken};
use smc_host::peers::{PEERS_NAME, Whose};
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

/// A TCP segment to be sent from somewhere.
#[derive(Clone)]
struct Segment {
    source: IpAddr,
    flags: u8,
    options: Vec<u8>,
    /// Options of IPv4, or extension headers of IPv6, the first of this kind.
    between: (u8, Vec<u8>),
    /// As in the header: more fragments, and the offset in units of 8 bytes.
    fragment: u16,
    tags: Vec<u16>,
    /// How much of the segment is there.
    kept: usize,
    /// How much more the Ethernet frame has: the kernel cuts it off.
    padding: Vec<u8>,
    protocol: u8,
}

impl Segment {
    fn from(source: impl Into<IpAddr>, options: &[u8]) -> Self {
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

    fn pod(&self) -> IpAddr {
        if self.source.is_ipv4() { POD.into() } else { POD6.into() }
    }

    /// The TCP header with right checksum, and a few bytes of data.
    fn tcp(&self) -> Vec<u8> {
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

    fn packet(&self) -> Vec<u8> {
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
fn checksum(source: IpAddr, destination: IpAddr, tcp: &[u8]) -> u16 {
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

/// What becomes of the offer of a SYN from there to the pod of its family.
#[track_caller]
fn becomes(program: &Program, source: &str, offer: [u8; 6]) {
    let source: IpAddr = source.parse().unwrap();
    assert_eq!(options_after(program, &Segment::from(source, &OFFER)), Some(offer.to_vec()), "{source}");
}

fn ranges(text: &str) -> PeerRanges {
    text.parse().unwrap()
}

#[test]
fn who_may_not_speak_smc_with_the_nodes_pods_loses_its_offer_and_the_longest_range_decides() {
    let Some(program) = program() else { return };
    let peers = program.maps.peers().unwrap();
    let set = |rules: &PeerRules, why| peers.set(Whose::Node, rules, why).unwrap();
    becomes(&program, "192.0.2.1", OFFER);
    set(&ranges("10.0.0.0/8, 192.0.2.7").all_rules(), StripCause::NotAllowed);
    becomes(&program, "192.0.2.1", SPOILT);
    becomes(&program, "192.0.2.7", OFFER);
    becomes(&program, "10.9.9.9", OFFER);
    becomes(&program, "fd00::9", SPOILT);
    // Also whoever may is taken out where it is a pod of this node.
    becomes(&program, "10.0.1.1", SPOILT);
    let taken = program.taken(POD);
    assert_eq!(taken.keys().collect::<Vec<_>>(), [&StripCause::Pod, &StripCause::NotAllowed]);
    set(&ranges("192.0.2.0/24 fd00::/16").all_rules(), StripCause::NotAllowed);
    becomes(&program, "192.0.2.1", OFFER);
    becomes(&program, "10.9.9.9", SPOILT);
    becomes(&program, "fd00::9", OFFER);
    set(&nobody(), StripCause::SwitchedOff);
    becomes(&program, "192.0.2.1", SPOILT);
    becomes(&program, "fd00::9", SPOILT);
    assert_eq!(
        program.taken(POD6).keys().collect::<Vec<_>>(),
        [&StripCause::SwitchedOff, &StripCause::NotAllowed]
    );
    set(&PeerRules::new(), StripCause::NotAllowed);
    becomes(&program, "192.0.2.1", OFFER);
    assert!(peers.all().unwrap().is_empty());
}

#[test]
fn a_pods_own_ranges_hold_for_it_alone_and_never_let_in_whom_the_node_does_not() {
    let Some(program) = program() else { return };
    let (peers, own) = (program.maps.peers().unwrap(), ranges("10.1.0.0/16 192.0.2.1"));
    program.maps.add_pod(POD.into(), Some(&own)).unwrap();
    assert!(program.maps.has_pod(POD.into()).unwrap() && !program.maps.has_pod(POD6.into()).unwrap());
    becomes(&program, "10.1.0.9", OFFER);
    becomes(&program, "10.2.0.9", SPOILT);
    becomes(&program, "fd00::9", OFFER);
    peers.set(Whose::Node, &ranges("10.0.0.0/8").all_rules(), StripCause::NotAllowed).unwrap();
    becomes(&program, "10.1.0.9", OFFER);
    becomes(&program, "10.2.0.9", SPOILT);
    becomes(&program, "192.0.2.1", SPOILT);
    becomes(&program, "fd00::9", SPOILT);
    let all = peers.all().unwrap();
    assert_eq!(all.get(&Whose::Pod(POD.into())), Some(&own.rules(POD.into())));
    assert_eq!(all.len(), 2);
    program.maps.remove_pod(POD.into()).unwrap();
    program.maps.remove_pod(POD.into()).unwrap();
    becomes(&program, "10.2.0.9", OFFER);
    assert_eq!(peers.all().unwrap().len(), 1);
}

#[test]
fn what_is_spared_counts_for_nothing_and_ranges_decide_instead() {
    let Some(program) = program() else { return };
    let stripped = STRIPPED.to_string();
    becomes(&program, &stripped, SPOILT);
    program.maps.spare(&StripCause::SAME_NODE).unwrap();
    becomes(&program, &stripped, OFFER);
    let peers = program.maps.peers().unwrap();
    peers.set(Whose::Node, &ranges("192.0.2.0/24").all_rules(), StripCause::NotAllowed).unwrap();
    becomes(&program, &stripped, SPOILT);
    assert_eq!(program.taken(POD).keys().collect::<Vec<_>>(), [&StripCause::Pod, &StripCause::NotAllowed]);
    program.maps.spare(&[]).unwrap();
    peers.set(Whose::Node, &PeerRules::new(), StripCause::NotAllowed).unwrap();
    becomes(&program, &stripped, SPOILT);
}

/// Sources and pods of a small world, so that ranges meet them.
fn small_world() -> impl Strategy<Value = (Vec<String>, Vec<String>, u8, u8)> {
    let range = || {
        (0_u8..4, 0_u8..4, 14_u8..=32).prop_map(|(third, fourth, bits)| {
            let address: IpNet = format!("10.0.{third}.{fourth}/{bits}").parse().unwrap();
            address.trunc().to_string()
        })
    };
    (prop::collection::vec(range(), 0..5), prop::collection::vec(range(), 0..5), 0..4_u8, 0..4_u8)
}

#[test]
fn the_kernel_lets_in_whom_the_model_lets_in_whatever_was_said_before() {
    let Some(program) = program() else { return };
    let peers = program.maps.peers().unwrap();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(300) });
    let held = runner.run(&small_world(), |(node, pod, third, fourth)| {
        let [node, pod] = [node, pod].map(|words| words.join(",").parse::<PeerRanges>().ok());
        let rules =
            |ranges: &Option<PeerRanges>| ranges.as_ref().map(PeerRanges::all_rules).unwrap_or_default();
        peers.set(Whose::Node, &rules(&node), StripCause::NotAllowed).unwrap();
        let own = pod.as_ref().map(|ranges| ranges.rules(POD.into())).unwrap_or_default();
        peers.set(Whose::Pod(POD.into()), &own, StripCause::NotAllowed).unwrap();
        // None of the two that are stripped anyway.
        let source = IpAddr::from([10, 0, third, fourth.max(2)]);
        let may = [&node, &pod].into_iter().flatten().all(|ranges| ranges.allow(source));
        let wanted = if may { OFFER } else { SPOILT };
        prop_assert_eq!(options_after(&program, &Segment::from(source, &OFFER)), Some(wanted.to_vec()));
        Ok(())
    });
    held.unwrap();
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
