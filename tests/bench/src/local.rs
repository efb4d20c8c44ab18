//! On this machine: what the plugin costs a pod that did not ask for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::call::{Call, smc_config, tuning_config, write_config};
use super::report::Row;
use super::samples::Samples;

/// The network namespace that `tuning` sets its sysctl in.
const NETNS: &str = "kube-smc-bench";
/// The most bytes that the plugin's binary may have.
const BINARY_LIMIT: f64 = 2_500_000.0;

/// Times ADD and DEL of a plain pod by the plugin, by `copy` and by `tuning`, and by the plugin in the directory `against`.
pub fn plain_pod(
    repository: &Path,
    against: Option<&Path>,
    rounds: usize,
    say: &dyn Fn(&str),
) -> Result<Vec<Row>> {
    let directory = repository.join("target/bench/local");
    fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
    let netns = Namespace::new()?;
    let call = |program: &Path, config: &str| Call {
        program: program.to_owned(),
        config: directory.join(config),
        netns: netns.path.clone(),
    };
    write_config(&directory.join("smc.json"), &smc_config(false, Some(&directory)))?;
    write_config(&directory.join("tuning.json"), &tuning_config())?;
    let mut calls = vec![
        call(&repository.join("target/dist/smc-cni"), "smc.json"),
        call(&repository.join("target/bench/copy"), "smc.json"),
        call(Path::new("/usr/lib/cni/tuning"), "tuning.json"),
    ];
    calls.extend(against.map(|directory| call(&directory.join("smc-cni"), "smc.json")));
    let mut rows = Vec::new();
    for verb in ["ADD", "DEL"] {
        let progress = |done: usize| {
            if done.is_multiple_of(100) {
                say(&format!("{verb} of a plain pod: {done} of {rounds} rounds"));
            }
        };
        let samples = Samples::take(calls.len(), rounds, |program| calls[program].time(verb), progress)?;
        let (to_copy, to_tuning) = (samples.ratio(0, 1), samples.ratio(0, 2));
        for (program, name) in ["smc-cni", "copy", "tuning"].into_iter().enumerate() {
            rows.push(Row::figure(&format!("plain {verb}, {name}"), samples.median(program), "us"));
        }
        let (copy, tuning) = (format!("plain {verb} / copy"), format!("plain {verb} / tuning"));
        if verb == "ADD" {
            rows.push(Row::at_most(&copy, to_copy, "", 1.3));
            rows.push(Row::at_most(&tuning, to_tuning, "", 0.4));
        } else {
            rows.push(Row::figure(&copy, to_copy, ""));
            rows.push(Row::figure(&tuning, to_tuning, ""));
        }
        if against.is_some() {
            let against = format!("plain {verb} / that of the other smc-cni");
            rows.push(Row::figure(&against, samples.ratio(0, calls.len() - 1), ""));
        }
    }
    Ok(rows)
}

/// The CPU time of one scrape of the agent's metrics, and of a look at every pod, by `examples/scrape_cost.rs`.
pub fn scrape(repository: &Path) -> Result<Vec<Row>> {
    let figures = example(repository, "scrape_cost")?;
    let figure = |name: &str| figures[name].as_f64().unwrap_or(f64::NAN);
    let (looks, scrape) = (figure("looks_ms"), figure("scrape_ms"));
    Ok(vec![
        Row::at_most(
            "CPU of a scrape of 250 pods and a look at each (real namespaces, recorded answers)",
            looks + scrape,
            "ms",
            100.0,
        ),
        Row::figure("  of that the answer to GET /metrics", scrape, "ms"),
    ])
}

/// What the guard's program costs a packet on this machine's kernel, by `examples/guard_cost.rs`.
pub fn guard(repository: &Path) -> Result<Vec<Row>> {
    let figures = example(repository, "guard_cost")?;
    let rows = figures.as_array().context("guard_cost prints a list")?.iter().map(|figure| {
        let what = figure["what"].as_str().unwrap_or_default();
        Row::figure(&format!("guard, {what}"), figure["nanoseconds"].as_f64().unwrap_or(f64::NAN), "ns")
    });
    Ok(rows.collect())
}

/// What one of the agent's examples prints.
fn example(repository: &Path, name: &str) -> Result<serde_json::Value> {
    let program = repository.join("target/release/examples").join(name);
    let output = Command::new(&program).output().with_context(|| format!("run {}", program.display()))?;
    if !output.status.success() {
        bail!("{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("read the figures of {name}"))
}

/// The size of the plugin's binary, which must be stripped.
pub fn binary(repository: &Path) -> Result<Vec<Row>> {
    let path = repository.join("target/dist/smc-cni");
    let size = fs::metadata(&path).with_context(|| format!("look at {}", path.display()))?.len();
    let size = f64::from(u32::try_from(size).context("the plugin's size")?);
    let sections = Command::new("readelf").args(["-SW"]).arg(&path).output().context("run readelf")?;
    if !sections.status.success() {
        bail!("readelf {}: {}", path.display(), String::from_utf8_lossy(&sections.stderr));
    }
    let sections = String::from_utf8_lossy(&sections.stdout).into_owned();
    let kept = [" .symtab ", " .debug_info "].iter().filter(|name| sections.contains(**name)).count();
    let kept = if kept == 0 { 0.0 } else { 1.0 };
    Ok(vec![
        Row::at_most("plugin binary", size, "bytes", BINARY_LIMIT),
        Row::at_most("plugin binary not stripped", kept, "", 0.0),
    ])
}

/// A network namespace with a name; gone when dropped.
struct Namespace {
    path: PathBuf,
}

impl Namespace {
    fn new() -> Result<Self> {
        // A killed run may have left its own.
        let path = Path::new("/run/netns").join(NETNS);
        if path.exists() {
            ip(&["netns", "delete", NETNS])?;
        }
        ip(&["netns", "add", NETNS])?;
        Ok(Self { path })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "delete", NETNS]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("run ip")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
