//! What the conversion program costs a process that is not accelerated.
//!
//! Times `socket()` + `close()` of TCP sockets in this process's own network namespace, which is not in the map, with
//! the program attached and without, in turn, and prints the ratio of each pair of turns. Needs what
//! `tests/bpf_kernel.rs` needs. `cargo run --release --example socket_cost -- [ROUNDS] [SOCKETS]`
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a measuring tool for people")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use libbpf_rs::{MapCore, MapFlags};
use smc_agent::bpf::{self, ConversionProgram};
use socket2::{Domain, Socket, Type};

/// Other pods of the node, so that the map is not empty.
const ACCELERATED_PODS: u64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(Ok(40), |text| text.parse())?;
    let sockets: u32 = arguments.next().map_or(Ok(5000), |text| text.parse())?;
    let pins = Path::new("/sys/fs/bpf/kube-smc-cost");
    let protocol = bpf::smc_protocol().ok_or("this kernel makes no SMC sockets")?;

    time(sockets)?;
    let mut ratios = Vec::with_capacity(rounds);
    let mut detached_nanoseconds = Vec::with_capacity(rounds);
    for round in 0..rounds {
        // Which comes first changes, so that a drift of the machine favours neither.
        let (detached, attached) = if round % 2 == 0 {
            let detached = time(sockets)?;
            (detached, time_attached(pins, protocol, sockets)?)
        } else {
            let attached = time_attached(pins, protocol, sockets)?;
            (time(sockets)?, attached)
        };
        ratios.push(attached / detached);
        detached_nanoseconds.push(detached);
    }
    let (ratio, half_width) = mean_and_interval(&ratios);
    let (nanoseconds, _) = mean_and_interval(&detached_nanoseconds);
    ratios.sort_by(f64::total_cmp);
    println!(
        "socket()+close(): {nanoseconds:.0} ns without; with/without: mean {ratio:.4} +- {half_width:.4} (95 %), \
         median {:.4}, {rounds} rounds of {sockets}",
        ratios[rounds / 2]
    );
    Ok(())
}

fn time_attached(pins: &Path, protocol: u16, sockets: u32) -> Result<f64, Box<dyn Error>> {
    ConversionProgram::ensure(pins, protocol)?;
    let map = ConversionProgram::open_map(pins)?.ok_or("the map is not pinned")?;
    for pod in 0..ACCELERATED_PODS {
        // Cookies count up from 1 at each boot: these are nobody's.
        map.update(&(u64::MAX - pod).to_ne_bytes(), &[1], MapFlags::ANY)?;
    }
    let nanoseconds = time(sockets)?;
    ConversionProgram::remove(pins)?;
    Ok(nanoseconds)
}

/// Nanoseconds per `socket()` and `close()`.
fn time(sockets: u32) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    for _ in 0..sockets {
        drop(Socket::new_raw(Domain::IPV4, Type::STREAM, None)?);
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(sockets))
}

/// Mean and half the width of its 95 % confidence interval (normal approximation).
fn mean_and_interval(values: &[f64]) -> (f64, f64) {
    let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, 1.96 * (variance / count).sqrt())
}
