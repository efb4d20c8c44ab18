//! The conversion program against a real kernel: needs root, kernel 6.11 or later with SMC, MPTCP and BTF, and a bpffs.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, MapType};
use smc_agent::node::bpf::{self, BpfError, ConversionProgram, Ensured, LINK_NAME, MAP_NAME};
use smc_host::conversion::Mptcp;
use smc_host::{conversion, netns::Netns};
use smc_model::NetnsCookie;
use socket2::{Domain, Protocol, Socket, Type};
use test_support::{TestNetns, as_root, kernel_lacks};

/// `IPPROTO_SMC` of mainline, `IPPROTO_MPTCP` (another number that a socket can really be converted to), `IPPROTO_TCP`.
const SMC: i32 = 256;
const MPTCP: i32 = 262;
const TCP: i32 = 6;

/// A pin directory of one test; the program is detached when it ends.
struct Node {
    pins: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Node {
    fn new(label: &str) -> Option<Self> {
        let alone = support::alone();
        if !as_root() {
            return None;
        }
        let ready = bpf::probe()
            .map_err(|error| error.to_string())
            .and_then(|()| bpf::smc_protocol().ok_or("this kernel makes no SMC sockets".to_owned()));
        if let Err(why) = ready {
            kernel_lacks(&why);
            return None;
        }
        let pins = Path::new("/sys/fs/bpf").join(format!("kube-smc-{}-{label}", std::process::id()));
        Some(Self { pins, _alone: alone })
    }

    fn ensure(&self, protocol: i32) -> Ensured {
        ConversionProgram::ensure(&self.pins, u16::try_from(protocol).unwrap()).unwrap()
    }

    fn map(&self) -> PathBuf {
        self.pins.join(MAP_NAME)
    }

    fn link(&self) -> PathBuf {
        self.pins.join(LINK_NAME)
    }

    fn link_id(&self) -> u32 {
        Link::open(self.link()).unwrap().info().unwrap().id
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let removed = ConversionProgram::remove(&self.pins);
        assert!(removed.is_ok() || thread::panicking(), "{removed:?}");
    }
}

/// What a namespace shows from inside.
trait Inside {
    fn cookie(&self) -> NetnsCookie;
    /// `SO_PROTOCOL` of a new socket in the namespace.
    fn protocol(&self, family: Domain, kind: Type, protocol: i32) -> i32;
    fn tcp_protocol(&self) -> i32;
}

impl Inside for TestNetns {
    fn cookie(&self) -> NetnsCookie {
        Netns::open(self.path()).unwrap().connect().unwrap().cookie.unwrap()
    }

    fn protocol(&self, family: Domain, kind: Type, protocol: i32) -> i32 {
        let made = Netns::open(self.path()).unwrap().run(|| {
            let socket = Socket::new_raw(family, kind, Some(Protocol::from(protocol)))?;
            Ok::<_, std::io::Error>(socket.protocol()?.map_or(0, i32::from))
        });
        made.unwrap().unwrap()
    }

    fn tcp_protocol(&self) -> i32 {
        self.protocol(Domain::IPV4, Type::STREAM, 0)
    }
}

#[test]
fn the_smc_protocol_number_is_mainlines() {
    let Some(_node) = Node::new("number") else { return };
    assert_eq!(bpf::smc_protocol(), Some(256));
}

#[test]
fn stream_sockets_of_a_namespace_in_the_map_become_smc_and_no_others() {
    let Some(node) = Node::new("convert") else { return };
    let (accelerated, other) = (support::netns(), support::netns());
    let ensured = node.ensure(SMC);
    assert_eq!(ensured, Ensured { map_path: node.map(), adopted: false, replaced: false });
    assert_eq!(accelerated.tcp_protocol(), TCP, "not before it is in the map");

    conversion::add_to_map(&node.map(), accelerated.cookie(), Mptcp::Converted).unwrap();
    for family in [Domain::IPV4, Domain::IPV6] {
        for protocol in [0, TCP] {
            for kind in [Type::STREAM, Type::STREAM.nonblocking().cloexec()] {
                assert_eq!(
                    accelerated.protocol(family, kind, protocol),
                    SMC,
                    "{family:?} {kind:?} {protocol}"
                );
                assert_eq!(other.protocol(family, kind, protocol), TCP, "{family:?} {kind:?} {protocol}");
            }
        }
        assert_eq!(accelerated.protocol(family, Type::DGRAM, 0), 17);
        assert_eq!(accelerated.protocol(family, Type::STREAM, MPTCP), SMC);
        assert_eq!(other.protocol(family, Type::STREAM, MPTCP), MPTCP);
    }
    assert_eq!(accelerated.protocol(Domain::UNIX, Type::STREAM, 0), 0);

    conversion::add_to_map(&node.map(), accelerated.cookie(), Mptcp::Kept).unwrap();
    assert_eq!(accelerated.protocol(Domain::IPV4, Type::STREAM, MPTCP), MPTCP, "its owner keeps it");
    assert_eq!(accelerated.tcp_protocol(), SMC, "and only that");

    conversion::remove_from_map(&node.map(), accelerated.cookie()).unwrap();
    assert_eq!(accelerated.tcp_protocol(), TCP);
}

#[test]
fn converted_programs_still_talk_to_each_other() {
    let Some(node) = Node::new("talk") else { return };
    let netns = support::netns();
    node.ensure(SMC);
    conversion::add_to_map(&node.map(), netns.cookie(), Mptcp::Converted).unwrap();
    let heard = Netns::open(netns.path()).unwrap().run(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"over SMC or its fallback").unwrap();
        drop(client);
        let mut heard = String::new();
        listener.accept().unwrap().0.read_to_string(&mut heard).unwrap();
        heard
    });
    assert_eq!(heard.unwrap(), "over SMC or its fallback");
}

/// In a process of its own, so that everything an agent holds is really gone.
const AGENT_PINS: &str = "KUBE_SMC_TEST_AGENT_PINS";

#[test]
fn an_agent_that_ends_leaves_conversion_on_and_the_next_one_adopts_it() {
    if let Some(pins) = std::env::var_os(AGENT_PINS) {
        ConversionProgram::ensure(Path::new(&pins), 256).unwrap();
        return;
    }
    let Some(node) = Node::new("restart") else { return };
    let netns = support::netns();
    let agent = || {
        let test = "an_agent_that_ends_leaves_conversion_on_and_the_next_one_adopts_it";
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env(AGENT_PINS, &node.pins)
            .output()
            .unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    };
    agent();
    conversion::add_to_map(&node.map(), netns.cookie(), Mptcp::Converted).unwrap();
    assert_eq!(netns.tcp_protocol(), SMC);
    let link = node.link_id();
    agent();
    assert_eq!(node.link_id(), link, "a link in use is not touched");
    assert_eq!(node.ensure(SMC), Ensured { map_path: node.map(), adopted: true, replaced: false });
    assert_eq!((node.link_id(), netns.tcp_protocol()), (link, SMC));
}

#[test]
fn another_build_replaces_the_program_without_a_socket_slipping_through() {
    let Some(node) = Node::new("replace") else { return };
    let netns = support::netns();
    node.ensure(MPTCP);
    conversion::add_to_map(&node.map(), netns.cookie(), Mptcp::Converted).unwrap();
    assert_eq!(netns.tcp_protocol(), MPTCP);
    let link = node.link_id();

    let done = AtomicBool::new(false);
    let made = thread::scope(|scope| {
        let maker = scope.spawn(|| {
            let make = || {
                let mut made = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                    made.push(socket.protocol().unwrap().map_or(0, i32::from));
                }
                made
            };
            Netns::open(netns.path()).unwrap().run(make).unwrap()
        });
        for protocol in [SMC, MPTCP, SMC] {
            assert_eq!(
                node.ensure(protocol),
                Ensured { map_path: node.map(), adopted: false, replaced: true }
            );
        }
        done.store(true, Ordering::Relaxed);
        maker.join().unwrap()
    });

    assert_ne!(node.link_id(), link);
    assert_eq!(netns.tcp_protocol(), SMC, "the map's entry stayed");
    assert!(made.contains(&SMC) && made.len() > 100, "{} sockets", made.len());
    assert!(!made.contains(&TCP), "a socket was made while nothing was attached");
}

#[test]
fn an_agent_killed_while_replacing_is_tidied_up_after() {
    let Some(node) = Node::new("killed") else { return };
    let netns = support::netns();
    node.ensure(SMC);
    conversion::add_to_map(&node.map(), netns.cookie(), Mptcp::Converted).unwrap();
    let (link, next) = (node.link_id(), node.pins.join("smcify_link_next"));

    // Killed before the new link took the name of a first one.
    std::fs::rename(node.link(), &next).unwrap();
    assert!(node.ensure(SMC).adopted);
    assert_eq!((node.link_id(), next.exists(), netns.tcp_protocol()), (link, false, SMC));

    // Killed with both there.
    std::fs::hard_link(node.link(), &next).unwrap();
    assert!(node.ensure(SMC).adopted);
    assert_eq!((node.link_id(), next.exists(), netns.tcp_protocol()), (link, false, SMC));
}

#[test]
fn a_map_that_lost_its_pin_is_made_again_with_a_program_that_reads_it() {
    let Some(node) = Node::new("lost") else { return };
    let netns = support::netns();
    node.ensure(SMC);
    std::fs::remove_file(node.map()).unwrap();
    assert!(node.ensure(SMC).replaced);
    conversion::add_to_map(&node.map(), netns.cookie(), Mptcp::Converted).unwrap();
    assert_eq!(netns.tcp_protocol(), SMC);
}

#[test]
fn two_agents_at_once_attach_one_program() {
    let Some(node) = Node::new("two") else { return };
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(|| node.ensure(SMC));
        (node.ensure(SMC), other.join().unwrap())
    });
    assert!(one.adopted != other.adopted && !one.replaced && !other.replaced, "{one:?} {other:?}");
}

#[test]
fn a_full_map_refuses_the_next_namespace_and_keeps_converting_the_others() {
    let Some(node) = Node::new("full") else { return };
    let (first, late) = (support::netns(), support::netns());
    node.ensure(SMC);
    conversion::add_to_map(&node.map(), first.cookie(), Mptcp::Converted).unwrap();
    let map = ConversionProgram::open_map(&node.pins).unwrap().unwrap();
    // Cookies count up from 1 for each boot, so these are nobody's.
    for unused in 0..4095_u64 {
        map.update(&(u64::MAX - unused).to_ne_bytes(), &[1], MapFlags::ANY).unwrap();
    }
    let error = conversion::add_to_map(&node.map(), late.cookie(), Mptcp::Converted).unwrap_err();
    assert_eq!(error.errno(), Some(nix::errno::Errno::E2BIG as i32));
    conversion::add_to_map(&node.map(), first.cookie(), Mptcp::Converted).unwrap();
    assert_eq!((first.tcp_protocol(), late.tcp_protocol()), (SMC, TCP));

    map.delete(&u64::MAX.to_ne_bytes()).unwrap();
    conversion::add_to_map(&node.map(), late.cookie(), Mptcp::Converted).unwrap();
    assert_eq!(late.tcp_protocol(), SMC);
}

#[test]
fn removing_stops_conversion_and_leaves_nothing_pinned() {
    let Some(node) = Node::new("remove") else { return };
    let netns = support::netns();
    node.ensure(SMC);
    conversion::add_to_map(&node.map(), netns.cookie(), Mptcp::Converted).unwrap();
    let removed = ConversionProgram::remove(&node.pins).unwrap();
    assert!(removed.link && removed.map);
    assert_eq!((netns.tcp_protocol(), node.pins.exists()), (TCP, false));
    let again = ConversionProgram::remove(&node.pins).unwrap();
    assert!(!again.link && !again.map);
}

#[test]
fn something_else_under_our_names_is_named_and_left_alone() {
    let Some(node) = Node::new("foreign") else { return };
    node.ensure(SMC);
    let mut map = ConversionProgram::open_map(&node.pins).unwrap().unwrap();
    std::fs::remove_file(node.link()).unwrap();
    map.pin(node.link()).unwrap();
    let error = ConversionProgram::ensure(&node.pins, 256).unwrap_err();
    assert!(
        matches!(&error, BpfError::ForeignLink { path, found } if *path == node.link() && found.contains("bpf-map")),
        "{error:?}"
    );

    std::fs::remove_file(node.map()).unwrap();
    let options = libbpf_rs::libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_rs::libbpf_sys::bpf_map_create_opts>() as libbpf_rs::libbpf_sys::size_t,
        ..Default::default()
    };
    let mut array = MapHandle::create(MapType::Array, Some("other"), 4, 4, 1, &options).unwrap();
    array.pin(node.map()).unwrap();
    let error = ConversionProgram::ensure(&node.pins, 256).unwrap_err();
    assert!(error.to_string().contains("Array with keys of 4 and values of 4 bytes"), "{error}");
    assert!(error.remedy().contains("remove the pins"), "{error}");
}

const POWERLESS: &str = "KUBE_SMC_TEST_POWERLESS";

#[test]
fn a_container_without_capabilities_is_told_which_ones() {
    if std::env::var_os(POWERLESS).is_some() {
        let error = bpf::probe().unwrap_err();
        println!("{error}");
        return;
    }
    let Some(_node) = Node::new("powerless") else { return };
    let output = Command::new("setpriv")
        .args(["--bounding-set", "-bpf,-perfmon,-sys_admin"])
        .arg(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact", "a_container_without_capabilities_is_told_which_ones"])
        .env(POWERLESS, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = "cannot load the conversion program without CAP_SYS_ADMIN";
    assert!(output.status.success() && said.contains(expected), "{said}");
}
