//! What the agent and `smcctl doctor` find wrong with a node or a pod that was not refused.

use super::policy::{Converted, Policy};
use super::{Cause, Entry};

/// NeedsRestart.
pub static NEEDS_RESTART: Entry = Entry {
    name: "NeedsRestart",
    kernel: None,
    seen: "programs of the pod listen on sockets that are older than its conversion",
    meaning: "everything is in place for new sockets; what those programs accept stays TCP until they are restarted",
    causes: &[Cause {
        what: "the pod started while smc-cni was not in the chain, and was set up where it ran",
        check: "`smcctl pod POD`: ports and processes",
    }],
    remedy: "restart the programs, or the pod",
    policy: Policy::ONLY_TOLD,
};

/// Degraded.
pub static DEGRADED: Entry = Entry {
    name: "Degraded",
    kernel: None,
    seen: "connections to peers that should speak SMC-R all fall back",
    meaning: "the pod is set up, and yet its connections to accelerated pods on other nodes are TCP",
    causes: &[Cause {
        what: "the kernel's reason says which side",
        check: "`smcctl pod POD`; `smcctl conns --pod POD`; `smcctl explain` with the code",
    }],
    remedy: "do what the fallback's own reason says",
    policy: Policy::ONLY_TOLD,
};

/// PeerLostSmc.
pub static PEER_LOST_SMC: Entry = Entry {
    name: "PeerLostSmc",
    kernel: None,
    seen: "a peer that spoke SMC a short while ago does not offer it now",
    meaning: "something changed at the peer or on the way to it, and new connections to it are TCP. All that this end sees is \
              that the peer's SYN or SYN-ACK lacks option 254; it looks the same whether the peer did not send the option or \
              something in between took it out, so only a look at both ends tells these causes apart",
    causes: &[
        Cause {
            what: "the peer's set-up was taken away (ConversionLost there), or its node's feature switched off",
            check: "`smcctl pod POD` and `smcctl doctor` on the peer's node",
        },
        Cause {
            what: "the peer does not let this pod speak SMC with it: its annotation inbound-peers, or its node's settings, name other ranges",
            check: "`kubectl get pod POD -o yaml` of the peer; `smcctl doctor` on its node, line inbound peers",
        },
        Cause {
            what: "a middlebox (firewall, load balancer, proxy) strips TCP option 254",
            check: "`tcpdump -vni eth0 'tcp[tcpflags] & tcp-syn != 0'` in both pods: unknown-254 leaves one and does not arrive at the other",
        },
        Cause {
            what: "a program listens there now whose socket was made before the conversion, or that uses TCP fast open",
            check: "`smcctl pod POD` on the peer's node says needs-restart or FastOpen",
        },
    ],
    remedy: "see the peer's node; if the peer is well, let what is in between pass TCP option 254; nothing is to be done if SMC was switched off there on purpose",
    policy: Policy::ONLY_TOLD,
};

/// NotSetUp.
pub static NOT_SET_UP: Entry = Entry {
    name: "NotSetUp",
    kernel: None,
    seen: "an annotated pod runs, and nothing is known of it here",
    meaning: "neither the plugin nor the agent has set the pod up, so it runs on TCP",
    causes: &[
        Cause {
            what: "the runtime has not loaded the chain entry",
            check: "`smcctl doctor`, line chain entry",
        },
        Cause {
            what: "smc-agent does not run: it sets up pods that were missed",
            check: "`smcctl status`, line agent",
        },
        Cause {
            what: "the pod uses the host's network",
            check: "`kubectl get pod POD -o jsonpath='{.spec.hostNetwork}'`",
        },
    ],
    remedy: "see the causes; the agent sets missed pods up within 30 s, without a restart",
    policy: Policy::ONLY_TOLD,
};

/// KernelTooOld.
pub static KERNEL_TOO_OLD: Entry = Entry {
    name: "KernelTooOld",
    kernel: None,
    seen: "the kernel is older than the oldest that can be used",
    meaning: "pods of this node stay on TCP, or work less well than they could",
    causes: &[Cause {
        what: "the node's image is old",
        check: "`uname -r`: 5.10.134-17.3 (Alibaba Cloud Linux 3) or 6.11 (mainline) is the oldest",
    }],
    remedy: "use a newer node image",
    policy: Policy::ONLY_TOLD,
};

/// SmcDiagMissing.
pub static SMC_DIAG_MISSING: Entry = Entry {
    name: "SmcDiagMissing",
    kernel: None,
    seen: "the module smc_diag is not loaded",
    meaning: "pods are accelerated all the same, but their connections cannot be listed, so verdicts say less",
    causes: &[
        Cause {
            what: "the kernel was built without CONFIG_SMC_DIAG",
            check: "`modinfo smc_diag`: not found",
        },
        Cause {
            what: "the module is there, and may not be loaded",
            check: "`modprobe smc_diag`; `grep -r smc_diag /etc/modprobe.d`",
        },
    ],
    remedy: "load smc_diag on the node; smc-agent does so where the kernel allows",
    policy: Policy::ONLY_TOLD,
};

/// ConversionLost.
pub static CONVERSION_LOST: Entry = Entry {
    name: "ConversionLost",
    kernel: None,
    seen: "an annotated pod's new sockets are TCP again",
    meaning: "somebody switched the conversion off after the pod had been set up",
    causes: &[
        Cause {
            what: "net.smc.tcp2smc was set to 0 in the pod",
            check: "`sysctl net.smc.tcp2smc` in the pod",
        },
        Cause {
            what: "the BPF program was unpinned, or the pod's namespace taken out of its map",
            check: "`smcctl doctor`, line conversion; `bpftool map dump pinned` of the map",
        },
    ],
    remedy: "find out who did (`smcctl doctor`, line other managers); the agent sets the pod up again within a minute",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// PnetidLost.
pub static PNETID_LOST: Entry = Entry {
    name: "PnetidLost",
    kernel: None,
    seen: "a pod's interface has lost its PNETID",
    meaning: "the kernel finds no RDMA device for the pod's connections, so they fall back (NoSmcDevice)",
    causes: &[Cause {
        what: "somebody flushed the PNET table in the pod, or deleted the entry",
        check: "`smcctl pod POD`, lines PNETID; does a manager of eRDMA devices enter pods (`smcctl doctor`, line other managers)?",
    }],
    remedy: "find out who did; the agent sets the pod up again within a minute",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// PnetidMismatch.
pub static PNETID_MISMATCH: Entry = Entry {
    name: "PnetidMismatch",
    kernel: None,
    seen: "a pod's interface bears another PNETID than its RDMA port",
    meaning: "the kernel finds no RDMA device for the pod's connections, so they fall back (NoSmcDevice). PNETIDs that differ \
              between two nodes are no fault: only those of one node must agree",
    causes: &[Cause {
        what: "somebody gave the pod's interface another one",
        check: "`smcctl pod POD`, lines PNETID; does a manager of eRDMA devices enter pods (`smcctl doctor`, line other managers)?",
    }],
    remedy: "find out who did; the agent sets the pod up again within a minute",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// UeidsDiffer.
pub static UEIDS_DIFFER: Entry = Entry {
    name: "UeidsDiffer",
    kernel: None,
    seen: "this node and the peer's have no UEID in common",
    meaning: "SMC-R v2 peers must share an enterprise id (UEID); the server's side declines a proposal with none of its own. It \
              has no code of its own for that: this is what remains when all else is in order",
    causes: &[
        Cause {
            what: "the agents of the two nodes are told different UEIDs (--ueid)",
            check: "`smcctl status` on both nodes, line UEIDs; the agent's arguments",
        },
        Cause {
            what: "the peer's node has no UEID at all, and no agent that adds it",
            check: "`smcctl doctor` on the peer's node, line UEID",
        },
        Cause {
            what: "somebody manages UEIDs by hand (smc_dbg, smcr ueid)",
            check: "`smcr ueid show` on both nodes",
        },
    ],
    remedy: "give both nodes a common UEID: run smc-agent on both with the same --ueid, or with none (SMCV2-DEFAULT-UEID)",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// RdmaDeviceGone.
pub static RDMA_DEVICE_GONE: Entry = Entry {
    name: "RdmaDeviceGone",
    kernel: None,
    seen: "the RDMA device that served the pod is gone, and others are there",
    meaning: "the pod's interface bears the PNETID of that device, so the kernel uses none of the others for it",
    causes: &[
        Cause {
            what: "the device was detached from the instance, or unbound from its driver",
            check: "`rdma link`; `dmesg`; on Alibaba Cloud: the instance's network interfaces",
        },
        Cause { what: "the driver was unloaded", check: "`lsmod | grep -E 'erdma|mlx5_ib|rdma_rxe'`" },
    ],
    remedy: "attach the device again: new connections use it at once; or restart the pod, which is then set up for another device",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// Ipv6Socket.
pub static IPV6_SOCKET: Entry = Entry {
    name: "Ipv6Socket",
    kernel: None,
    seen: "the program connects from an IPv6 socket",
    meaning: "SMC-R v2 is offered by AF_INET sockets only, also when the address is an IPv4 one in IPv6 form (::ffff:10.0.0.1). \
              Servers are not concerned: what an IPv6 listener accepts can be SMC-R",
    causes: &[
        Cause {
            what: "the program, or its runtime, opens dual-stack sockets for all connections (Java does so by default)",
            check: "`smcctl conns --pod POD`; Java: is -Djava.net.preferIPv4Stack=true among its options?",
        },
        Cause {
            what: "the peer's name resolves to an IPv6 address",
            check: "`getent ahosts NAME` in the pod",
        },
    ],
    remedy: "let the program use IPv4 sockets (Java: -Djava.net.preferIPv4Stack=true) and IPv4 addresses",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// ChainEntryMissing.
pub static CHAIN_ENTRY_MISSING: Entry = Entry {
    name: "ChainEntryMissing",
    kernel: None,
    seen: "no entry of smc-cni in the CNI configuration",
    meaning: "annotated pods start on TCP; the agent sets them up afterwards, if it runs",
    causes: &[
        Cause {
            what: "another writer of the file took it out, and the agent does not run",
            check: "`ls -l /etc/cni/net.d`; `smcctl status`, line agent",
        },
        Cause {
            what: "smc-agent runs with --chain off or managed",
            check: "the agent's arguments; with Terway: key 10-terway.conflist of ConfigMap eni-config",
        },
    ],
    remedy: "run smc-agent, or add the entry to the list's source",
    policy: Policy::ONLY_TOLD,
};

/// ChainEntryNotLoaded.
pub static CHAIN_ENTRY_NOT_LOADED: Entry = Entry {
    name: "ChainEntryNotLoaded",
    kernel: None,
    seen: "the container runtime has not loaded the entry of smc-cni",
    meaning: "the file is right and the runtime uses an older state of it: new pods are set up only after their start",
    causes: &[Cause {
        what: "the runtime lost sight of its configuration directory",
        check: "`crictl info`: cniconfig; the runtime's log",
    }],
    remedy: "restart the container runtime (running pods stay)",
    policy: Policy::ONLY_TOLD,
};

/// PluginMissing.
pub static PLUGIN_MISSING: Entry = Entry {
    name: "PluginMissing",
    kernel: None,
    seen: "the chain has an entry of smc-cni, and the program is not there",
    meaning: "the runtime cannot start any pod on this node: it calls every program of the chain",
    causes: &[Cause {
        what: "the program was removed from /opt/cni/bin",
        check: "`ls -l /opt/cni/bin/smc-cni`",
    }],
    remedy: "start smc-agent, which puts it there, or run `smc-agent install`",
    policy: Policy::ONLY_TOLD,
};

/// ForeignPnetid.
pub static FOREIGN_PNETID: Entry = Entry {
    name: "ForeignPnetid",
    kernel: None,
    seen: "somebody else set the RDMA port's PNETID",
    meaning: "kube-smc uses the id as it is and never changes it; who set it may change it again. Pods that were set up with \
              another one are TCP until the agent has set them up with this one, which takes it seconds",
    causes: &[
        Cause {
            what: "Alibaba's erdma-controller or Terway set it: the id is the MAC address in capitals",
            check: "`kubectl get pods -A | grep -E 'erdma|terway'`",
        },
        Cause {
            what: "an administrator used smc_pnet, or the hardware brings it",
            check: "`smc_pnet`; `smcctl status`, lines ports",
        },
    ],
    remedy: "nothing, if one manager is enough; else see that only one of them changes it",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// QueuePairsLow.
pub static QUEUE_PAIRS_LOW: Entry = Entry {
    name: "QueuePairsLow",
    kernel: None,
    seen: "the RDMA device's queue pairs are nearly used up",
    meaning: "connections to further peers fall back to TCP (InternalError, OutOfMemory) when none is left",
    causes: &[Cause {
        what: "many accelerated pods with many peers each: every pair of pods needs a queue pair at both ends",
        check: "`smcctl capacity`",
    }],
    remedy: "spread the pods over more nodes, annotate fewer, or use an instance type with more queue pairs",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// NodePortsOnPodAddresses.
pub static NODE_PORTS_ON_POD_ADDRESSES: Entry = Entry {
    name: "NodePortsOnPodAddresses",
    kernel: None,
    seen: "kube-proxy in IPVS mode takes accelerated pods' addresses for the node's own",
    meaning: "every node port gets a virtual server for each accelerated pod of the node: kube-proxy has more to do, and what the \
              node itself sends to such a pod at a node port's number goes to the Service instead; pods are not concerned",
    causes: &[Cause {
        what: "on mainline kernels the pods' addresses stand on the link kubesmc0, and kube-proxy uses every address of every \
               link for node ports, unless it is told which to use",
        check: "`grep -c ^TCP /proc/net/ip_vs` on the node; `ip address show dev kubesmc0`",
    }],
    remedy: "tell kube-proxy the range of the nodes' own addresses (nodePortAddresses in its configuration, or \
             --nodeport-addresses), without the pods', and restart it",
    policy: Policy::ONLY_TOLD,
};

/// MemoryLow.
pub static MEMORY_LOW: Entry = Entry {
    name: "MemoryLow",
    kernel: None,
    seen: "the node is short of memory for SMC's buffers",
    meaning: "every SMC-R connection pins two buffers; without memory for them it falls back (OutOfMemory)",
    causes: &[Cause {
        what: "many connections, or large buffers",
        check: "`smcctl conns`; `sysctl net.smc` in the pods: wmem, rmem",
    }],
    remedy: "lower net.smc.wmem and net.smc.rmem in the pods, or run fewer of them here",
    policy: Policy::ONLY_TOLD,
};

/// DriverMode.
pub static DRIVER_MODE: Entry = Entry {
    name: "DriverMode",
    kernel: None,
    seen: "the eRDMA driver is in a mode in which SMC-R is not supported",
    meaning: "Alibaba supports SMC-R with the driver's default mode only (compat_mode=N)",
    causes: &[Cause {
        what: "the driver was installed for GPU nodes (ofed) or in compat mode",
        check: "`cat /sys/module/erdma/parameters/compat_mode`; driver in erdma-controller's configuration",
    }],
    remedy: "set the driver of erdma-controller to default and let it load erdma again",
    policy: Policy::ONLY_TOLD,
};

/// ReservedPortsTaken.
pub static RESERVED_PORTS_TAKEN: Entry = Entry {
    name: "ReservedPortsTaken",
    kernel: None,
    seen: "a program uses one of the ports 65500 to 65515",
    meaning: "on Alibaba's kernel SMC over eRDMA needs these 16 TCP ports in every namespace; while one is taken, the module does not load, or no namespace can be made",
    causes: &[
        Cause {
            what: "a program listens there, or the kernel gave the port to a connection",
            check: "`ss -tanp 'sport >= 65500 and sport <= 65515'`",
        },
        Cause { what: "the ports are not reserved", check: "`sysctl net.ipv4.ip_local_reserved_ports`" },
    ],
    remedy: "add 65500-65515 to net.ipv4.ip_local_reserved_ports and move the program to another port",
    policy: Policy::ONLY_TOLD,
};

/// RdmaMtu.
pub static RDMA_MTU: Entry = Entry {
    name: "RdmaMtu",
    kernel: None,
    seen: "an RDMA network device has a small MTU",
    meaning: "RDMA messages are cut into small packets; where the two nodes' MTUs differ, packets can be lost, and connections end with RdmaTimeout",
    causes: &[Cause {
        what: "the network device's MTU was lowered, or never raised to the network's",
        check: "`ip link` on all nodes",
    }],
    remedy: "set the same MTU, 1500 or more, on the RDMA network devices of all nodes, and make the RDMA device anew",
    policy: Policy::ONLY_TOLD,
};

/// AnyPeerAllowed.
pub static ANY_PEER_ALLOWED: Entry = Entry {
    name: "AnyPeerAllowed",
    kernel: None,
    seen: "whoever reaches an accelerated pod may speak SMC with it",
    meaning: "the listeners of an accelerated pod answer SMC's handshake, which is code in the node's kernel, to everybody who can reach \
              their ports and offers it; network policies decide about that as about any connection",
    causes: &[Cause {
        what: "nobody said who may: neither the ConfigMap smc-settings for all pods nor a pod's annotation for its own",
        check: "`kubectl get configmap -n kube-system smc-settings -o yaml`: inbound-peers",
    }],
    remedy: "give the ConfigMap smc-settings, in your overlay, the key inbound-peers with the ranges of your pods and nodes; it is in force \
             two minutes later at the latest, when kubelet has it",
    policy: Policy::ONLY_TOLD,
};

/// KnownKernelDefects.
pub static KNOWN_KERNEL_DEFECTS: Entry = Entry {
    name: "KnownKernelDefects",
    kernel: None,
    seen: "the kernel's SMC has, or may have, defects that public records name",
    meaning: "whoever may speak SMC with a pod reaches SMC's code in the kernel; pods are accelerated all the same",
    causes: &[
        Cause {
            what: "the kernel is older than the one in which the records say that it was mended",
            check: "`uname -r` against the records that `smcctl doctor` names",
        },
        Cause {
            what: "it is a vendor's kernel, which may be mended without its release telling so",
            check: "the vendor's security notices",
        },
    ],
    remedy: "update the node's kernel; say in the ConfigMap smc-settings who may speak SMC (inbound-peers), or that no pod shall be \
             accelerated with such a kernel (known-defects: refuse)",
    policy: Policy::ONLY_TOLD,
};

pub(super) static ALL: &[&Entry] = &[
    &NEEDS_RESTART,
    &DEGRADED,
    &PEER_LOST_SMC,
    &NOT_SET_UP,
    &KERNEL_TOO_OLD,
    &SMC_DIAG_MISSING,
    &CONVERSION_LOST,
    &PNETID_LOST,
    &PNETID_MISMATCH,
    &UEIDS_DIFFER,
    &RDMA_DEVICE_GONE,
    &IPV6_SOCKET,
    &CHAIN_ENTRY_MISSING,
    &CHAIN_ENTRY_NOT_LOADED,
    &PLUGIN_MISSING,
    &FOREIGN_PNETID,
    &QUEUE_PAIRS_LOW,
    &NODE_PORTS_ON_POD_ADDRESSES,
    &ANY_PEER_ALLOWED,
    &KNOWN_KERNEL_DEFECTS,
    &MEMORY_LOW,
    &DRIVER_MODE,
    &RESERVED_PORTS_TAKEN,
    &RDMA_MTU,
];
