//! In emulated nodes: what the set-up of an annotated pod costs, and the BPF program to everybody else.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::pod::{OTHER, PodFigures};
use super::report::Row;
use rig::host::{Kernel, Node, Rig, RigName, UpOptions};

/// Ends the agent, and with it its use of the node's only CPU; what it made stays. On a real node it has other CPUs.
const END_AGENT: &str = "kill -9 $(pidof smc-agent)";

/// Boots a node with kernel 6.12 and the product, and times the set-up of an annotated pod in it.
pub fn measure(
    repository: &Path,
    against: Option<&Path>,
    rounds: usize,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Row>> {
    let name: RigName = "bench".parse()?;
    say("booting a node (Linux 6.12 with SMC, soft-RoCE, containerd)");
    let rig = Rig::up(&UpOptions { name, kernel: Kernel::V6_12, nodes: 1, ..UpOptions::default() }, say)?;
    let node = rig.node(1)?;
    node.command(&["sh", "-c", END_AGENT]).check().context("end the agent")?;
    say(&format!("ADD of an annotated pod: {rounds} rounds in the node"));
    annotated_pod(&node, repository, against, rounds, say)
}

fn annotated_pod(
    node: &Node<'_>,
    repository: &Path,
    against: Option<&Path>,
    rounds: usize,
    say: &dyn Fn(&str),
) -> Result<Vec<Row>> {
    let program =
        std::env::current_exe().context("find this program's own file")?.with_file_name("bench-node");
    let (program, repository) = (program.display().to_string(), repository.display().to_string());
    let mut argv = vec![program, repository, rounds.to_string()];
    argv.extend(against.map(|directory| directory.display().to_string()));
    let output = node.command(&argv).check()?;
    let figures: PodFigures =
        serde_json::from_slice(&output.stdout).context("read what bench-node printed")?;
    say(&format!("each ADD took these steps: {}", figures.steps.join(", ")));
    say(&format!("system calls of one ADD:\n{}", figures.strace.trim_end()));
    let samples = &figures.samples;
    let mut rows = Vec::new();
    let names = ["smc-cni", "tuning", "floor", "smc-cni for a plain pod"];
    for (program, name) in names.into_iter().enumerate() {
        rows.push(Row::figure(&format!("annotated ADD in a node, {name}"), samples.median(program), "us"));
    }
    rows.push(Row::at_most("annotated ADD / tuning", samples.ratio(0, 1), "", 0.8));
    rows.push(Row::at_most("annotated ADD / floor", samples.ratio(0, 2), "", 2.0));
    if against.is_some() {
        rows.push(Row::figure("annotated ADD / that of the other smc-cni", samples.ratio(0, OTHER), ""));
    }
    rows.extend(
        figures.phases.iter().map(|(phase, us)| Row::figure(&format!("annotated ADD, {phase}"), *us, "us")),
    );
    rows.push(Row::figure("annotated ADD, system calls", f64::from(figures.system_calls), "calls"));
    rows.push(Row::figure(
        "annotated ADD, netlink messages",
        f64::from(figures.netlink_messages),
        "messages",
    ));
    Ok(rows)
}

/// Boots a node whose clock counts instructions, and counts those of `socket()` there.
pub fn measure_sockets(repository: &Path, say: &(dyn Fn(&str) + Sync)) -> Result<Vec<Row>> {
    let name: RigName = "bench-sockets".parse()?;
    say("booting a node that counts instructions, for socket() with and without the BPF program");
    let options = UpOptions { name, nodes: 1, bare: true, count_instructions: true, ..UpOptions::default() };
    let rig = Rig::up(&options, say)?;
    say("counting: some minutes");
    let program = repository.join("target/release/examples/socket_cost").display().to_string();
    let output = rig.node(1)?.command(&[program.as_str(), "--json", "10", "20"]).check()?;
    let figures: Vec<SocketCost> =
        serde_json::from_slice(&output.stdout).context("read what socket_cost printed")?;
    Ok(figures.iter().flat_map(SocketCost::rows).collect())
}

/// What `socket_cost` tells of one kind of call.
#[derive(Debug, Deserialize)]
struct SocketCost {
    call: String,
    without: f64,
    nothing_adds: f64,
    ours_adds: f64,
    nothing_ratio: Mean,
    ours_ratio: Mean,
    own_share: Mean,
}

/// A mean, and half the width of its 95 % confidence interval.
#[derive(Debug, Deserialize)]
struct Mean {
    mean: f64,
    half_width: f64,
}

impl SocketCost {
    fn rows(&self) -> Vec<Row> {
        let call = &self.call;
        let count = |what: &str, value| Row::figure(&format!("{call}, {what}"), value, "instructions");
        let mut rows = vec![
            count("no BPF program", self.without),
            count("a program that does nothing adds", self.nothing_adds),
            count("the BPF program adds", self.ours_adds),
        ];
        let bar = (call == "socket()").then_some(1.03);
        let mut ratio = |what: &str, ratio: &Mean, bar: Option<f64>| {
            rows.push(Row::figure(&format!("{call}, {what}"), ratio.mean, ""));
            // The bar is for the end of the interval: a blurred measurement proves nothing.
            let (name, end) = ("  upper end of its 95 % interval", ratio.mean + ratio.half_width);
            rows.push(bar.map_or_else(|| Row::figure(name, end, ""), |bar| Row::at_most(name, end, "", bar)));
        };
        ratio("with / without the BPF program", &self.ours_ratio, bar);
        ratio("with a program that does nothing / without", &self.nothing_ratio, None);
        ratio("own share of the BPF program", &self.own_share, None);
        rows
    }
}

#[cfg(test)]
mod tests;
