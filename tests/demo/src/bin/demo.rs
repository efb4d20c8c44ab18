//! `hack/demo`: pairs of unmodified programs on two nodes, and what their connections really became.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Parser;
use demo::{Pair, Report, Seen, judge, pairs, prepare_files, run, table};
use rig::counters::Counters;
use rig::host::{Conversion, Kernel, Node, Pod, PodSpec, Rig, RigName, UpOptions, repository};
use serde_json::json;

/// Starts pods with unmodified TCP programs on two emulated nodes and shows what their connections really became.
#[derive(Debug, Parser)]
#[command(name = "demo", max_term_width = 100)]
struct Cli {
    /// Leave the nodes and pods up afterwards; see hack/rig --name demo
    #[arg(long)]
    keep: bool,
    /// Boot another kernel, laid out in this directory like those of hack/setup
    #[arg(long, value_name = "DIR")]
    kernel_dir: Option<PathBuf>,
    /// What converts TCP sockets: the agent's BPF program, or the sysctl of Alibaba's kernel
    #[arg(long, value_enum, default_value_t)]
    conversion: Conversion,
    /// Use the pods' rig of this name
    #[arg(long, default_value = "demo")]
    name: RigName,
}

fn main() -> ExitCode {
    match demo(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(cli: &Cli) -> Result<bool> {
    let begin = Instant::now();
    let say = |line: &str| {
        let _ = writeln!(io::stderr(), "{:6.1} s  {line}", begin.elapsed().as_secs_f32());
    };
    let files = repository().join("target/demo");
    prepare_files(&files)?;
    let kernel = match &cli.kernel_dir {
        Some(directory) => format!("the kernel in {}", directory.display()),
        None => "Linux 6.12".to_owned(),
    };
    say(&format!("booting two nodes ({kernel} with SMC, soft-RoCE, containerd)"));
    let options = UpOptions {
        name: cli.name.clone(),
        kernel: Kernel::V6_12,
        kernel_dir: cli.kernel_dir.clone(),
        conversion: cli.conversion,
        ..UpOptions::default()
    };
    let mut rig = Rig::up(&options, &say)?;
    if cli.keep {
        rig.keep();
    }
    let reports = show(&rig, &files, &say)?;
    let pass = reports.iter().all(|report| report.problem.is_none());
    let json = json!({ "pairs": reports.iter().map(Report::to_json).collect::<Vec<_>>(), "pass": pass });
    let path = repository().join("target/demo.json");
    fs::write(&path, format!("{json:#}\n")).with_context(|| format!("write {}", path.display()))?;
    say("done");
    write!(io::stdout(), "\n{}", table(&reports))?;
    if cli.keep {
        writeln!(io::stdout(), "\nThe nodes are up: hack/rig --name {} pods", cli.name)?;
    }
    Ok(pass)
}

fn show(rig: &Rig, files: &Path, say: &(dyn Fn(&str) + Sync)) -> Result<Vec<Report>> {
    let files = files.display().to_string();
    let started = start_pods(rig, &files, say)?;
    let mut reports = Vec::new();
    for (pair, server, client) in &started {
        let measure = || Ok((Counters::of(client)?, Counters::of(server)?));
        let (before, after, traffic) =
            run(pair, client, server, measure).with_context(|| format!("pair {}", pair.name))?;
        let seen = Seen { client: after.0.since(&before.0), server: after.1.since(&before.1), traffic };
        let problem = judge(pair.expected, &seen).err();
        say(&format!("{}: {}", pair.about, problem.as_deref().unwrap_or("as it must be")));
        reports.push(Report { pair: *pair, seen, problem });
    }
    Ok(reports)
}

/// Starts all pods, the two nodes' at the same time.
fn start_pods<'a>(
    rig: &'a Rig,
    files: &str,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Vec<(Pair, Pod<'a>, Pod<'a>)>> {
    let start = |node: Node<'a>, pair: &Pair, spec: &PodSpec| -> Result<Pod<'a>> {
        let pod = node.run_pod(spec)?;
        if let Some(proxy) = pair.proxy(files) {
            pod.add_container(&proxy)?;
        }
        say(&format!("node {} runs {} ({})", node.number(), pod.name, pod.ip));
        Ok(pod)
    };
    let on_node = |number: u8| -> Result<Vec<(usize, bool, Pod<'a>)>> {
        let mut pods = Vec::new();
        for (index, pair) in pairs().iter().enumerate() {
            if number == 1 {
                pods.push((index, true, start(rig.node(1)?, pair, &pair.server(files))?));
            }
            if pair.client_node == number {
                pods.push((index, false, start(rig.node(number)?, pair, &pair.client(files))?));
            }
        }
        Ok(pods)
    };
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| on_node(1));
        let second = on_node(2);
        (first.join(), second)
    });
    let mut pods = first.map_err(|_| anyhow::anyhow!("starting pods on node 1 panicked"))??;
    pods.extend(second?);
    let mut take = |index: usize, server: bool| -> Result<Pod<'a>> {
        let at =
            pods.iter().position(|(i, s, _)| (*i, *s) == (index, server)).context("a pod was not started")?;
        Ok(pods.swap_remove(at).2)
    };
    pairs()
        .into_iter()
        .enumerate()
        .map(|(index, pair)| Ok((pair, take(index, true)?, take(index, false)?)))
        .collect()
}
