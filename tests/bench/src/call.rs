//! One timed call of a CNI plugin, made as a runtime makes it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// The container id of every pod of the benchmark.
pub const CONTAINER: &str = "kube-smc-bench-4ba1e7f0c2d94d0f8a51a3c07e6b92d8f1c0a7b35e24d6f9";

/// A program, and the configuration it is to be called with.
#[derive(Debug, Clone)]
pub struct Call {
    /// The program.
    pub program: PathBuf,
    /// A file with the network configuration, given as standard input.
    pub config: PathBuf,
    /// `CNI_NETNS`.
    pub netns: PathBuf,
}

impl Call {
    /// The command with its environment, its standard input to be set.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        self.environment(&mut command, verb);
        command
    }

    /// Gives `command` the environment of a call; it may be a program that runs the plugin in its turn.
    pub fn environment(&self, command: &mut Command, verb: &str) {
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;\
             K8S_POD_INFRA_CONTAINER_ID={CONTAINER};K8S_POD_UID=7f00"
        );
        command
            .env_clear()
            .env("CNI_COMMAND", verb)
            .env("CNI_CONTAINERID", CONTAINER)
            .env("CNI_NETNS", &self.netns)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_ARGS", args)
            .env("CNI_PATH", "/opt/cni/bin")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    }

    /// Runs the call and returns the time from before its start to after its end.
    pub fn time(&self, verb: &str) -> Result<Duration> {
        let shown = || format!("run {} of {}", verb, self.program.display());
        let input = File::open(&self.config).with_context(|| format!("open {}", self.config.display()))?;
        let mut command = self.command(verb);
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut output = Vec::with_capacity(8192);
        let begin = Instant::now();
        let mut child = command.spawn().with_context(shown)?;
        if let Some(stdout) = &mut child.stdout {
            stdout.read_to_end(&mut output).with_context(shown)?;
        }
        let status = child.wait().with_context(shown)?;
        let took = begin.elapsed();
        if !status.success() {
            bail!("{}: {status}: {}", shown(), String::from_utf8_lossy(&output));
        }
        Ok(took)
    }
}

/// What Terway hands on for a pod.
fn prev_result() -> Value {
    json!({
        "cniVersion": "0.4.0",
        "interfaces": [{ "name": "eth0", "sandbox": CONTAINER }],
        "ips": [{ "version": "4", "interface": 0, "address": "10.0.1.1/32", "gateway": "169.254.1.1" }],
        "dns": {},
    })
}

/// The configuration for smc-cni, with its own directories, for a pod with or without the annotation.
pub fn smc_config(annotated: bool, directories: Option<&Path>) -> Value {
    let mut annotations = json!({ "kubernetes.io/config.source": "api", "team": "shop" });
    if annotated {
        annotations[smc_model::ANNOTATION] = json!("true");
    }
    let mut config = json!({
        "cniVersion": "0.4.0",
        "name": "terway-chainer",
        "type": "smc-cni",
        "capabilities": { "io.kubernetes.cri.pod-annotations": true },
        "runtimeConfig": { "io.kubernetes.cri.pod-annotations": annotations },
        "prevResult": prev_result(),
    });
    if let Some(directories) = directories {
        config["stateDir"] = json!(directories.join("state"));
        config["logDir"] = json!(directories.join("log"));
    }
    config
}

/// The configuration for the reference plugin `tuning`: one sysctl, the one that the floor sets, too.
pub fn tuning_config() -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "terway-chainer",
        "type": "tuning",
        "sysctl": { "net.ipv4.conf.all.log_martians": "0" },
        "prevResult": prev_result(),
    })
}

/// Writes a configuration to a file.
pub fn write_config(path: &Path, config: &Value) -> Result<()> {
    std::fs::write(path, config.to_string()).with_context(|| format!("write {}", path.display()))
}
