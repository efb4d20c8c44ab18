//! What the agent costs, measured in one emulated node: with real network namespaces, and stand-ins for the container runtime
//! and the API server. The node's clock counts instructions, so times are those of a CPU that does one in a nanosecond,
//! whatever else this machine does.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::agent_node::{AgentFigures, MANY_PODS, REAL_PODS};
use super::report::Row;
use rig::host::{Kernel, Rig, RigName, UpOptions};

/// Boots a node with kernel 6.12 and measures in it.
pub fn measure(repository: &Path, say: &(dyn Fn(&str) + Sync)) -> Result<Vec<Row>> {
    let name: RigName = "bench-agent".parse()?;
    say("booting a node for the agent's figures");
    let kernel = Kernel::V6_12;
    let options =
        UpOptions { name, kernel, nodes: 1, bare: true, count_instructions: true, ..UpOptions::default() };
    let rig = Rig::up(&options, say)?;
    let node = rig.node(1)?;
    let program =
        std::env::current_exe().context("find this program's own file")?.with_file_name("bench-agent");
    let (program, agent) =
        (program.display().to_string(), repository.join("target/dist/smc-agent").display().to_string());
    say(&format!("the agent with {REAL_PODS} and {MANY_PODS} pods: some minutes"));
    let output = node.command(&[program.as_str(), &agent]).check()?;
    let figures: AgentFigures =
        serde_json::from_slice(&output.stdout).context("read what bench-agent printed")?;
    Ok(rows(&figures))
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn rows(figures: &AgentFigures) -> Vec<Row> {
    let real = format!("agent, {REAL_PODS} pods");
    let many = format!("agent, {MANY_PODS} pods");
    vec![
        // With a tenth of a CPU, the manifest's limit, that is 8 s; with the kubelet's part a node is done in 15 s.
        Row::at_most(
            "agent's start: CPU time of an instruction a ns",
            figures.start_cpu_s * 1000.0,
            "ms",
            800.0,
        ),
        Row::at_most(&format!("{real}: VmRSS"), figures.memory_few.0, "MiB", 24.0),
        Row::figure(&format!("{real}: RssAnon"), figures.memory_few.1, "MiB"),
        Row::at_most(&format!("{many}: VmRSS"), figures.memory_many.0, "MiB", 40.0),
        Row::figure(&format!("{many}: RssAnon"), figures.memory_many.1, "MiB"),
        Row::figure(&format!("{real}, idle: wake-ups a second"), figures.idle_few.0, ""),
        Row::at_most(
            &format!("{real}, idle: % of a CPU of an instruction a ns"),
            figures.idle_few.1,
            "",
            0.2,
        ),
        Row::figure(&format!("{many}, idle: wake-ups a second"), figures.idle_many.0, ""),
        Row::figure(&format!("{many}, idle: % of a CPU of an instruction a ns"), figures.idle_many.1, ""),
        Row::at_most(
            &format!("{REAL_PODS} network namespaces behind a stand-in CRI, set up after a restart"),
            figures.repaired_s * 1000.0,
            "ms",
            5000.0,
        ),
        Row::figure("  system calls of the agent for each", figures.calls_per_pod, "calls"),
        Row::at_most(
            &format!("API reads while {MANY_PODS} pods start (stand-in API server)"),
            figures.api_reads as f64,
            "reads",
            0.0,
        ),
        Row::figure("  events and patches written meanwhile", figures.api_writes as f64, "writes"),
    ]
}
