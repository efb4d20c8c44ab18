//! What the conversion program costs a process that is not accelerated.
//!
//! Times `socket()` and `close()` of TCP sockets in this process's own network namespace, which is not in the map, with
//! the program attached and without, in turn, and prints the ratio over pairs of turns. Needs what
//! `tests/bpf_kernel.rs` needs. `cargo run --release --example socket_cost -- [ROUNDS] [BATCHES]`
//!
//! Under emulation, time means little; QEMU's `-icount shift=0` makes a nanosecond an instruction, and the ratio one of
//! instructions.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a measuring tool for people")]

use std::error::Error;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use libbpf_rs::{MapCore, MapFlags};
use smc_agent::bpf::{self, ConversionProgram};
use socket2::{Domain, Socket, Type};

/// Other pods of the node, so that the map is not empty.
const ACCELERATED_PODS: u64 = 100;
/// Sockets open at once, and timed together.
const BATCH: u16 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let batches: usize = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let pins = Path::new("/sys/fs/bpf/kube-smc-cost");
    let protocol = bpf::smc_protocol().ok_or("this kernel makes no SMC sockets")?;

    time(batches)?;
    let mut turns = Vec::with_capacity(rounds);
    for round in 0..rounds {
        // Which comes first changes, so that a drift of the machine favours neither.
        turns.push(if round % 2 == 0 {
            let detached = time(batches)?;
            (detached, time_attached(pins, protocol, batches)?)
        } else {
            let attached = time_attached(pins, protocol, batches)?;
            (time(batches)?, attached)
        });
    }
    report("socket()", turns.iter().map(|(without, with)| (without.open, with.open)).collect());
    report("socket() and close()", turns.iter().map(|(without, with)| (without.both, with.both)).collect());
    Ok(())
}

/// Nanoseconds per socket in the fastest batch, the one that nothing else of the machine interrupted.
struct Cost {
    open: f64,
    both: f64,
}

fn time(batches: usize) -> Result<Cost, Box<dyn Error>> {
    // Attaching and detaching leave the kernel work to do later, which is no part of a socket's cost.
    thread::sleep(Duration::from_millis(500));
    let (mut open, mut both) = (Vec::new(), Vec::new());
    for _ in 0..batches {
        let mut sockets = Vec::with_capacity(usize::from(BATCH));
        let start = Instant::now();
        for _ in 0..BATCH {
            sockets.push(Socket::new_raw(Domain::IPV4, Type::STREAM, None)?);
        }
        open.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
        drop(sockets);
        both.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
    }
    Ok(Cost { open: fastest(open), both: fastest(both) })
}

fn time_attached(pins: &Path, protocol: u16, batches: usize) -> Result<Cost, Box<dyn Error>> {
    ConversionProgram::ensure(pins, protocol)?;
    let map = ConversionProgram::open_map(pins)?.ok_or("the map is not pinned")?;
    for pod in 0..ACCELERATED_PODS {
        // Cookies count up from 1 at each boot: these are nobody's.
        map.update(&(u64::MAX - pod).to_ne_bytes(), &[1], MapFlags::ANY)?;
    }
    let cost = time(batches)?;
    ConversionProgram::remove(pins)?;
    Ok(cost)
}

fn report(what: &str, turns: Vec<(f64, f64)>) {
    let rounds = turns.len();
    let without = median(turns.iter().map(|turn| turn.0).collect());
    let added = median(turns.iter().map(|turn| turn.1 - turn.0).collect());
    let ratios: Vec<f64> = turns.into_iter().map(|(without, with)| with / without).collect();
    let (mean, half_width) = mean_and_interval(&ratios);
    println!(
        "{what}: {without:.0} ns without, {added:+.0} ns with; ratio {mean:.4} +- {half_width:.4} (95 %), \
         median {:.4}, {rounds} rounds",
        median(ratios)
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn fastest(values: Vec<f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}

/// Mean and half the width of its 95 % confidence interval (normal approximation).
fn mean_and_interval(values: &[f64]) -> (f64, f64) {
    let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, 1.96 * (variance / count).sqrt())
}
