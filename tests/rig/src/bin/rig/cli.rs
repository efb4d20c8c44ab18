//! The command line of `rig`.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use rig::host::{ContainerSpec, Conversion, Kernel, Link, MAIN_CONTAINER, PodSpec, RigName};

/// Emulated Kubernetes nodes with SMC and RDMA, on this machine.
///
/// Each node is a virtual machine (QEMU, no KVM needed) with this machine's own programs, a real containerd, a CNI
/// chain shaped like Terway's, and a NIC that can do RDMA (soft-RoCE). There is no kubelet and no API server here: `rig
/// pod` asks containerd for a pod in the way the kubelet would. With Kubernetes' own programs: hack/cluster.
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
  hack/rig up --bare                                 two nodes without kube-smc
  hack/rig exec 1 -- rdma link                       a command on node 1, as root
  hack/rig pod 1 server -- nginx -g 'daemon off;'    a pod; prints its address
  hack/rig pod 2 client -- sleep infinity
  hack/rig pod-exec 2 client -- curl -s http://10.0.1.1/
  hack/rig pods
  hack/rig reboot 2 --sudden                         as when the power goes
  hack/rig network -- curl -s http://10.0.1.1/     a program of this machine on the nodes' network
  hack/rig down                                      end the nodes and all in them";

const POD_EXAMPLES: &str = "\
Any program of this machine can be the command, also one just built in this repository: the container sees the node's
/usr, /etc and /opt read-only, and has /tmp, /run and /var/log of its own.

Examples:
  hack/rig pod 1 server -- nginx -g 'daemon off;'
  hack/rig pod 1 web --annotate example.com/key=value --cap NET_ADMIN -- sleep infinity
  hack/rig pod 2 host --host-network -- sleep infinity";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Boot the nodes and leave them running
    Up {
        /// Linux of the nodes; 6.1 cannot convert TCP sockets to SMC
        #[arg(long, value_enum, default_value_t)]
        kernel: Kernel,
        /// Boot another kernel, laid out in this directory like those of hack/setup. Without drivers for virtio disks and
        /// ext4 nothing on a node outlives a reboot
        #[arg(long, value_name = "DIR", conflicts_with = "kernel")]
        kernel_dir: Option<PathBuf>,
        /// What converts TCP sockets: the agent's BPF program, or the sysctl of Alibaba's kernel
        #[arg(long, value_enum, default_value_t)]
        conversion: Conversion,
        /// How many nodes
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=3))]
        nodes: u8,
        /// What joins the nodes; a bridge, where this machine allows taps
        #[arg(long, value_enum, default_value_t = Link::of_this_machine())]
        link: Link,
        /// Do not install and start kube-smc on the nodes
        #[arg(long)]
        bare: bool,
        /// Let the nodes' clocks count instructions: exact figures from slower nodes
        #[arg(long)]
        count_instructions: bool,
    },
    /// Reboot a node: its disk, and nothing else, outlives it
    Reboot {
        /// 1, 2 or 3
        node: u8,
        /// Cut its power instead of telling its programs to end
        #[arg(long)]
        sudden: bool,
    },
    /// Boot one more node
    AddNode {
        /// 2 or 3
        node: u8,
    },
    /// End a node, and its disk with it
    RemoveNode {
        /// 1, 2 or 3
        node: u8,
    },
    /// Run a program of this machine on the nodes' network, where it reaches nodes and pods (it has 10.0.0.1)
    Network {
        #[command(flatten)]
        command: CommandLine,
    },
    /// End the nodes and forget everything about them
    Down {
        /// Every rig, whatever its name
        #[arg(long)]
        all: bool,
    },
    /// Run a command on a node, as root, with this terminal's input and output
    Exec {
        /// 1, 2 or 3
        node: u8,
        #[command(flatten)]
        command: CommandLine,
    },
    /// Start a pod on a node and print its address
    #[command(after_help = POD_EXAMPLES)]
    Pod {
        /// 1, 2 or 3
        node: u8,
        /// The pod's name
        pod: String,
        /// The pod's Kubernetes namespace
        #[arg(long, default_value = "default")]
        namespace: String,
        /// An annotation; can be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
        annotate: Vec<(String, String)>,
        /// Run it in the node's own network namespace
        #[arg(long, conflicts_with = "ip")]
        host_network: bool,
        /// Give it this address instead of the next free one
        #[arg(long)]
        ip: Option<Ipv4Addr>,
        #[command(flatten)]
        container: ContainerArguments,
    },
    /// Add a container, such as a sidecar, to a running pod
    Container {
        /// 1, 2 or 3
        node: u8,
        /// The pod's name
        pod: String,
        /// The new container's name
        container: String,
        #[command(flatten)]
        arguments: ContainerArguments,
    },
    /// Run a command in a pod's container and show what it wrote when it has ended
    PodExec {
        /// 1, 2 or 3
        node: u8,
        /// The pod's name
        pod: String,
        /// Which of its containers
        #[arg(long, default_value = MAIN_CONTAINER)]
        container: String,
        #[command(flatten)]
        command: CommandLine,
    },
    /// Show what a pod's container has written so far
    PodLogs {
        /// 1, 2 or 3
        node: u8,
        /// The pod's name
        pod: String,
        /// Which of its containers
        #[arg(long, default_value = MAIN_CONTAINER)]
        container: String,
    },
    /// List the pods of all nodes
    Pods {
        /// With everything that is known, for programs
        #[arg(long)]
        json: bool,
    },
    /// Stop and remove a pod
    Rm {
        /// 1, 2 or 3
        node: u8,
        /// The pod's name
        pod: String,
    },
    /// Show a node's logs: serial console, containerd, kube-smc
    Logs {
        /// 1, 2 or 3
        node: u8,
    },
}

/// A command to run somewhere.
#[derive(Debug, Args)]
pub(crate) struct CommandLine {
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) argv: Vec<String>,
}

/// What a container is given.
#[derive(Debug, Args)]
pub(crate) struct ContainerArguments {
    /// A capability, such as NET_ADMIN; can be repeated
    #[arg(long, value_name = "CAPABILITY")]
    cap: Vec<String>,
    /// A directory of the node to mount, writable; can be repeated
    #[arg(long, value_name = "SRC:DST", value_parser = mount)]
    mount: Vec<(PathBuf, PathBuf)>,
    /// An environment variable; can be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    #[command(flatten)]
    command: CommandLine,
}

impl ContainerArguments {
    /// The container they describe.
    pub(crate) fn to_container(&self, name: &str) -> ContainerSpec {
        let mut container = ContainerSpec::new(name, &self.command.argv);
        for (name, value) in &self.env {
            container = container.env(name, value);
        }
        for (source, destination) in &self.mount {
            container = container.mount(source, destination);
        }
        self.cap.iter().fold(container, |container, capability| container.capability(capability))
    }

    /// A pod whose first container they describe.
    pub(crate) fn to_pod(&self, name: &str) -> PodSpec {
        PodSpec::with_container(name, self.to_container(MAIN_CONTAINER))
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn mount(text: &str) -> Result<(PathBuf, PathBuf), String> {
    match text.split_once(':') {
        Some((source, destination)) if source.starts_with('/') && destination.starts_with('/') => {
            Ok((source.into(), destination.into()))
        }
        _ => Err("expected SRC:DST, two absolute paths".to_owned()),
    }
}

#[cfg(test)]
mod tests;
