//! What the conversion program costs a process that is not accelerated.
//!
//! Times `socket()` and `close()` of TCP sockets in this process's own network namespace, which is not in the map: without a
//! program, with one that does nothing (`nothing.bpf.c`), and with the agent's, in turn. Prints ratios over rounds of
//! turns. Needs what `tests/bpf_kernel.rs` needs, and nothing else on the hook.
//! `cargo run --release --example socket_cost -- [--json] [ROUNDS [BATCHES]]`
//!
//! Under emulation, time means little; QEMU's `-icount shift=0` makes a nanosecond an instruction, and the figures ones of
//! instructions. `hack/bench` runs it so.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a measuring tool for people")]

use std::error::Error;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use libbpf_rs::{Link, MapCore, MapFlags, ObjectBuilder};
use serde::Serialize;
use smc_agent::node::bpf::{self, ConversionProgram};
use socket2::{Domain, Socket, Type};

/// Compiled from `nothing.bpf.c` by `build.rs`.
static NOTHING: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nothing.bpf.o"));

/// Other pods of the node, so that the map is not empty.
const ACCELERATED_PODS: u64 = 100;
/// Sockets open at once, and timed together.
const BATCH: u16 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let (options, numbers): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument == "--json");
    let mut numbers = numbers.into_iter();
    let rounds: usize = numbers.next().map_or(Ok(20), |text| text.parse())?;
    let batches: usize = numbers.next().map_or(Ok(50), |text| text.parse())?;
    let protocol = bpf::smc_protocol().ok_or("this kernel makes no SMC sockets")?;

    Program::None.time(protocol, batches)?;
    let mut turns = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let mut turn = Turn::default();
        let mut order = [Program::None, Program::Nothing, Program::Ours];
        // Which comes first changes, so that a drift of the machine favours none.
        order.rotate_left(round % 3);
        for program in order {
            let cost = program.time(protocol, batches)?;
            match program {
                Program::None => turn.none = cost,
                Program::Nothing => turn.nothing = cost,
                Program::Ours => turn.ours = cost,
            }
        }
        turns.push(turn);
    }
    let figures = [
        Figures::of("socket()", &turns, |cost| cost.open),
        Figures::of("socket() and close()", &turns, |cost| cost.both),
    ];
    if options.is_empty() {
        figures.iter().for_each(Figures::print);
    } else {
        println!("{}", serde_json::to_string(&figures)?);
    }
    Ok(())
}

/// Nanoseconds per socket in the fastest batch, the one that nothing else of the machine interrupted.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    open: f64,
    both: f64,
}

/// One measurement of each kind.
#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    none: Cost,
    nothing: Cost,
    ours: Cost,
}

/// What is attached to the hook.
#[derive(Debug, Clone, Copy)]
enum Program {
    None,
    Nothing,
    Ours,
}

impl Program {
    fn time(self, protocol: u16, batches: usize) -> Result<Cost, Box<dyn Error>> {
        match self {
            Self::None => time(batches),
            Self::Nothing => {
                let _attached = attach_nothing()?;
                time(batches)
            }
            Self::Ours => {
                let pins = Path::new("/sys/fs/bpf/kube-smc-cost");
                ConversionProgram::ensure(pins, protocol)?;
                let map = ConversionProgram::open_map(pins)?.ok_or("the map is not pinned")?;
                for pod in 0..ACCELERATED_PODS {
                    // Cookies count up from 1 at each boot: these are nobody's.
                    map.update(&(u64::MAX - pod).to_ne_bytes(), &[1], MapFlags::ANY)?;
                }
                let cost = time(batches);
                ConversionProgram::remove(pins)?;
                cost
            }
        }
    }
}

/// Attached until the link is dropped.
fn attach_nothing() -> Result<Link, Box<dyn Error>> {
    let mut builder = ObjectBuilder::default();
    let object = builder.name("nothing")?.open_memory(NOTHING)?.load()?;
    let program = object.progs_mut().next().ok_or("the object holds no program")?;
    Ok(program.attach()?)
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

/// What the programs cost one kind of call.
#[derive(Debug, Serialize)]
struct Figures {
    call: &'static str,
    rounds: usize,
    /// Median without a program.
    without: f64,
    /// Medians of what is added: by the program that does nothing, and by the agent's.
    nothing_adds: f64,
    ours_adds: f64,
    /// With the program that does nothing, and with the agent's, to without.
    nothing_ratio: Mean,
    ours_ratio: Mean,
    /// What the agent's adds to the program that does nothing, to without.
    own_share: Mean,
}

/// A mean, and half the width of its 95 % confidence interval.
#[derive(Debug, Serialize)]
struct Mean {
    mean: f64,
    half_width: f64,
}

impl Figures {
    fn of(call: &'static str, turns: &[Turn], cost: impl Fn(&Cost) -> f64) -> Self {
        let each = |figure: &dyn Fn(f64, f64, f64) -> f64| -> Vec<f64> {
            let figures =
                turns.iter().map(|turn| figure(cost(&turn.none), cost(&turn.nothing), cost(&turn.ours)));
            figures.collect()
        };
        Self {
            call,
            rounds: turns.len(),
            without: median(each(&|none, _, _| none)),
            nothing_adds: median(each(&|none, nothing, _| nothing - none)),
            ours_adds: median(each(&|none, _, ours| ours - none)),
            nothing_ratio: Mean::of(&each(&|none, nothing, _| nothing / none)),
            ours_ratio: Mean::of(&each(&|none, _, ours| ours / none)),
            own_share: Mean::of(&each(&|none, nothing, ours| (ours - nothing) / none)),
        }
    }

    fn print(&self) {
        println!("{}: {:.0} ns without a program ({} rounds)", self.call, self.without, self.rounds);
        let line = |what: &str, adds: f64, ratio: &Mean| {
            println!("  {what}: {adds:+.0} ns, ratio {:.4} +- {:.4} (95 %)", ratio.mean, ratio.half_width);
        };
        line("with one that does nothing", self.nothing_adds, &self.nothing_ratio);
        line("with the agent's", self.ours_adds, &self.ours_ratio);
        println!("  its own share: {:.4} +- {:.4} (95 %)", self.own_share.mean, self.own_share.half_width);
    }
}

impl Mean {
    /// With the normal approximation.
    fn of(values: &[f64]) -> Self {
        let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { mean, half_width: 1.96 * (variance / count).sqrt() }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn fastest(values: Vec<f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}
