//! The command `cluster`: the rig's nodes as a Kubernetes cluster, by hand.
#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use rig::cluster::{Cluster, ClusterOptions, ProxyMode};
use rig::host::{Rig, RigName};

/// A real Kubernetes on emulated nodes with SMC and RDMA, on this machine.
///
/// The control plane, kubelets and kube-proxies are Kubernetes' own programs; the nodes are those of hack/rig, so
/// `hack/rig --name cluster exec 1 -- CMD` works on them, too. kube-smc's image is on the nodes, kube-smc is not installed.
#[derive(Debug, Parser)]
#[command(name = "cluster", after_help = EXAMPLES)]
struct Cli {
    /// Which cluster; clusters and rigs of different names can be up side by side
    #[arg(long, global = true, default_value = "cluster", env = "KUBE_SMC_CLUSTER")]
    name: RigName,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  hack/cluster up
  hack/cluster kubectl get nodes
  hack/cluster kubectl apply -k daemonset/manifests
  hack/cluster kubectl apply -k daemonset/examples/fortio
  hack/cluster down                                  end everything";

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the cluster up and leave it running
    Up {
        /// How many nodes
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=3))]
        nodes: u8,
        /// How kube-proxy does Services
        #[arg(long, value_enum, default_value_t)]
        proxy: ProxyMode,
        /// Give nodes and pods IPv6 addresses, too
        #[arg(long)]
        dual_stack: bool,
        /// A directory with programs of the cluster (hack/cluster gives them); can be repeated
        #[arg(long, required = true)]
        programs: Vec<PathBuf>,
        /// An archive of images for every node (hack/cluster gives kube-smc's and the examples'); can be repeated
        #[arg(long = "image")]
        images: Vec<PathBuf>,
        /// The directory with the programs of containerd 2, instead of this machine's own containerd (hack/cluster gives
        /// it)
        #[arg(long)]
        containerd: Option<PathBuf>,
    },
    /// Run kubectl as the cluster's administrator
    #[command(disable_help_flag = true)]
    Kubectl {
        /// What kubectl is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Show the end of what the control plane and the nodes' kubelet, kube-proxy and containerd have said
    Logs {
        /// How many lines of each
        #[arg(long, default_value_t = 30)]
        lines: usize,
    },
    /// End the cluster and forget everything about it
    Down,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Up { nodes, proxy, dual_stack, programs, images, containerd } => {
            let begin = Instant::now();
            let say = |line: &str| {
                let _ = writeln!(io::stderr(), "{:6.1} s  {line}", begin.elapsed().as_secs_f32());
            };
            let find =
                |path: PathBuf| path.canonicalize().with_context(|| format!("find {}", path.display()));
            let programs = programs.into_iter().map(find).collect::<anyhow::Result<_>>()?;
            say(&format!("starting the control plane and booting {nodes} node(s)"));
            let name = cli.name;
            let options = ClusterOptions { name, nodes, programs, images, containerd, proxy, dual_stack };
            let mut cluster = Cluster::up(&options, &say)?;
            cluster.rig_mut().keep();
            say("the cluster is up: hack/cluster kubectl get nodes");
        }
        Command::Kubectl { arguments } => {
            let cluster = Cluster::attach(&cli.name)?;
            let mut kubectl = cluster.kubectl();
            let child = cluster.rig().network().spawn(kubectl.args(arguments))?;
            let status = child.and_then(|mut child| child.wait()).context("run kubectl")?;
            let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
        }
        Command::Logs { lines } => write!(io::stdout(), "{}", Cluster::attach(&cli.name)?.logs(lines))?,
        Command::Down => {
            let nodes = Rig::down(&cli.name)?;
            writeln!(io::stderr(), "cluster {:?} is down ({nodes} node(s) ended)", cli.name.as_str())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn kubectls_options_are_its_own() {
        let cli = Cli::try_parse_from(["cluster", "kubectl", "get", "pods", "-A", "--help"]).unwrap();
        let Command::Kubectl { arguments } = cli.command else { panic!("not kubectl") };
        assert_eq!(arguments, ["get", "pods", "-A", "--help"]);
    }
}
