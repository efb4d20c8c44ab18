//! The commands about pods.

use std::io::{self, Write as _};
use std::process::ExitCode;

use rig::host::Rig;

use crate::cli::Command;
use crate::exit_code;

/// Runs one of the commands about pods.
pub(crate) fn run(rig: &Rig, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Pod { node, pod, namespace, annotate, host_network, ip, container } => {
            let mut spec = container.to_pod(&pod).namespace(&namespace);
            for (key, value) in annotate {
                spec = spec.annotate(&key, &value);
            }
            if host_network {
                spec = spec.host_network();
            }
            if let Some(ip) = ip {
                spec = spec.ip(ip);
            }
            let pod = rig.node(node)?.run_pod(&spec)?;
            writeln!(io::stdout(), "{}", pod.ip)?;
        }
        Command::Container { node, pod, container, arguments } => {
            rig.node(node)?.pod(&pod)?.add_container(&arguments.to_container(&container))?;
        }
        Command::PodExec { node, pod, container, command } => {
            let output = rig.node(node)?.pod(&pod)?.exec_in(&container, &command.argv)?;
            write(&output.stdout, &output.stderr)?;
            return Ok(exit_code(output.status));
        }
        Command::PodLogs { node, pod, container } => {
            let logs = rig.node(node)?.pod(&pod)?.logs(&container)?;
            write(&logs.stdout, &logs.stderr)?;
        }
        Command::Pods { json } => list(rig, json)?,
        Command::Rm { node, pod } => rig.node(node)?.pod(&pod)?.remove()?,
        // main.rs does the others.
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn write(stdout: &[u8], stderr: &[u8]) -> io::Result<()> {
    io::stdout().write_all(stdout)?;
    io::stdout().flush()?;
    io::stderr().write_all(stderr)
}

fn list(rig: &Rig, json: bool) -> anyhow::Result<()> {
    let mut pods = Vec::new();
    for node in rig.nodes() {
        pods.extend(node.pods()?);
    }
    let mut stdout = io::stdout();
    if json {
        serde_json::to_writer_pretty(&mut stdout, &pods)?;
        return Ok(writeln!(stdout)?);
    }
    writeln!(stdout, "{:<5} {:<20} {:<15} {:<9} ANNOTATIONS", "NODE", "POD", "IP", "STATE")?;
    for pod in pods {
        let state = if pod.ready { "ready" } else { "not ready" };
        let annotations: Vec<String> =
            pod.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
        writeln!(
            stdout,
            "{:<5} {:<20} {:<15} {:<9} {}",
            pod.node().number(),
            pod.name,
            pod.ip,
            state,
            annotations.join(" ")
        )?;
    }
    Ok(())
}
