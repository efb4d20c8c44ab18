//! The command `rig`: emulated nodes on this machine, by hand.
#![forbid(unsafe_code)]

mod cli;
mod pods;

use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{self, ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser as _;
use rig::host::{PowerCut, Rig, RigName, StateDirectory, UpOptions};

use self::cli::{Cli, Command};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "rig: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let name = cli.name;
    match cli.command {
        Command::Up { kernel, kernel_dir, conversion, nodes, link, bare, count_instructions } => {
            up(&UpOptions {
                name,
                kernel,
                kernel_dir,
                conversion,
                nodes,
                link,
                bare,
                count_instructions,
                ..UpOptions::default()
            })?;
        }
        Command::Reboot { node, sudden } => {
            let cut = if sudden { PowerCut::Sudden } else { PowerCut::Orderly };
            Rig::attach(&name)?.reboot(node, cut, &progress())?;
        }
        Command::AddNode { node } => Rig::attach(&name)?.add_node(node, &progress())?,
        Command::RemoveNode { node } => Rig::attach(&name)?.remove_node(node)?,
        Command::Network { command } => return on_network(&Rig::attach(&name)?, &command.argv),
        Command::Down { all } => down(&name, all)?,
        Command::Exec { node, command } => {
            let rig = Rig::attach(&name)?;
            return Ok(exit_code(rig.node(node)?.command(&command.argv).attach()?));
        }
        Command::Logs { node } => logs(&Rig::attach(&name)?, node)?,
        command => return pods::run(&Rig::attach(&name)?, command),
    }
    Ok(ExitCode::SUCCESS)
}

fn up(options: &UpOptions) -> anyhow::Result<()> {
    let say = progress();
    let kernel =
        options.kernel_dir.as_ref().map(|directory| format!("the kernel in {}", directory.display()));
    let kernel = kernel.unwrap_or_else(|| format!("Linux {}", options.kernel));
    say(&format!("booting {} node(s) with {kernel}", options.nodes));
    let mut rig = Rig::up(options, &say)?;
    rig.keep();
    say(&format!("rig {:?} is up", rig.name().as_str()));
    Ok(())
}

/// Says each step with the time since the first.
fn progress() -> impl Fn(&str) + Sync {
    let begin = Instant::now();
    move |line| {
        let _ = writeln!(io::stderr(), "{:6.1} s  {line}", begin.elapsed().as_secs_f32());
    }
}

fn on_network(rig: &Rig, argv: &[String]) -> anyhow::Result<ExitCode> {
    let (program, arguments) = argv.split_first().context("no command")?;
    let mut command = process::Command::new(program);
    let child = rig.network().spawn(command.args(arguments))?;
    let status = child.and_then(|mut child| child.wait());
    Ok(exit_code(status.with_context(|| format!("run {program}"))?))
}

fn down(name: &RigName, all: bool) -> anyhow::Result<()> {
    let names = if all { StateDirectory::names()? } else { vec![name.clone()] };
    for name in names {
        let nodes = Rig::down(&name)?;
        writeln!(io::stderr(), "rig {:?} is down ({nodes} node(s) ended)", name.as_str())?;
    }
    Ok(())
}

/// Logs of the node itself, for which the node need not answer, and then those it keeps.
fn logs(rig: &Rig, node: u8) -> anyhow::Result<()> {
    let node = rig.node(node)?;
    let mut stdout = io::stdout();
    for path in node.console_logs() {
        writeln!(stdout, "==> {}", path.display())?;
        stdout.write_all(&std::fs::read(path)?)?;
    }
    let script = r#"for log in /var/log/containerd.log /var/log/kube-smc/*; do
        [ -f "$log" ] && echo "==> $log" && cat "$log"; done; true"#;
    node.command(&["sh", "-c", script]).check().map(|output| stdout.write_all(&output.stdout))??;
    if !rig.is_bare() {
        write!(stdout, "==> smc-agent\n{}", node.agent()?.log()?)?;
    }
    Ok(())
}

/// As shells do: 128 and the signal's number for a command that a signal ended.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
