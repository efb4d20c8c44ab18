//! In a node: an annotated pod, set up again and again by the plugin, beside programs that set up less.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use cni_spec::PluginOptions;
use serde::{Deserialize, Serialize};
use smc_host::genl::SmcFamilies;
use smc_host::kernel::since_boot;
use smc_host::netns::Netns;
use smc_host::{HostError, pnet};
use smc_model::{Step, Verdict};
use smc_state::{AttachmentId, DEFAULT_STATE_DIR, Phase, Record, StepTiming, Store};

use super::call::{CONTAINER, Call, smc_config, tuning_config, write_config};
use super::samples::{Samples, median};
use rig::guest::terway::datapath::Veth;
use rig::layout::NodeNumber;

/// Where everything of the benchmark is in the node: memory, so that no program is read over the emulator's file
/// sharing while it is timed.
const DIRECTORY: &str = "/run/bench";
const NETNS: &str = "bench";
/// Where the other smc-cni is among the programs that are timed.
pub const OTHER: usize = 4;

/// What `bench-node` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodFigures {
    /// Of smc-cni, tuning, floor, and smc-cni for a pod without the annotation, in this order; then of the other smc-cni, if
    /// there is one.
    pub samples: Samples,
    /// Median microseconds of the phases of smc-cni's work, as its records tell.
    pub phases: Vec<(String, f64)>,
    /// Steps of the plan that each ADD carried out.
    pub steps: Vec<String>,
    /// System calls of one ADD.
    pub system_calls: u32,
    /// Messages sent to the kernel over netlink in one ADD.
    pub netlink_messages: u32,
    /// The table of `strace -c` of one ADD.
    pub strace: String,
}

/// Times `rounds` rounds. The agent must not be running: it would share the node's only CPU.
pub fn measure(
    repository: &Path,
    against: Option<&Path>,
    rounds: usize,
    progress: impl Fn(usize),
) -> Result<PodFigures> {
    let bench = Bench::new(repository, against)?;
    // Only then does a call look first whether the agent has prepared the node.
    while since_boot() < Duration::from_secs(PluginOptions::BOOT_WAIT_SECONDS.into()) {
        thread::sleep(Duration::from_millis(500));
    }
    let mut records = Vec::new();
    let time = |program: usize| -> Result<Duration> {
        let took = bench.calls[program].time("ADD")?;
        match program {
            0 => records.push(bench.check_and_undo()?),
            OTHER => {
                bench.check_and_undo().context("the other smc-cni")?;
                nft("flush set inet kube-smc local_pods")?;
            }
            _ => {}
        }
        Ok(took)
    };
    let samples = Samples::take(bench.calls.len(), rounds, time, progress)?;
    let steps = records.last().map(steps).unwrap_or_default();
    let strace = bench.strace(&["-f", "-c"])?;
    let sends = bench.strace(&["-f", "-e", "trace=sendto,sendmsg"])?;
    let netlink_messages = sends.lines().filter(|line| line.contains(" = ") && line.contains("send")).count();
    Ok(PodFigures {
        samples,
        phases: phases(&records),
        steps,
        system_calls: total_calls(&strace).context("strace printed no total")?,
        netlink_messages: u32::try_from(netlink_messages).unwrap_or(u32::MAX),
        strace,
    })
}

/// What plugins up to version 0.1.0 want of their agent: the same-node guard as a table of nftables.
fn make_former_guard() -> Result<()> {
    let rules = "add table inet kube-smc
        add set inet kube-smc local_pods { type ipv4_addr; }
        add chain inet kube-smc same_node { type filter hook postrouting priority mangle; policy accept; }
        add rule inet kube-smc same_node ip saddr @local_pods ip daddr @local_pods tcp flags & (syn|ack) == syn counter reset tcp option 254";
    nft(rules)
}

fn nft(commands: &str) -> Result<()> {
    let ended = Command::new("nft").arg(commands).status().context("run nft")?;
    ensure!(ended.success(), "nft {commands:?}: {ended}");
    Ok(())
}

/// In the namespace.
fn tc(words: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", NETNS, "tc"]).args(words).stderr(Stdio::null());
    let ended = command.status().context("run tc")?;
    ensure!(ended.success(), "tc {}: {ended}", words.join(" "));
    Ok(())
}

struct Bench {
    calls: Vec<Call>,
    store: Store,
    attachment: AttachmentId,
    veth: Veth,
}

impl Bench {
    fn new(repository: &Path, against: Option<&Path>) -> Result<Self> {
        let directory = Path::new(DIRECTORY);
        fs::create_dir_all(directory).with_context(|| format!("make {DIRECTORY}"))?;
        let copied = |from: &Path| -> Result<PathBuf> {
            let to = directory.join(from.file_name().unwrap_or_default());
            fs::copy(from, &to).with_context(|| format!("copy {} to {DIRECTORY}", from.display()))?;
            Ok(to)
        };
        write_config(&directory.join("smc.json"), &smc_config(true, None))?;
        write_config(&directory.join("plain.json"), &smc_config(false, None))?;
        write_config(&directory.join("tuning.json"), &tuning_config())?;
        let netns = Path::new("/run/netns").join(NETNS);
        let call = |program: PathBuf, config: &str| Call {
            program,
            config: directory.join(config),
            netns: netns.clone(),
        };
        if against.is_some() {
            make_former_guard()?;
        }
        let plugin = copied(&repository.join("target/dist/smc-cni"))?;
        let mut calls = vec![
            call(plugin.clone(), "smc.json"),
            call(copied(Path::new("/usr/lib/cni/tuning"))?, "tuning.json"),
            call(copied(&repository.join("target/bench/floor"))?, "smc.json"),
            call(plugin, "plain.json"),
        ];
        if let Some(against) = against {
            let other = directory.join("other-smc-cni");
            let program = against.join("smc-cni");
            fs::copy(&program, &other).with_context(|| format!("copy {}", program.display()))?;
            calls.push(call(other, "smc.json"));
        }
        let made = Command::new("ip").args(["netns", "add", NETNS]).status().context("run ip")?;
        if !made.success() {
            bail!("ip netns add {NETNS}: {made}");
        }
        let address = NodeNumber::ALL[0].pod_addresses().last().context("the node has no pod addresses")?;
        let veth = Veth::new(CONTAINER, "eth0", address, None);
        veth.add(&netns)?;
        // As other pods of a node do: the first queue of a kind has the kernel patch its own code.
        tc(&["qdisc", "add", "dev", "lo", "clsact"])?;
        let attachment = AttachmentId::new(CONTAINER, "eth0")?;
        Ok(Self { calls, store: Store::new(DEFAULT_STATE_DIR), attachment, veth })
    }

    /// Checks that the ADD before did all of its work, and brings pod and node back to where they were before it.
    fn check_and_undo(&self) -> Result<Record> {
        let record = self.store.read(&self.attachment)?.context("ADD left no record")?;
        let whole = |step: fn(&Step) -> bool| record.plan.steps.iter().any(step);
        let all = whole(|step| matches!(step, Step::SetPnetid { .. }))
            && whole(|step| matches!(step, Step::AnchorAddress { .. }))
            && whole(|step| matches!(step, Step::Guard { .. }))
            && whole(|step| matches!(step, Step::ConvertByBpf { .. }));
        if record.verdict != Some(Verdict::Configured) || record.phase != Phase::Settled || !all {
            bail!("ADD did not set the pod up: {:?}, {:?} {}", record.verdict, steps(&record), record.seen);
        }
        self.calls[0].time("DEL")?;
        // The PNETID would go with the pod's namespace, the tombstone by the agent.
        drop_pnetids(&self.calls[0].netns).map_err(|error| anyhow::anyhow!(error.with_cause()))?;
        self.store.remove(&self.attachment)?;
        // So would the queue that the guard's program was attached by.
        let _ = tc(&["qdisc", "delete", "dev", "eth0", "clsact"]);
        Ok(record)
    }

    /// One more ADD under strace; returns what strace wrote.
    fn strace(&self, options: &[&str]) -> Result<String> {
        let output = Path::new(DIRECTORY).join("strace");
        let call = &self.calls[0];
        let mut command = Command::new("/usr/bin/strace");
        command.args(options).arg("-o").arg(&output).arg(&call.program);
        call.environment(&mut command, "ADD");
        let input = File::open(&call.config).with_context(|| format!("open {}", call.config.display()))?;
        let status = command.stdin(input).stdout(Stdio::null()).status().context("run strace")?;
        if !status.success() {
            bail!("ADD under strace: {status}");
        }
        self.check_and_undo()?;
        fs::read_to_string(&output).with_context(|| format!("read {}", output.display()))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.veth.delete();
        let _ = Command::new("ip").args(["netns", "delete", NETNS]).status();
    }
}

fn steps(record: &Record) -> Vec<String> {
    record.plan.steps.iter().map(ToString::to_string).collect()
}

fn drop_pnetids(netns: &Path) -> Result<(), HostError> {
    let mut inside = Netns::open(netns)?.connect()?;
    let Some(families) = SmcFamilies::find(&mut inside.generic)? else { return Ok(()) };
    let entries = pnet::list(&mut inside.generic, families.pnetid)?;
    pnet::netdevs(&entries).values().try_for_each(|id| pnet::delete(&mut inside.generic, families.pnetid, id))
}

/// Medians over all records, phase by phase.
fn phases(records: &[Record]) -> Vec<(String, f64)> {
    let Some(first) = records.first() else { return Vec::new() };
    let us = |timing: &StepTiming| f64::from(u32::try_from(timing.us).unwrap_or(u32::MAX));
    let phase =
        |at: usize| median(records.iter().filter_map(|record| record.timings.get(at)).map(us).collect());
    first.timings.iter().enumerate().map(|(at, timing)| (timing.phase.clone(), phase(at))).collect()
}

/// The number of calls in the last line of `strace -c`: share, seconds, microseconds a call, calls, errors, "total".
fn total_calls(strace: &str) -> Option<u32> {
    let total = strace.lines().find(|line| line.trim_end().ends_with(" total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straces_total_is_read_with_and_without_errors() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
             50.00    0.000100           5        20         1 openat\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.000200           2       100         7 total\n";
        assert_eq!(total_calls(table), Some(100));
        assert_eq!(total_calls(&table.replace("7 total", "  total")), Some(100));
        assert_eq!(total_calls("strace: not there"), None);
    }
}
