//! The command line of `rig`.

use clap::{Parser, Subcommand};
use xtask::rig::{Kernel, RigName};

/// Emulated Kubernetes nodes with SMC and RDMA, on this machine.
///
/// Each node is a virtual machine (QEMU, no KVM needed) with this machine's own programs, a real containerd, a CNI
/// chain shaped like Terway's, and a NIC that can do RDMA (soft-RoCE). There is no kubelet and no API server: `rig pod`
/// asks containerd for a pod in the way the kubelet would.
#[derive(Debug, Parser)]
#[command(name = "rig", after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Which rig; rigs of different names can be up side by side
    #[arg(long, global = true, default_value = "default", env = "KUBE_SMC_RIG")]
    pub(crate) name: RigName,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  hack/rig up --bare                 two nodes without kube-smc, in about 20 s
  hack/rig exec 1 -- rdma link       a command on node 1, as root
  hack/rig down                      end both";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Boot the nodes and leave them running
    Up {
        /// Linux of the nodes; 6.1 cannot convert TCP sockets to SMC
        #[arg(long, value_enum, default_value_t)]
        kernel: Kernel,
        /// How many nodes
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
        nodes: u8,
        /// Do not install and start kube-smc on the nodes
        #[arg(long)]
        bare: bool,
    },
    /// End the nodes and forget everything about them
    Down {
        /// Every rig, whatever its name
        #[arg(long)]
        all: bool,
    },
    /// Run a command on a node, as root, with this terminal's input and output
    Exec {
        /// 1 or 2
        node: u8,
        /// The command and its arguments
        #[arg(last = true, required = true, value_name = "CMD")]
        argv: Vec<String>,
    },
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
    fn options_of_a_command_to_run_are_its_own() {
        let cli = Cli::try_parse_from(["rig", "exec", "1", "--", "ls", "--name", "-l"]).unwrap();
        assert_eq!(cli.name, RigName::default());
        let Command::Exec { node, argv } = cli.command else { panic!("not exec") };
        assert_eq!((node, argv), (1, ["ls", "--name", "-l"].map(String::from).to_vec()));
    }

    #[test]
    fn a_rig_has_one_or_two_nodes() {
        assert!(Cli::try_parse_from(["rig", "up", "--nodes", "2", "--kernel", "6.1"]).is_ok());
        for nodes in ["0", "3", "x"] {
            assert!(Cli::try_parse_from(["rig", "up", "--nodes", nodes]).is_err(), "{nodes}");
        }
    }

    #[test]
    fn a_command_to_run_is_required() {
        assert!(Cli::try_parse_from(["rig", "exec", "1"]).is_err());
        assert!(Cli::try_parse_from(["rig", "exec", "1", "--"]).is_err());
    }
}
