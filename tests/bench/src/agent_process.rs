//! The agent as a process that is measured: its memory, its wake-ups, its time on a CPU.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::Pid;

/// Longest wait for anything; an emulated CPU is slow.
const PATIENCE: Duration = Duration::from_secs(300);

/// How the agent is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// The agent's program.
    pub program: PathBuf,
    /// Where the stand-in for the runtime listens.
    pub cri_socket: PathBuf,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Where its log goes.
    pub log: PathBuf,
}

/// A running agent; killed when dropped.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    log: PathBuf,
    /// The process to look at: the child, or what the child runs.
    pid: i32,
}

/// What a process used up to a moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// How often its living threads went to sleep, and so how often they woke.
    pub switches: u64,
    /// Time on a CPU, of its threads, also of those that ended, and of programs that it ran and that ended.
    pub cpu: Duration,
}

impl Start {
    /// Starts the agent, which keeps no chain, with more arguments.
    pub fn agent(&self, more: &[&str]) -> Result<Agent> {
        self.under(&[], more)
    }

    /// Starts `strace` with these options, which starts the agent.
    pub fn traced(&self, options: &[&str]) -> Result<Agent> {
        let mut strace = vec!["strace"];
        strace.extend(options);
        self.under(&strace, &[])
    }

    fn under(&self, before: &[&str], more: &[&str]) -> Result<Agent> {
        let program = self.program.display().to_string();
        let (socket, state) = (self.cri_socket.display().to_string(), self.state_dir.display().to_string());
        let mut words = before.to_vec();
        words.extend([
            program.as_str(),
            "run",
            "--chain",
            "off",
            "--cri-socket",
            &socket,
            "--state-dir",
            &state,
        ]);
        words.extend(more);
        let log = File::create(&self.log).with_context(|| format!("make {}", self.log.display()))?;
        let child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", words[0]))?;
        let id = i32::try_from(child.id()).context("the agent's process id")?;
        let mut agent = Agent { child, log: self.log.clone(), pid: id };
        if !before.is_empty() {
            let children = format!("/proc/{id}/task/{id}/children");
            // strace also has children of its own for a moment, with which it tries what the kernel can.
            let is_agent = |pid: &i32| {
                fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == self.program)
            };
            agent.pid = wait("the agent under strace", || {
                let children = fs::read_to_string(&children).ok()?;
                children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(is_agent)
            })?;
        }
        Ok(agent)
    }
}

impl Agent {
    /// Waits until it has prepared the node and follows the records.
    pub fn await_ready(&self) -> Result<()> {
        wait("the agent's readiness", || self.log_has("watching pods").then_some(()))
    }

    /// Whether its log has these words.
    pub fn log_has(&self, words: &str) -> bool {
        fs::read_to_string(&self.log).is_ok_and(|log| log.contains(words))
    }

    /// Ends it as Kubernetes does, and waits for its end.
    pub fn end(mut self) -> Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM).context("end the agent")?;
        self.child.wait().context("wait for the agent's end")?;
        Ok(())
    }

    /// `VmRSS` and `RssAnon`, in MiB: all pages that it has in memory, and those of its own.
    pub fn memory(&self) -> Result<(f64, f64)> {
        let status = self.read("status")?;
        let mib = |name: &str| {
            let kib = status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
            kib.and_then(|kib| kib.parse::<f64>().ok()).map(|kib| kib / 1024.0)
        };
        mib("VmRSS:").zip(mib("RssAnon:")).context("read the agent's memory")
    }

    /// What it used so far.
    pub fn used(&self) -> Result<Used> {
        let mut used = Used::default();
        let tasks = format!("/proc/{}/task", self.pid);
        for task in fs::read_dir(&tasks).with_context(|| format!("list {tasks}"))?.flatten() {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            // What it gave up by itself, to wait; being pushed aside by others is no wake-up.
            let waits = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            used.switches += waits.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or_default();
        }
        let clock =
            ClockId::pid_cpu_clock_id(Pid::from_raw(self.pid)).context("find the agent's CPU clock")?;
        used.cpu += Duration::from(clock.now().context("read the agent's CPU clock")?);
        // Fields 16 and 17, in ticks of a hundredth of a second: children that were waited for.
        let stat = self.read("stat")?;
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        let ticks: u64 = fields.skip(13).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        used.cpu += Duration::from_millis(ticks * 10);
        Ok(used)
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("read {path}"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Looks until there is something.
pub fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
        }
        sleep(Duration::from_millis(20));
    }
}

/// How many system calls `strace -f -c` counted.
pub fn counted_calls(summary: &Path) -> Result<u64> {
    let text = fs::read_to_string(summary).with_context(|| format!("read {}", summary.display()))?;
    let total = text.lines().find(|line| line.trim_end().ends_with(" total")).context("strace's total")?;
    // `100.00  0.123456  12  3456  7 total`; the column of errors is left out when there are none.
    total.split_whitespace().nth(3).and_then(|calls| calls.parse().ok()).context("read strace's total")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straces_total_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("summary");
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ----------------\n \
                    60.00    0.060000          60      1000           read\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    100.00    0.100000          40      2468        12 total\n";
        fs::write(&path, text).unwrap();
        assert_eq!(counted_calls(&path).unwrap(), 2468);
    }
}
