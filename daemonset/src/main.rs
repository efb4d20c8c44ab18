//! smc-agent: the node agent of kube-smc.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use cni_spec::conflist::Entry;
use cni_spec::{PLUGIN_TYPE, Policy};
use smc_agent::board::Chain;
use smc_agent::bpf::DEFAULT_PIN_DIRECTORY;
use smc_agent::chain::{self, DEFAULT_PROVENANCE_DIR, FightLimits, Mode};
use smc_agent::cri::CONTAINERD_SOCKET;
use smc_agent::ending::Ending;
use smc_agent::http::{DEFAULT_LISTEN, Listen};
use smc_agent::log_level::{self, LogLevel};
use smc_agent::logging::{self, LogFormat};
use smc_agent::mesh::MeshMode;
use smc_agent::node::Options;
use smc_agent::surfaces::{self, Surfaces};
use smc_agent::terway::NODE_CAPABILITIES_FILE;
use smc_agent::{run, uninstall};
use smc_model::Ueid;
use smc_state::{DEFAULT_STATE_DIR, Store};
use tokio::runtime::Runtime;

/// Prepares a Kubernetes node so that annotated pods speak SMC-R: their TCP connections go over RDMA, unchanged.
#[derive(Debug, Parser)]
#[command(name = "smc-agent", version, max_term_width = 100)]
struct Cli {
    /// Form of the log lines on standard error: text or json
    #[arg(long, global = true, default_value = "text", env = "SMC_AGENT_LOG_FORMAT")]
    log_format: LogFormat,
    /// Lowest level that is logged: error, warn, info, debug, or filters such as info,smc_agent=debug
    #[arg(long, global = true, default_value = "info", env = "SMC_AGENT_LOG_LEVEL")]
    log_level: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prepare this node, publish what pods need to know, and follow what becomes of them
    ///
    /// Loads the kernel's SMC modules, gives each RDMA port a PNETID unless it has one, adds the enterprise id (UEID),
    /// and on mainline kernels the BPF program that converts TCP sockets, the anchor link and the same-node guard.
    /// SIGTERM leaves all of it in place: pods keep working and new ones are still set up.
    Run(Box<RunArgs>),
    /// Copy the plugin to the node and add it to the node's CNI chain, once
    Install(ChainArgs),
    /// Undo everything that kube-smc made on this node, and leave what others made
    ///
    /// Delete the DaemonSet first: a running agent makes it all again. Needs no API server. New connections of pods are
    /// TCP at once; pods go on running. The plugin's program stays, since pods that run still call it when they end, and
    /// hands every pod through.
    Uninstall(UninstallArgs),
    /// Do nothing until told to end, as the last container of manifests/uninstall does
    #[command(hide = true)]
    Pause,
    /// Change what the running agent logs, within some seconds and until the node reboots
    LogLevel(LogLevelArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Directory shared with the plugin
    #[arg(long, default_value = DEFAULT_STATE_DIR)]
    state_dir: PathBuf,
    /// Directory on a bpffs where the BPF program is pinned
    #[arg(long, default_value = DEFAULT_PIN_DIRECTORY)]
    pin_dir: PathBuf,
    /// The host's /proc
    #[arg(long, default_value = "/proc")]
    proc: PathBuf,
    /// Where the container runtime listens; it tells which pods run here, so that missed ones are set up
    #[arg(long, default_value = CONTAINERD_SOCKET, env = "SMC_AGENT_CRI_SOCKET")]
    cri_socket: PathBuf,
    /// Where Terway writes what it knows about the node
    #[arg(long, default_value = NODE_CAPABILITIES_FILE)]
    terway_capabilities: PathBuf,
    /// Enterprise id that all nodes of the cluster share; may be given up to four times
    #[arg(long = "ueid", default_value = Ueid::DEFAULT)]
    ueids: Vec<Ueid>,
    /// Whether new pods are accelerated: enabled, disabled, or watch: as ASM's ASMMeshConfig says
    ///
    /// With watch, on means that the object `default` is there and has spec.cniConfiguration.smcEnabled: true. On
    /// clusters without ASM use enabled: the pods' annotation alone decides then.
    #[arg(long, default_value_t = MeshMode::Enabled, env = "SMC_AGENT_MESH")]
    mesh: MeshMode,
    /// Kubeconfig of the API server that has the ASMMeshConfig, when it is not this cluster's
    #[arg(long, value_name = "FILE")]
    mesh_kubeconfig: Option<PathBuf>,
    /// Kubeconfig for events on pods and the node's condition, instead of the pod's service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// This node's name in Kubernetes
    #[arg(long, env = "NODE_NAME")]
    node_name: Option<String>,
    /// Where to serve /metrics, /healthz, /readyz and /status: an address with a port, or off
    #[arg(long, default_value = DEFAULT_LISTEN, env = "SMC_AGENT_LISTEN")]
    listen: Listen,
    #[command(flatten)]
    chain: ChainArgs,
}

#[derive(Debug, Args)]
struct UninstallArgs {
    /// Directory shared with the plugin
    #[arg(long, default_value = DEFAULT_STATE_DIR)]
    state_dir: PathBuf,
    /// Directory on a bpffs where the BPF program is pinned
    #[arg(long, default_value = DEFAULT_PIN_DIRECTORY)]
    pin_dir: PathBuf,
    /// The host's /proc
    #[arg(long, default_value = "/proc")]
    proc: PathBuf,
    /// The node's directory of CNI configurations
    #[arg(long, default_value = "/etc/cni/net.d")]
    conf_dir: PathBuf,
    /// Directory where the agent remembers which chain entries it made
    #[arg(long, default_value = DEFAULT_PROVENANCE_DIR)]
    provenance_dir: PathBuf,
}

#[derive(Debug, Args)]
struct LogLevelArgs {
    /// A level, filters such as info,smc_agent=debug, or reset
    level: String,
    /// Directory shared with the plugin
    #[arg(long, default_value = DEFAULT_STATE_DIR)]
    state_dir: PathBuf,
}

/// Where the plugin and its chain entry go.
#[derive(Debug, Args)]
struct ChainArgs {
    /// How the plugin gets into the node's CNI chain; only an entry that the agent made is ever changed or removed
    #[arg(long, value_enum, default_value = "auto")]
    chain: Mode,
    /// The plugin's binary; usually beside this one
    #[arg(long)]
    plugin: Option<PathBuf>,
    /// The node's directory of CNI plugins
    #[arg(long, default_value = "/opt/cni/bin")]
    bin_dir: PathBuf,
    /// The node's directory of CNI configurations; the first list in it is the one in use
    #[arg(long, default_value = "/etc/cni/net.d")]
    conf_dir: PathBuf,
    /// What becomes of an annotated pod that cannot be accelerated: it starts on TCP (preferred) or not at all (required)
    #[arg(long, default_value = "preferred")]
    policy: Policy,
    /// Directory, kept over reboots, where the agent remembers which chain entries it made
    #[arg(long, default_value = DEFAULT_PROVENANCE_DIR)]
    provenance_dir: PathBuf,
}

impl ChainArgs {
    fn options(self) -> Result<chain::Options> {
        let plugin = match self.plugin {
            Some(plugin) => plugin,
            None => std::env::current_exe()
                .context("cannot find this program's own file")?
                .with_file_name(PLUGIN_TYPE),
        };
        Ok(chain::Options {
            mode: self.chain,
            plugin,
            bin_dir: self.bin_dir,
            conf_dir: self.conf_dir,
            provenance_dir: self.provenance_dir,
            entry: Entry { policy: self.policy, state_dir: None, log_dir: None },
            runtime: None,
            fight: FightLimits::default(),
        })
    }
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let setter = logging::init(cli.log_format, &cli.log_level)?;
    match cli.command {
        Command::Run(args) => {
            let runtime = runtime()?;
            let mut ending = listen(&runtime)?;
            let options = Options {
                pin_dir: args.pin_dir,
                proc: args.proc,
                terway_capabilities: args.terway_capabilities,
                ueids: args.ueids,
            };
            let mut level = LogLevel::new(&args.state_dir, setter, cli.log_level);
            let store = Store::new(args.state_dir);
            let surfaces = surfaces::Options {
                mesh: args.mesh,
                mesh_kubeconfig: args.mesh_kubeconfig,
                kubeconfig: args.kubeconfig,
                node_name: args.node_name,
                listen: args.listen,
            };
            let mut surfaces = Surfaces::start(surfaces, store.clone(), chain_at_first(args.chain.chain))?;
            level.look(&surfaces.board);
            let work = run::Work { node: options, chain: args.chain.options()?, cri_socket: args.cri_socket };
            runtime.block_on(run::run(&work, &store, &mut surfaces, &mut level, &mut ending))
        }
        Command::Uninstall(args) => uninstall(args),
        Command::Pause => pause(),
        Command::LogLevel(args) => {
            let level = Some(args.level.as_str()).filter(|level| *level != "reset");
            log_level::ask(&args.state_dir, level).map_err(anyhow::Error::from)
        }
        Command::Install(args) => install(args),
    }
}

/// What is known of the chain before anybody looked.
fn chain_at_first(mode: Mode) -> Chain {
    if mode == Mode::Off { Chain::Unmanaged } else { Chain::Unknown }
}

/// A runtime that waits on this thread.
fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}

/// Listens from now on for the wish that the agent ends.
fn listen(runtime: &Runtime) -> Result<Ending> {
    let _context = runtime.enter();
    Ending::listen().context("cannot listen for SIGTERM and SIGINT")
}

fn uninstall(args: UninstallArgs) -> Result<()> {
    let runtime = runtime()?;
    let UninstallArgs { state_dir, pin_dir, proc, conf_dir, provenance_dir } = args;
    let options = uninstall::Options { pin_dir, proc, conf_dir, provenance_dir };
    let undone = runtime.block_on(uninstall::uninstall(&Store::new(state_dir), &options));
    for done in &undone.done {
        tracing::info!("{done}");
    }
    for left in &undone.left {
        tracing::warn!("left in place: {left}");
    }
    for problem in &undone.problems {
        tracing::error!("{problem}");
    }
    if undone.problems.is_empty() {
        return Ok(());
    }
    bail!(
        "{} things could not be undone; run it again when what stands in the way is gone",
        undone.problems.len()
    )
}

fn pause() -> Result<()> {
    let runtime = runtime()?;
    let mut ending = listen(&runtime)?;
    runtime.block_on(ending.wanted());
    Ok(())
}

fn install(args: ChainArgs) -> Result<()> {
    let installed = chain::install_once(args.options()?)?;
    let choice = installed.choice;
    tracing::info!(
        binary_copied = installed.binary_copied,
        entry = installed.file.map(|file| file.display().to_string()),
        placement = choice.as_ref().map(|choice| choice.placement.to_string()),
        why = choice.map(|choice| choice.why),
        changed = installed.changed,
        "installed"
    );
    Ok(())
}
