//! What the guard's program costs a packet, by the kernel's own count (`BPF_PROG_TEST_RUN`): nanoseconds for ordinary segments, of which
//! only the flags are looked at, and for SYNs, whose source is looked up. Needs root; no SMC. `hack/bench` runs it.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{Write as _, stdout};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;

use libbpf_rs::MapHandle;
use smc_agent::node::bpf::{GuardProgram, SynOptions};
use smc_host::guard::peers::{PEERS_NAME, Whose};
use smc_host::guard::{COUNTS_NAME, Guard, SOURCES_NAME, SPARED_NAME};
use smc_model::{PeerRanges, StripCause, SynOption};

/// Enough that what a run of the test itself costs does not matter.
const TIMES: u32 = 1_000_000;
const POD: [u8; 4] = [10, 0, 0, 5];
const NEIGHBOUR: [u8; 4] = [10, 0, 0, 6];
const STRANGER: [u8; 4] = [192, 0, 2, 1];
const SYN: u8 = 2;
const ACK: u8 = 0x10;

fn main() -> Result<(), Box<dyn Error>> {
    let bpffs = BpfFs::mount()?;
    let pins = bpffs.0.join("kube-smc");
    let offer = SynOption { kind: 254, data: vec![0xe2, 0xd4, 0xc3, 0xd9] };
    GuardProgram::ensure(&pins, &offer)?;
    let mut maps = Vec::new();
    for name in [SOURCES_NAME, SPARED_NAME, PEERS_NAME, COUNTS_NAME] {
        maps.push((name, MapHandle::from_pinned_path(pins.join(name))?));
    }
    let program = SynOptions::load(&offer, &maps)?.ok_or("the option is not known")?;
    let guard = Guard::open(&pins)?;
    // A node with 250 pods.
    for pod in 0..250 {
        guard.strip(IpAddr::from([10, 0, 0, pod]), StripCause::Pod)?;
    }
    let ranges: PeerRanges = "10.0.0.0/8, fd00::/8".parse()?;
    guard.peers()?.set(Whose::Node, &ranges.all_rules(), StripCause::NotAllowed)?;
    let mut rows = Vec::new();
    for (what, packet) in [
        ("a segment of a connection", packet(STRANGER, ACK)),
        ("a SYN that may offer SMC", packet([10, 1, 0, 1], SYN)),
        ("a SYN of a pod of the node, whose offer is taken out", packet(NEIGHBOUR, SYN)),
        ("a SYN of who may not, whose offer is taken out", packet(STRANGER, SYN)),
    ] {
        rows.push(serde_json::json!({ "what": what, "nanoseconds": program.nanoseconds(&packet, TIMES)? }));
    }
    writeln!(stdout(), "{}", serde_json::Value::from(rows))?;
    Ok(())
}

/// An Ethernet frame with a TCP segment to the pod, and SMC's offer in it.
fn packet(from: [u8; 4], flags: u8) -> Vec<u8> {
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    packet.extend([0x45, 0, 0, 48, 0, 1, 0, 0, 64, 6, 0, 0]);
    packet.extend(Ipv4Addr::from(from).octets());
    packet.extend(POD);
    packet.extend([0xc0, 1, 0x1f, 0x90, 1, 2, 3, 4, 0, 0, 0, 0, 0x70, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend([254, 6, 0xe2, 0xd4, 0xc3, 0xd9, 1, 1]);
    packet
}

/// A bpffs that is gone with its value.
struct BpfFs(PathBuf);

impl BpfFs {
    fn mount() -> Result<Self, Box<dyn Error>> {
        let directory = std::env::temp_dir().join(format!("guard-cost-{}", std::process::id()));
        std::fs::create_dir(&directory)?;
        let this = Self(directory);
        let mounted = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&this.0).status()?;
        if mounted.success() { Ok(this) } else { Err("cannot mount a bpffs: it takes root".into()) }
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}
