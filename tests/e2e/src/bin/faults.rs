//! The fault matrix: injects the faults of `tests/faults.json` into rigs of its own and prints what was reported for each,
//! and where, and how soon. See hack/faults.
#![forbid(unsafe_code)]

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use e2e::faults::{self, Boot, Fault, How, Poller, Row, SHORT, Stage, Table};
use rig::host::{Conversion, Kernel, Rig, RigName, UpOptions, repository};

/// Injects each fault into emulated nodes, waits until kube-smc names it, undoes it, and waits until all is well again.
///
/// Prints the matrix as it comes and writes target/faults.json. A fault's cause is named when exactly the reasons that
/// tests/faults.json expects were reported, in every place where they must be.
#[derive(Debug, Parser)]
#[command(name = "faults", after_help = EXAMPLES)]
struct Cli {
    /// Only these faults
    #[arg(value_name = "FAULT")]
    faults: Vec<String>,
    /// A few quick faults and a healthy minute, on one boot
    #[arg(long, conflicts_with_all = ["faults", "healthy"])]
    short: bool,
    /// No fault: traffic, probes and scrapes for so many minutes, in which nothing may be reported
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, default_missing_value = "10", conflicts_with = "faults")]
    healthy: Option<u32>,
    /// List the faults, with what is done and what is expected
    #[arg(long)]
    list: bool,
    /// What converts TCP sockets: the agent's BPF program; or the sysctl of Alibaba's kernel, where the agent judges by counters
    #[arg(long, value_enum, default_value_t, conflicts_with = "rig")]
    conversion: Conversion,
    /// Use this rig of two nodes, which is up, instead of rigs of its own; faults that need another one are left out
    #[arg(long, value_name = "NAME")]
    rig: Option<RigName>,
}

const EXAMPLES: &str = "\
Examples:
  hack/faults                          every fault, in three boots
  hack/faults no-ueid port-down        two of them
  hack/faults --healthy 10             ten minutes without any
  hack/faults --conversion sysctl      every fault of nodes that convert as Alibaba's kernel does
  hack/faults --list

Exit code: 0 when every cause was named and all was well afterwards, else 1.";

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let table = Table::committed();
    if cli.list {
        return list(&table);
    }
    if let Some(minutes) = cli.healthy {
        return on_two_nodes(&cli, |stage, poller| stay_healthy(stage, poller, minutes));
    }
    if cli.short {
        return on_two_nodes(&cli, |stage, poller| {
            let faults: Vec<&Fault> = SHORT.iter().filter_map(|name| table.fault(name)).collect();
            let rows = run_all(stage, poller, &faults)?;
            let healthy = stay_healthy(stage, poller, 1)?;
            Ok(healthy && finish(&rows)?)
        });
    }
    matrix(&cli, &table)
}

fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

fn list(table: &Table) -> Result<ExitCode> {
    let mut out = stdout().lock();
    for fault in &table.faults {
        let expected = |nodes| {
            let (names, places) = fault.expects(nodes);
            let places: Vec<String> = places.iter().map(ToString::to_string).collect();
            format!("{}  [{}]", faults::joined(names), places.join(" "))
        };
        writeln!(out, "{:28} {}\n    {}", fault.name, expected(Conversion::Bpf), fault.done)?;
        if let Some(other) = &fault.sysctl {
            writeln!(out, "    where the sysctl converts {}: {}", expected(Conversion::Sysctl), other.why)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Every fault that was asked for, boot by boot.
fn matrix(cli: &Cli, table: &Table) -> Result<ExitCode> {
    if let Some(unknown) = cli.faults.iter().find(|name| table.fault(name).is_none()) {
        bail!("no fault is called {unknown}; --list lists them");
    }
    let wanted = |fault: &&Fault| cli.faults.is_empty() || cli.faults.contains(&fault.name);
    let of = |boot: Boot| table.faults.iter().filter(wanted).filter(|f| f.boot == boot).collect::<Vec<_>>();
    writeln!(stdout(), "{}", faults::header())?;
    let mut rows = Vec::new();
    for fault in of(Boot::None).into_iter().filter(|fault| fault.how == How::Recorded) {
        rows.push(print(faults::run_recorded(fault))?);
    }
    for boot in [Boot::TwoNodes, Boot::OneNode, Boot::OldKernel] {
        let faults = of(boot);
        // The older kernel cannot convert at all.
        let other = cli.conversion == Conversion::Sysctl && boot == Boot::OldKernel;
        if faults.is_empty() || other || (cli.rig.is_some() && boot != Boot::TwoNodes) {
            continue;
        }
        let ran = on_rig(cli, boot, |stage, poller| run_all(stage, poller, &faults));
        match ran {
            Ok(more) => rows.extend(more),
            // The other boots tell more than none.
            Err(error) => {
                say(&format!("{error:#}"));
                for fault in faults {
                    let mut row = Row::of(fault, Conversion::Bpf, faults::Outcome::default());
                    row.fail(format!("{error:#}"));
                    rows.push(row);
                }
            }
        }
    }
    Ok(if finish(&rows)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Does some work on two nodes, with traffic between them.
fn on_two_nodes(cli: &Cli, work: impl FnOnce(&Stage<'_>, &Poller) -> Result<bool>) -> Result<ExitCode> {
    let well = on_rig(cli, Boot::TwoNodes, work)?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Does some work on a rig, which is brought up for it and taken down after it.
fn on_rig<T>(cli: &Cli, boot: Boot, work: impl FnOnce(&Stage<'_>, &Poller) -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let rig = match &cli.rig {
        Some(name) => Rig::attach(name)?,
        None => boot_rig(boot, cli.conversion)?,
    };
    let mut stage = Stage::with_events(&rig);
    if boot == Boot::TwoNodes {
        stage.start_traffic();
    }
    say(&format!("       the rig is ready after {:.0} s", begun.elapsed().as_secs_f32()));
    let nodes = stage.nodes.clone();
    Poller::over(&nodes, stage.events_port(), |poller| {
        if boot != Boot::OldKernel {
            stage.heal(poller).map_err(|wrong| anyhow::anyhow!("not well before any fault: {wrong}"))?;
        }
        work(&stage, poller)
    })
}

fn boot_rig(boot: Boot, conversion: Conversion) -> Result<Rig> {
    let (kernel, nodes, suffix) = match boot {
        Boot::TwoNodes => (Kernel::V6_12, 2, "two"),
        Boot::OneNode => (Kernel::V6_12, 1, "one"),
        Boot::OldKernel => (Kernel::V6_1, 1, "old"),
        Boot::None => bail!("there is no such rig"),
    };
    let name: RigName = format!("faults-{suffix}-{}", std::process::id()).parse()?;
    say(&format!("       booting {nodes} node(s) with Linux {kernel}"));
    let options = UpOptions { name, kernel, nodes, conversion, ..UpOptions::default() };
    Ok(Rig::up(&options, &|line| say(&format!("       {line}")))?)
}

fn run_all(stage: &Stage<'_>, poller: &Poller, faults: &[&Fault]) -> Result<Vec<Row>> {
    faults.iter().map(|fault| print(faults::run(stage, poller, fault, &say))).collect()
}

fn print(row: Row) -> Result<Row> {
    writeln!(stdout(), "{row}").context("print the matrix")?;
    Ok(row)
}

/// Writes `target/faults.json`; whether every row is right.
fn finish(rows: &[Row]) -> Result<bool> {
    let path = repository().join("target/faults.json");
    faults::write(&path, rows)?;
    let (named, right) = (
        rows.iter().filter(|row| row.cause_named()).count(),
        rows.iter().filter(|row| row.is_right()).count(),
    );
    writeln!(stdout(), "\n{named} of {} causes named; {}", rows.len(), path.display())?;
    if right < named {
        writeln!(stdout(), "{} of them with another problem", named - right)?;
    }
    Ok(right == rows.len())
}

fn stay_healthy(stage: &Stage<'_>, poller: &Poller, minutes: u32) -> Result<bool> {
    let time = Duration::from_secs(u64::from(minutes) * 60);
    say(&format!("       {minutes} minute(s) of traffic, probes, scrapes, same-node pairs and sidecar hops"));
    let health = faults::healthy(stage, poller, time, &|line| say(&format!("       {line}")))?;
    let sign = if health.is_well() { "✓" } else { "✗" };
    writeln!(
        stdout(),
        "{sign} healthy for {minutes} minute(s): {} alarms in {} looks at the nodes by verdict, Event, doctor and {} alert \
         rules; {} SMC-R connections between the nodes, {} connections that rightly were TCP at the server",
        health.alarms.len(),
        health.looks,
        health.rules,
        health.smcr,
        health.tcp
    )?;
    Ok(health.is_well())
}
