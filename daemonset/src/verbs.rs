//! What the commands do: the command line's words put together with the agent's parts.

use std::fs::OpenOptions;
use std::io::{Write as _, stdout};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use smc_agent::board::Chain;
use smc_agent::chain::{self, Mode, Runtime as _};
use smc_agent::cri::LoadedByRuntime;
use smc_agent::mesh::{MeshMode, MeshSwitch};
use smc_agent::node::{self, Asked, LastLook, Options};
use smc_agent::process::log_level::LogLevel;
use smc_agent::process::logging::LevelSetter;
use smc_agent::process::shutdown::Shutdown;
use smc_agent::process::sole::{self, Work};
use smc_agent::surfaces::kubernetes::api::Source;
use smc_agent::surfaces::{self, Surfaces};
use smc_agent::{run, settings, uninstall};
use smc_host::kernel;
use smc_state::{DEFAULT_STATE_DIR, Store};
use tokio::runtime::Runtime;

use crate::cli::{InstallArgs, RunArgs, UninstallArgs};

/// What the kubelet shows of a container that has ended, also of one that ended well.
const TERMINATION_LOG: &str = "/dev/termination-log";

pub(crate) fn run(args: RunArgs, setter: LevelSetter, usual_level: String) -> Result<()> {
    if args.dry_run {
        return dry_run(args);
    }
    let runtime = runtime()?;
    let mut shutdown = listen(&runtime)?;
    let mut level = LogLevel::new(&args.state_dir, setter, usual_level);
    let store = Store::new(args.state_dir);
    let taken = runtime.block_on(async {
        tokio::select! {
            taken = sole::take(&store, Work::Run) => Some(taken),
            () = shutdown.wanted() => None,
        }
    });
    let Some(taken) = taken else { return Ok(()) };
    let _sole = taken?;
    let options = surfaces::Options {
        mesh: args.mesh,
        mesh_kubeconfig: args.mesh_kubeconfig,
        kubeconfig: args.kubeconfig,
        node_name: args.node_name,
        startup_taint: args.startup_taint,
        listen: args.listen,
        proc: args.proc.clone(),
        pod_uid: args.pod_uid,
    };
    let mut surfaces = Surfaces::start(options, store.clone(), chain_at_first(args.chain.chain))?;
    level.look(&surfaces.board);
    let node = Options { pin_dir: args.pin_dir, proc: args.proc, ueids: args.ueids };
    let chain = args.chain.options(store.dir())?;
    let work = run::Work { node, chain, cri_socket: args.cri_socket, settings_dir: args.settings_dir };
    runtime.block_on(run::run(&work, &store, &mut surfaces, &mut level, &mut shutdown))
}

fn dry_run(args: RunArgs) -> Result<()> {
    let store = Store::new(args.state_dir);
    let switch = match args.mesh {
        MeshMode::Enabled => MeshSwitch::fixed(true),
        MeshMode::Disabled => MeshSwitch::fixed(false),
        // As where it cannot be read.
        MeshMode::Watch => store.read_document().ok().flatten().unwrap_or(MeshSwitch::NOT_KNOWN_YET),
    };
    let wishes = settings::wishes_of(&args.settings_dir, switch);
    let boot_id = kernel::boot_id().map_err(anyhow::Error::from)?;
    let last = LastLook::at_start(&store, &boot_id, &args.pin_dir);
    let options = Options { pin_dir: args.pin_dir, proc: args.proc, ueids: args.ueids };
    let told = node::dry_run::dry_run(&options, &Asked::new(wishes, None, &options), last)?;
    stdout().write_all(told.as_bytes()).context("cannot write to standard output")
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
fn listen(runtime: &Runtime) -> Result<Shutdown> {
    let _context = runtime.enter();
    Shutdown::listen().context("cannot listen for SIGTERM and SIGINT")
}

pub(crate) fn uninstall(args: UninstallArgs) -> Result<()> {
    let runtime = runtime()?;
    let UninstallArgs { state_dir, pin_dir, proc, conf_dir, provenance_dir, kubeconfig, node_name } = args;
    let api = Some(Source::new(kubeconfig)).filter(Source::exists);
    let options = uninstall::Options { pin_dir, proc, conf_dir, provenance_dir, api, node_name };
    let store = Store::new(state_dir);
    let _sole = runtime.block_on(sole::take(&store, Work::Uninstall))?;
    let undone = runtime.block_on(uninstall::uninstall(&store, &options));
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
        tell_kubelet(&undone.left);
        return Ok(());
    }
    bail!(
        "{} things could not be undone; run it again when what stands in the way is gone: {}",
        undone.problems.len(),
        undone.problems.join("; ")
    )
}

/// Says what is left also where `kubectl describe pod` shows it. Outside of a pod there is no such file.
fn tell_kubelet(left: &[String]) {
    if left.is_empty() {
        return;
    }
    if let Ok(mut file) = OpenOptions::new().append(true).open(TERMINATION_LOG) {
        // It is in the log, too.
        let _ = writeln!(file, "left in place: {}", left.join("\nleft in place: "));
    }
}

pub(crate) fn pause() -> Result<()> {
    let runtime = runtime()?;
    let mut shutdown = listen(&runtime)?;
    runtime.block_on(shutdown.wanted());
    Ok(())
}

pub(crate) fn install(args: InstallArgs) -> Result<()> {
    let options = args.chain.options(Path::new(DEFAULT_STATE_DIR))?;
    // Asked before anything is written; one that does not run yet will look where it is told.
    match runtime()?.block_on(LoadedByRuntime::at(args.cri_socket).loaded_chain()) {
        Ok(theirs) => {
            if let Some(elsewhere) = theirs.looks_elsewhere(&options.conf_dir, &options.bin_dir) {
                return Err(elsewhere.into());
            }
        }
        Err(error) => tracing::info!("where the container runtime looks for plugins is not known: {error}"),
    }
    let installed = chain::install_once(options)?;
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
