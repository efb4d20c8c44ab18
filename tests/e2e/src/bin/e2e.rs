//! End to end on a real cluster: installs kube-smc as its users do, and plays what happens to clusters. See hack/e2e.
#![forbid(unsafe_code)]

use std::io::{Write as _, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Parser;
use e2e::play::{self, Row, Run, Scene, World};
use rig::cluster::{Cluster, ClusterOptions, ProxyMode};
use rig::host::{RigName, repository};

/// Plays scenes on a real Kubernetes of emulated nodes: install, upgrade, outages, reboots, uninstall.
///
/// Prints what was seen as it comes and writes target/e2e.json. Scenes are played in order, each on what the one before
/// left; the first installs kube-smc, the last removes it.
#[derive(Debug, Parser)]
#[command(name = "e2e")]
struct Cli {
    /// Only these scenes
    #[arg(value_name = "SCENE")]
    scenes: Vec<String>,
    /// The few scenes that hack/test plays
    #[arg(long, conflicts_with = "scenes")]
    short: bool,
    /// List the scenes and what they show
    #[arg(long)]
    list: bool,
    /// Play on this cluster, which is up, instead of one of their own
    #[arg(long, value_name = "NAME")]
    cluster: Option<RigName>,
    /// How kube-proxy does Services
    #[arg(long, value_enum, default_value_t)]
    proxy: ProxyMode,
    /// Give nodes and pods IPv6 addresses, too, and play what is to be seen of them
    #[arg(long)]
    dual_stack: bool,
    /// A directory with programs of the cluster (hack/e2e gives them); can be repeated
    #[arg(long)]
    programs: Vec<PathBuf>,
    /// An archive of images for every node (hack/e2e gives them); can be repeated
    #[arg(long = "image")]
    images: Vec<PathBuf>,
    /// The directory with the programs of containerd 2, instead of this machine's own containerd (hack/e2e gives it)
    #[arg(long)]
    containerd: Option<PathBuf>,
    /// The manifests of an older version, whose image is among those given (hack/e2e gives it)
    #[arg(long, value_name = "DIR")]
    old_manifests: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(stderr(), "e2e: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let scenes = wanted(cli)?;
    let mut out = stdout();
    if cli.list {
        for scene in scenes {
            writeln!(out, "{:24} {}", scene.name, scene.shows)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut world = World { cluster: cluster(cli)?, old_manifests: cli.old_manifests.clone() };
    writeln!(out, "{}", play::header())?;
    let mut rows: Vec<Row> = Vec::new();
    for scene in &scenes {
        let row = play::play(scene, &mut world);
        writeln!(out, "{row}")?;
        rows.push(row);
        // Without the agents nothing else can be seen.
        if scene.name == "install" && !rows.iter().all(|row| row.passed) {
            break;
        }
    }
    let path = repository().join("target/e2e.json");
    play::write(&path, &rows)?;
    let passed = rows.iter().filter(|row| row.passed).count();
    writeln!(out, "{passed} of {} scenes as they must be; {}", scenes.len(), path.display())?;
    // As libtest says it, for hack/test, which counts.
    let failed = scenes.len() - passed;
    let result = if failed == 0 { "ok" } else { "FAILED" };
    writeln!(out, "test result: {result}. {passed} passed; {failed} failed;")?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn wanted(cli: &Cli) -> Result<Vec<Scene>> {
    let all = play::all();
    if let Some(unknown) = cli.scenes.iter().find(|name| all.iter().all(|scene| scene.name != *name)) {
        bail!("no scene is called {unknown}; --list lists them");
    }
    let is_wanted = |scene: &Scene| match scene.run {
        _ if !cli.scenes.is_empty() => cli.scenes.iter().any(|name| name == scene.name),
        Run::Short => true,
        Run::Long => !cli.short,
        Run::DualStack => cli.dual_stack,
        Run::Nftables => cli.proxy == ProxyMode::Nftables && !cli.short,
    };
    Ok(all.into_iter().filter(is_wanted).collect())
}

fn cluster(cli: &Cli) -> Result<Cluster> {
    if let Some(name) = &cli.cluster {
        return Ok(Cluster::attach(name)?);
    }
    let begun = Instant::now();
    let options = ClusterOptions {
        name: format!("e2e-{}", std::process::id()).parse()?,
        nodes: 2,
        programs: cli.programs.clone(),
        images: cli.images.clone(),
        containerd: cli.containerd.clone(),
        proxy: cli.proxy,
        dual_stack: cli.dual_stack,
    };
    let say = |line: &str| {
        let _ = writeln!(stderr(), "{:6.1} s  {line}", begun.elapsed().as_secs_f32());
    };
    say("starting the control plane and booting 2 nodes");
    Ok(Cluster::up(&options, &say)?)
}
