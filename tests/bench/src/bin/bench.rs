//! `hack/bench`: what kube-smc costs.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bench::report::table;
use bench::{agent, local, node};
use clap::Parser;
use rig::host::repository;

/// Load average above which other work of the machine blurs the figures.
const QUIET: f64 = 1.5;

/// Measures what kube-smc costs, prints a table and writes target/bench.json.
#[derive(Debug, Parser)]
#[command(name = "bench", max_term_width = 100)]
struct Cli {
    /// Time the smc-cni of this directory, such as an older version's target/dist, in the same rounds
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// Rounds of calls on this machine
    #[arg(long, default_value_t = 300)]
    rounds: usize,
    /// Rounds of calls in the emulated node
    #[arg(long, default_value_t = 60)]
    node_rounds: usize,
    /// Leave out everything that needs an emulated node
    #[arg(long)]
    local: bool,
    /// Leave out the agent's figures, which take longest
    #[arg(long)]
    no_agent: bool,
}

fn main() -> ExitCode {
    match bench(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(cli: &Cli) -> Result<bool> {
    let begin = Instant::now();
    let say = |line: &str| {
        let _ = writeln!(io::stderr(), "{:6.1} s  {line}", begin.elapsed().as_secs_f32());
    };
    let against = cli.against.as_deref().map(visible_to_nodes).transpose()?;
    let against = against.as_deref();
    let before = load_average()?;
    say(&format!("load average {before:.2}"));
    let mut rows = local::binary(repository())?;
    rows.extend(local::plain_pod(repository(), against, cli.rounds, &say)?);
    rows.extend(local::scrape(repository())?);
    rows.extend(local::guard(repository())?);
    if !cli.local {
        rows.extend(node::measure(repository(), against, cli.node_rounds, &say)?);
        rows.extend(node::measure_sockets(repository(), &say)?);
    }
    if !cli.local && !cli.no_agent {
        rows.extend(agent::measure(repository(), &say)?);
    }
    let path = repository().join("target/bench.json");
    fs::write(&path, format!("{:#}\n", serde_json::to_value(&rows)?))
        .with_context(|| format!("write {}", path.display()))?;
    write!(io::stdout(), "\n{}", table(&rows))?;
    if before > QUIET {
        writeln!(
            io::stdout(),
            "\nThe load average was {before:.2} at the start: these figures are unreliable."
        )?;
    }
    Ok(rows.iter().all(|row| row.ok != Some(false)))
}

/// Copies the other version's plugin to where nodes see it, too: they have a /tmp and a /run of their own.
fn visible_to_nodes(directory: &Path) -> Result<PathBuf> {
    let copies = repository().join("target/bench/against");
    fs::create_dir_all(&copies).with_context(|| format!("make the directory {}", copies.display()))?;
    let plugin = directory.join("smc-cni");
    fs::copy(&plugin, copies.join("smc-cni")).with_context(|| format!("copy {}", plugin.display()))?;
    Ok(copies)
}

/// Over the last minute.
fn load_average() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
    text.split_whitespace().next().and_then(|word| word.parse().ok()).context("read /proc/loadavg")
}
