//! The command line, and words for what is wrong with it.

use std::env;
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context as _, Result};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Args, Command as ClapCommand, CommandFactory as _, Parser, Subcommand};
use cni_spec::conflist::Entry;
use cni_spec::{PLUGIN_TYPE, PluginOptions, Policy};
use smc_agent::chain::{self, DEFAULT_PROVENANCE_DIR, FightLimits, Mode};
use smc_agent::cri::CONTAINERD_SOCKET;
use smc_agent::mesh::MeshMode;
use smc_agent::node::bpf::DEFAULT_PIN_DIRECTORY;
use smc_agent::process::logging::{self, LogFormat, LoggingError};
use smc_agent::settings::DEFAULT_SETTINGS_DIR;
use smc_agent::surfaces::http::{DEFAULT_LISTEN, Listen};
use smc_agent::surfaces::kubernetes::startup_taint::TaintKey;
use smc_model::Ueid;
use smc_state::DEFAULT_STATE_DIR;

/// Prepares a Kubernetes node so that annotated pods speak SMC-R: their TCP connections go over RDMA, unchanged.
#[derive(Debug, Parser)]
#[command(name = "smc-agent", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Form of the log lines on standard error: text or json
    #[arg(long, global = true, default_value = "text", env = "SMC_AGENT_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
    /// Lowest level that is logged: error, warn, info, debug, or filters such as info,smc_agent=debug
    #[arg(long, global = true, default_value = "info", env = "SMC_AGENT_LOG_LEVEL", value_parser = level)]
    pub(crate) log_level: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prepare this node, publish what pods need to know, and follow what becomes of them
    ///
    /// Loads the kernel's SMC modules, gives each RDMA port a PNETID unless it has one, adds the enterprise id (UEID),
    /// and on mainline kernels the BPF program that converts TCP sockets, the anchor link and the same-node guard.
    /// SIGTERM leaves all of it in place: pods keep working and new ones are still set up.
    Run(Box<RunArgs>),
    /// Copy the plugin to the node and add it to the node's CNI chain, once
    ///
    /// Nothing is written where the container runtime says that it looks elsewhere.
    Install(InstallArgs),
    /// Undo everything that kube-smc made on this node, and leave what others made
    ///
    /// Delete the DaemonSet first: while an agent runs on the node, nothing is undone. Needs no API server; with one, and
    /// the right to patch nodes/status, the node's label and condition go, too. New connections of pods are TCP at once;
    /// pods go on running. The plugin's program stays, since pods that run still call it when they end, and hands every
    /// pod through.
    Uninstall(UninstallArgs),
    /// Do nothing until told to end, as the last container of manifests/uninstall does
    #[command(hide = true)]
    Pause,
    /// Change what the running agent logs, within some seconds and until the node reboots
    LogLevel(LogLevelArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Print what this would do to the node, in order, and change nothing; works beside a running agent, too
    ///
    /// Prints what the node needs once: modules, programs, PNETIDs, UEIDs, the anchor link. Says nothing of pods and of the CNI
    /// chain, nor of steps that show only once others are done. With --mesh watch, uses the switch as the last agent here knew it.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Directory shared with the plugin
    #[arg(long, default_value = DEFAULT_STATE_DIR)]
    pub(crate) state_dir: PathBuf,
    /// Directory on a bpffs where the BPF program is pinned
    #[arg(long, default_value = DEFAULT_PIN_DIRECTORY)]
    pub(crate) pin_dir: PathBuf,
    /// The host's /proc
    #[arg(long, default_value = "/proc")]
    pub(crate) proc: PathBuf,
    /// Where the container runtime listens; it tells which pods run here, so that missed ones are set up
    #[arg(long, default_value = CONTAINERD_SOCKET, env = "SMC_AGENT_CRI_SOCKET")]
    pub(crate) cri_socket: PathBuf,
    /// Directory of the settings that may change while the agent runs: a file each, as a ConfigMap is mounted
    ///
    /// inbound-peers: ranges of addresses, with commas or lines between, whose owners may speak SMC with accelerated pods;
    /// without it everybody may who reaches them. known-defects: `refuse` keeps pods on TCP where the kernel's SMC has
    /// defects that public records name; `tell`, the default, only tells. A change is in force within two seconds; what
    /// cannot be read leaves what was in force before.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_SETTINGS_DIR)]
    pub(crate) settings_dir: PathBuf,
    /// Enterprise id that all nodes of the cluster share; up to four, with commas or given again
    #[arg(long = "ueid", default_value = Ueid::DEFAULT, value_delimiter = ',', env = "SMC_AGENT_UEID")]
    pub(crate) ueids: Vec<Ueid>,
    /// Whether new pods are accelerated: enabled, disabled, or watch: as ASM's ASMMeshConfig says
    ///
    /// With watch, on means that the object `default` is there and has spec.cniConfiguration.smcEnabled: true. On
    /// clusters without ASM use enabled: the pods' annotation alone decides then.
    #[arg(long, default_value_t = MeshMode::Enabled, env = "SMC_AGENT_MESH")]
    pub(crate) mesh: MeshMode,
    /// Kubeconfig of the API server that has the ASMMeshConfig, when it is not this cluster's: with ASM, of its instance
    #[arg(long, value_name = "FILE", env = "SMC_AGENT_MESH_KUBECONFIG")]
    pub(crate) mesh_kubeconfig: Option<PathBuf>,
    /// Kubeconfig for events on pods and the node's condition, instead of the pod's service account
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// This node's name in Kubernetes
    #[arg(long, env = "NODE_NAME")]
    pub(crate) node_name: Option<String>,
    /// Key of a taint that nodes join with, to be taken off this node whenever the agent is ready
    ///
    /// Pods of a new node start when the plugin is there, then. The agent never puts it on: the node pool does, for one by
    /// kubelet's --register-with-taints. Takes the rights of the manifests' components/startup-taint.
    #[arg(long, value_name = "KEY", env = "SMC_AGENT_STARTUP_TAINT")]
    pub(crate) startup_taint: Option<TaintKey>,
    /// Where to serve /metrics, /healthz, /readyz and /status: an address with a port, or off
    #[arg(long, default_value = DEFAULT_LISTEN, env = "SMC_AGENT_LISTEN")]
    pub(crate) listen: Listen,
    /// The UID of this process's pod, by which the pod's probes know its own agent
    #[arg(long, env = "POD_UID", hide_short_help = true)]
    pub(crate) pod_uid: Option<String>,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UninstallArgs {
    /// Directory shared with the plugin
    #[arg(long, default_value = DEFAULT_STATE_DIR)]
    pub(crate) state_dir: PathBuf,
    /// Directory on a bpffs where the BPF program is pinned
    #[arg(long, default_value = DEFAULT_PIN_DIRECTORY)]
    pub(crate) pin_dir: PathBuf,
    /// The host's /proc
    #[arg(long, default_value = "/proc")]
    pub(crate) proc: PathBuf,
    /// The node's directory of CNI configurations
    #[arg(long, default_value = "/etc/cni/net.d", env = "SMC_AGENT_CONF_DIR")]
    pub(crate) conf_dir: PathBuf,
    /// Directory where the agent remembers which chain entries it made
    #[arg(long, default_value = DEFAULT_PROVENANCE_DIR)]
    pub(crate) provenance_dir: PathBuf,
    /// Kubeconfig for the node's label and condition, instead of the pod's service account
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// This node's name in Kubernetes
    #[arg(long, env = "NODE_NAME")]
    pub(crate) node_name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogLevelArgs {
    /// A level, filters such as info,smc_agent=debug, or reset
    pub(crate) level: String,
    /// Directory shared with the plugin
    #[arg(long, default_value = DEFAULT_STATE_DIR)]
    pub(crate) state_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Where the container runtime listens; it tells where it looks for configurations and plugins
    #[arg(long, default_value = CONTAINERD_SOCKET, env = "SMC_AGENT_CRI_SOCKET")]
    pub(crate) cri_socket: PathBuf,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
}

/// Where the plugin and its chain entry go.
#[derive(Debug, Args)]
pub(crate) struct ChainArgs {
    /// How the plugin gets into the node's CNI chain; only an entry that the agent made is ever changed or removed
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) chain: Mode,
    /// The plugin's binary; usually beside this one
    #[arg(long)]
    pub(crate) plugin: Option<PathBuf>,
    /// The node's directory of CNI plugins, where the container runtime looks for them
    #[arg(long, default_value = "/opt/cni/bin", env = "SMC_AGENT_BIN_DIR")]
    pub(crate) bin_dir: PathBuf,
    /// The node's directory of CNI configurations; the first list in it is the one in use
    #[arg(long, default_value = "/etc/cni/net.d", env = "SMC_AGENT_CONF_DIR")]
    pub(crate) conf_dir: PathBuf,
    /// What becomes of an annotated pod that cannot be accelerated: it starts on TCP (preferred) or not at all (required)
    #[arg(long, default_value = "preferred")]
    pub(crate) policy: Policy,
    /// For how many seconds after the node's boot annotated pods wait for the agent instead of starting on TCP; 0: not at all
    #[arg(long, value_name = "SECONDS", default_value_t = PluginOptions::BOOT_WAIT_SECONDS, env = "SMC_AGENT_BOOT_WAIT")]
    pub(crate) boot_wait: u32,
    /// Directory, kept over reboots, where the agent remembers which chain entries it made
    #[arg(long, default_value = DEFAULT_PROVENANCE_DIR)]
    pub(crate) provenance_dir: PathBuf,
}

impl ChainArgs {
    /// What the chain is kept by. An entry tells the plugin of a state directory that is not the usual one.
    pub(crate) fn options(self, state_dir: &Path) -> Result<chain::Options> {
        let state_dir = if state_dir == Path::new(DEFAULT_STATE_DIR) {
            None
        } else {
            let full = absolute(state_dir).context("cannot tell the full path of --state-dir")?;
            Some(
                full.into_os_string()
                    .into_string()
                    .ok()
                    .context("--state-dir is no text, which CNI's JSON cannot hold")?,
            )
        };
        let plugin = match self.plugin {
            Some(plugin) => plugin,
            None => {
                env::current_exe().context("cannot find this program's own file")?.with_file_name(PLUGIN_TYPE)
            }
        };
        let boot_wait_seconds = Some(self.boot_wait).filter(|wait| *wait != PluginOptions::BOOT_WAIT_SECONDS);
        Ok(chain::Options {
            mode: self.chain,
            plugin,
            bin_dir: self.bin_dir,
            conf_dir: self.conf_dir,
            provenance_dir: self.provenance_dir,
            entry: Entry { policy: self.policy, state_dir, log_dir: None, boot_wait_seconds },
            runtime: None,
            fight: FightLimits::default(),
        })
    }
}

/// A level that can be logged by, as it was given.
fn level(level: &str) -> Result<String, LoggingError> {
    logging::parse_level(level).map(|_| level.to_owned())
}

impl Cli {
    /// Reads the command line. What is wrong is said on standard error, whose last lines `kubectl describe pod` shows, with
    /// the place in the manifests that a value came from; the process ends then.
    pub(crate) fn read() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            let _ = error.print();
            if let Some(origin) = origin(&error, |name| env::var(name).ok()) {
                eprintln!("\n{origin}");
            }
            std::process::exit(error.exit_code())
        })
    }
}

/// Where a value that cannot be used came from, when that is the environment.
fn origin(error: &clap::Error, environment: impl Fn(&str) -> Option<String>) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (argument, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    let mut command = Cli::command();
    // Arguments have no name to be shown before.
    command.build();
    let variable = find(&command, argument)?.get_env()?.to_str()?.to_owned();
    // One that was given on the command line wins, and is not in question.
    environment(&variable).filter(|given| given == value || given.split(',').any(|part| part == value))?;
    Some(format!(
        "The value {value:?} is that of {variable} in the container's environment: correct {variable} in the ConfigMap \
         smc-agent (in daemonset/manifests: base/kustomization.yaml) and apply it again"
    ))
}

/// The argument that clap names so, such as `--ueid <UEIDS>`.
fn find<'a>(command: &'a ClapCommand, name: &str) -> Option<&'a Arg> {
    let here = command.get_arguments().find(|argument| argument.to_string() == name);
    here.or_else(|| command.get_subcommands().find_map(|below| find(below, name)))
}

#[cfg(test)]
mod tests;
