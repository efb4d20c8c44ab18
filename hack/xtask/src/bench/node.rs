//! In one emulated node: what the set-up of an annotated pod costs, and the BPF program to everybody else.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::pod::PodFigures;
use super::report::Row;
use crate::rig::{Kernel, Node, Rig, RigName, UpOptions};

/// Ends the agent, and with it its use of the node's only CPU; what it made stays. On a real node it has other CPUs.
const END_AGENT: &str = "kill -9 $(pidof smc-agent)";
/// Where the agent keeps the BPF program attached.
const PINS: &str = "/sys/fs/bpf/kube-smc";

/// Boots a node with kernel 6.12 and the product, and takes both measures in it.
pub fn measure(repository: &Path, rounds: usize, say: &(dyn Fn(&str) + Sync)) -> Result<Vec<Row>> {
    let name: RigName = "bench".parse()?;
    say("booting a node (Linux 6.12 with SMC, soft-RoCE, containerd)");
    let rig = Rig::up(&UpOptions { name, kernel: Kernel::V6_12, nodes: 1, bare: false }, say)?;
    let node = rig.node(1)?;
    node.command(&["sh", "-c", END_AGENT]).check().context("end the agent")?;
    say(&format!("ADD of an annotated pod: {rounds} rounds in the node"));
    let mut rows = annotated_pod(&node, repository, rounds, say)?;
    say("socket() with and without the BPF program, in the node");
    rows.extend(socket_cost(&node, repository)?);
    Ok(rows)
}

fn annotated_pod(node: &Node<'_>, repository: &Path, rounds: usize, say: &dyn Fn(&str)) -> Result<Vec<Row>> {
    let program =
        std::env::current_exe().context("find this program's own file")?.with_file_name("bench-node");
    let (program, repository) = (program.display().to_string(), repository.display().to_string());
    let output = node.command(&[program.as_str(), &repository, &rounds.to_string()]).check()?;
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

fn socket_cost(node: &Node<'_>, repository: &Path) -> Result<Vec<Row>> {
    node.command(&["rm", "-r", PINS]).check().context("detach the agent's own BPF program")?;
    let program = repository.join("target/release/examples/socket_cost").display().to_string();
    let output = node.command(&[program.as_str(), "20", "50"]).check()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let cost = SocketCost::parse(&text).with_context(|| format!("read what socket_cost printed: {text}"))?;
    Ok(vec![
        Row::figure("socket() without the BPF program", cost.without, "ns"),
        Row::figure("socket() with / without the BPF program", cost.ratio, ""),
        // The bar is for the end of the interval: a blurred measurement proves nothing.
        Row::at_most("  upper end of its 95 % interval", cost.ratio + cost.half_width, "", 1.03),
    ])
}

/// What the first line of `socket_cost` says: `socket(): 7120 ns without, +95 ns with; ratio 1.0133 +- 0.0021 (95 %), …`.
#[derive(Debug, PartialEq)]
struct SocketCost {
    without: f64,
    ratio: f64,
    half_width: f64,
}

impl SocketCost {
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("socket(): "))?;
        let (without, rest) = line.split_once(" ns without")?;
        let (ratio, rest) = rest.split_once("ratio ")?.1.split_once(" +- ")?;
        let half_width = rest.split_whitespace().next()?;
        Some(Self {
            without: without.parse().ok()?,
            ratio: ratio.parse().ok()?,
            half_width: half_width.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_costs_first_line_is_read() {
        let text = "socket(): 7120 ns without, +95 ns with; ratio 1.0133 +- 0.0021 (95 %), median 1.0130, 20 rounds\n\
                    socket() and close(): 1 ns without, +1 ns with; ratio 2.0 +- 0.5 (95 %), median 2.0, 20 rounds\n";
        let expected = SocketCost { without: 7120.0, ratio: 1.0133, half_width: 0.0021 };
        assert_eq!(SocketCost::parse(text), Some(expected));
        assert_eq!(SocketCost::parse("Error: this kernel makes no SMC sockets"), None);
    }
}
