//! Why an annotated pod was refused, see [`crate::Reason`].

use super::policy::{Converted, Failing, Lasts, Policy, Required};
use super::{Cause, Entry};

/// AnnotationInvalid.
pub static ANNOTATION_INVALID: Entry = Entry {
    name: "AnnotationInvalid",
    kernel: None,
    seen: "the annotation is neither \"true\" nor \"false\"",
    meaning: "Kubernetes annotations are strings; kube-smc does not guess what was meant",
    causes: &[Cause {
        what: "a value such as \"True\", \"yes\" or \"1\"",
        check: "`kubectl get pod POD -o yaml`: smc.asm.alibabacloud.com/enabled, and /keep-mptcp",
    }],
    remedy: "set the annotation to \"true\" or \"false\" and restart the pod",
    policy: Policy { lasts: Lasts::AsLongAsThePod, ..Policy::of_a_refusal(Converted::Ends) },
};

/// AnnotationMisspelt.
pub static ANNOTATION_MISSPELT: Entry = Entry {
    name: "AnnotationMisspelt",
    kernel: None,
    seen: "the annotation's key is misspelt",
    meaning: "the key differs from smc.asm.alibabacloud.com/enabled, /inbound-peers or /keep-mptcp by a letter or two; kube-smc does not guess \
              what was meant, and leaves the pod on TCP",
    causes: &[Cause {
        what: "a letter is wrong, missing, too many, or a capital",
        check: "`kubectl get pod POD -o jsonpath='{.metadata.annotations}'`: smc.asm.alibabacloud.com/enabled",
    }],
    remedy: "correct the key in the pod's template to the one that is named, or remove it",
    policy: Policy {
        lasts: Lasts::AsLongAsThePod,
        required: Required::ByTheKey,
        ..Policy::of_a_refusal(Converted::Ends)
    },
};

/// InboundPeersInvalid.
pub static INBOUND_PEERS_INVALID: Entry = Entry {
    name: "InboundPeersInvalid",
    kernel: None,
    seen: "who may speak SMC with the pod cannot be read",
    meaning: "the annotation smc.asm.alibabacloud.com/inbound-peers is no list of ranges; kube-smc does not guess what was meant, and \
              leaves the pod on TCP",
    causes: &[Cause {
        what: "a word that is no address, a range with bits behind its prefix, or no range at all",
        check: "`kubectl get pod POD -o jsonpath='{.metadata.annotations}'`: smc.asm.alibabacloud.com/inbound-peers",
    }],
    remedy: "write ranges and addresses with commas, such as \"10.0.0.0/8, fd00::/8\", in the pod's template, or take the annotation off",
    policy: Policy { lasts: Lasts::AsLongAsThePod, ..Policy::of_a_refusal(Converted::Ends) },
};

/// KernelDefects.
pub static KERNEL_DEFECTS: Entry = Entry {
    name: "KernelDefects",
    kernel: None,
    seen: "this kernel's SMC has known defects, and the settings say that no pod shall be accelerated with them",
    meaning: "converting a pod opens its listeners to SMC's handshake code in the kernel; the setting known-defects: refuse keeps pods \
              of such a node on TCP",
    causes: &[Cause {
        what: "the kernel is older than the one in which public records say that it was mended",
        check: "`smcctl doctor`, line known defects",
    }],
    remedy: "update the node's kernel, or take known-defects: refuse out of the ConfigMap smc-settings",
    policy: Policy::of_a_refusal(Converted::Ends),
};

/// PeerFilterMissing.
pub static PEER_FILTER_MISSING: Entry = Entry {
    name: "PeerFilterMissing",
    kernel: None,
    seen: "who may speak SMC with the pod was said, and cannot be enforced",
    meaning: "offers of everybody else are taken out by a BPF program at the pod's interface; without it everybody who reaches the pod \
              could speak SMC with it, so it stays on TCP",
    causes: &[
        Cause {
            what: "the program cannot be loaded on this node",
            check: "`kubectl logs -n kube-system ds/smc-agent`; `smcctl doctor`, line inbound peers",
        },
        Cause {
            what: "the kernel has no clsact (modules sch_ingress and cls_bpf)",
            check: "`modprobe sch_ingress cls_bpf` on the node",
        },
    ],
    remedy: "do what the agent's log says; or take the ranges out of the ConfigMap smc-settings and off the pod",
    policy: Policy::of_a_refusal(Converted::Ends),
};

/// BandwidthLimited.
pub static BANDWIDTH_LIMITED: Entry = Entry {
    name: "BandwidthLimited",
    kernel: None,
    seen: "the pod has a bandwidth limit",
    meaning: "the limit is kept at the pod's network interface, which RDMA does not pass: over SMC-R the pod would have as much of \
              the node's network as there is",
    causes: &[Cause {
        what: "kubernetes.io/ingress-bandwidth, kubernetes.io/egress-bandwidth, or one of k8s.aliyun.com",
        check: "`kubectl get pod POD -o jsonpath='{.metadata.annotations}'`",
    }],
    remedy: "take the limit off, or, where it need not hold for SMC-R, annotate the pod with smc.asm.alibabacloud.com/unlimited: \
             \"true\"; and restart it",
    policy: Policy { lasts: Lasts::AsLongAsThePod, ..Policy::of_a_refusal(Converted::Ends) },
};

/// HostNetworkPod.
pub static HOST_NETWORK_POD: Entry = Entry {
    name: "HostNetworkPod",
    kernel: None,
    seen: "an annotated pod uses the host's network",
    meaning: "no CNI plugin is called for such a pod, and converting the host's namespace would convert the whole node",
    causes: &[Cause {
        what: "hostNetwork: true in the pod's specification",
        check: "`kubectl get pod POD -o jsonpath='{.spec.hostNetwork}'`",
    }],
    remedy: "give the pod a network of its own, or take the annotation off",
    policy: Policy { lasts: Lasts::AsLongAsThePod, ..Policy::of_a_refusal(Converted::Stays) },
};

/// OwnKernel.
pub static OWN_KERNEL: Entry = Entry {
    name: "OwnKernel",
    kernel: None,
    seen: "an annotated pod runs on a kernel of its own",
    meaning: "its programs' sockets are not this node's kernel's, which could convert none of them",
    causes: &[Cause {
        what: "runtimeClassName in the pod's specification names a runtime of virtual machines or with a kernel in user space \
               (kata, gVisor), or the node's default runtime is one",
        check: "`kubectl get pod POD -o jsonpath='{.spec.runtimeClassName}'`; `kubectl get runtimeclass`",
    }],
    remedy: "take the annotation off, or run the pod with a runtime that shares the node's kernel (runc, crun)",
    policy: Policy { lasts: Lasts::AsLongAsThePod, ..Policy::of_a_refusal(Converted::Ends) },
};

/// MeshSidecar.
pub static MESH_SIDECAR: Entry = Entry {
    name: "MeshSidecar",
    kernel: None,
    seen: "an annotated pod has a mesh's sidecar, on a kernel where that would not work",
    meaning: "a mesh's rules send all traffic of a pod by its sidecar, and know the sidecar's own connections by its user \
              (`--uid-owner`). On mainline kernels the TCP socket inside an SMC socket has no user yet when it connects: the sidecar \
              would be sent to itself, endlessly, and no request be answered. On TCP the mesh works as ever",
    causes: &[Cause {
        what: "the injector of Istio (ASM), Linkerd, Kuma or Consul gave the pod a sidecar",
        check: "`kubectl get pod POD -o jsonpath='{.metadata.annotations}'`: sidecar.istio.io/status, linkerd.io/proxy-version, \
                kuma.io/sidecar-injected, consul.hashicorp.com/connect-inject-status",
    }],
    remedy: "take the annotation off, or run the pod without a sidecar (Istio: `sidecar.istio.io/inject: \"false\"`), or on nodes with \
             Alibaba Cloud Linux 3, for which ASM offers this (not tried by kube-smc's makers)",
    policy: Policy { lasts: Lasts::AsLongAsThePod, ..Policy::of_a_refusal(Converted::Ends) },
};

/// SwitchedOff.
pub static SWITCHED_OFF: Entry = Entry {
    name: "SwitchedOff",
    kernel: None,
    seen: "acceleration is switched off",
    meaning: "new connections of annotated pods are TCP until it is switched on again; no pod needs a restart for that",
    causes: &[
        Cause {
            what: "ASM's switch is off",
            check: "`kubectl get asmmeshconfig default -o yaml`: smcEnabled under cniConfiguration",
        },
        Cause {
            what: "the agent follows ASM's switch (overlays/ack-asm) in a cluster without ASM",
            check: "`kubectl get crd asmmeshconfigs.istio.alibabacloud.com`; `kubectl describe node`: SMCReady is MeshResourceMissing",
        },
        Cause {
            what: "smc-agent was started with SMC_AGENT_MESH=disabled or --mesh disabled",
            check: "`kubectl -n kube-system describe daemonset smc-agent`, and the ConfigMap that it names",
        },
    ],
    remedy: "nothing, if that is what you want; else set smcEnabled: true under cniConfiguration of the ASMMeshConfig, or, where pods' annotations alone are to decide, apply daemonset/manifests (SMC_AGENT_MESH=enabled)",
    policy: Policy { required: Required::Starts, alarm: false, ..Policy::of_a_refusal(Converted::Ends) },
};

/// AgentNotReady.
pub static AGENT_NOT_READY: Entry = Entry {
    name: "AgentNotReady",
    kernel: None,
    seen: "the agent has published nothing about this node",
    meaning: "the agent has not prepared this node since it booted",
    causes: &[
        Cause {
            what: "smc-agent does not run on this node",
            check: "`kubectl get pods -A -o wide | grep kube-smc`",
        },
        Cause {
            what: "it runs and cannot do its work",
            check: "`kubectl logs` of the agent; `curl --unix-socket /run/kube-smc/agent.sock http://agent/status` on the node",
        },
    ],
    remedy: "see whether smc-agent runs on this node (kubectl logs) and restart the pod when it does",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// NodeFileUnusable.
pub static NODE_FILE_UNUSABLE: Entry = Entry {
    name: "NodeFileUnusable",
    kernel: None,
    seen: "what the agent published about this node cannot be used",
    meaning: "what the agent published about this node cannot be trusted",
    causes: &[
        Cause {
            what: "agent and plugin are of different versions",
            check: "`smcctl status`, line agent; `/opt/cni/bin/smc-cni` with CNI_COMMAND=VERSION",
        },
        Cause {
            what: "the file is from before the last reboot, and the agent has not started since",
            check: "`ls -l /run/kube-smc/node.json`; `uptime`",
        },
    ],
    remedy: "restart smc-agent on this node, then the pod",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// SmcNotAvailable.
pub static SMC_NOT_AVAILABLE: Entry = Entry {
    name: "SmcNotAvailable",
    kernel: None,
    seen: "the kernel has no SMC module loaded",
    meaning: "this kernel cannot speak SMC, so all traffic stays TCP",
    causes: &[
        Cause { what: "the kernel was built without SMC", check: "`modinfo smc`: not found" },
        Cause {
            what: "on Alibaba's kernel with eRDMA in iWARP mode: a program has one of the TCP ports 65500 to 65515",
            check: "`smcctl doctor`, line reserved ports",
        },
        Cause {
            what: "the module is there, and may not be loaded",
            check: "`modprobe smc`; `grep -r smc /etc/modprobe.d`",
        },
        Cause {
            what: "smc-agent has not started since the node booted: it loads the module",
            check: "`smcctl status`, line agent",
        },
    ],
    remedy: "do away with what is named as the cause; where the kernel has no SMC, use one with CONFIG_SMC (Alibaba Cloud Linux 3 with 5.10.134-17.3 or newer, or mainline 6.11 or newer; from 6.18 on it needs CONFIG_DIBS too)",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// NoConversion.
pub static NO_CONVERSION: Entry = Entry {
    name: "NoConversion",
    kernel: None,
    seen: "the kernel has no way to convert TCP sockets to SMC",
    meaning: "this kernel has no way to convert TCP sockets, so programs that open TCP sockets stay on TCP",
    causes: &[
        Cause {
            what: "the kernel is too old",
            check: "`uname -r`: 5.10.134-17.3 (Alibaba Cloud Linux 3) or 6.11 (mainline) is the oldest",
        },
        Cause {
            what: "the kernel lacks CONFIG_MPTCP, CONFIG_BPF_SYSCALL or CONFIG_DEBUG_INFO_BTF",
            check: "`grep -E 'MPTCP=|BPF_SYSCALL=|INFO_BTF=' /boot/config-$(uname -r)`",
        },
        Cause {
            what: "the BPF program could not be loaded or pinned",
            check: "`kubectl logs` of the agent; is /sys/fs/bpf mounted?",
        },
    ],
    remedy: "use a kernel that has one: Alibaba Cloud Linux 3 with 5.10.134-17.3 or newer (net.smc.tcp2smc), or mainline 6.11 or newer with CONFIG_MPTCP, CONFIG_BPF_SYSCALL and CONFIG_DEBUG_INFO_BTF",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// NoRdmaDevice.
pub static NO_RDMA_DEVICE: Entry = Entry {
    name: "NoRdmaDevice",
    kernel: None,
    seen: "no RDMA device is known to SMC on this node",
    meaning: "SMC-R needs an RDMA device; this node has none that SMC can use",
    causes: &[
        Cause {
            what: "no eRDMA interface or RoCE NIC is attached",
            check: "`rdma link` is empty; on Alibaba Cloud: does the instance type have eRDMA?",
        },
        Cause {
            what: "the driver is not loaded, or was unloaded",
            check: "`lsmod | grep -E 'erdma|mlx5_ib|rdma_rxe'`; `dmesg`",
        },
        Cause {
            what: "the device is an iWARP one, which only Alibaba's kernel takes for SMC",
            check: "`smcctl doctor`, line RDMA device",
        },
    ],
    remedy: "attach an eRDMA interface (or a RoCE NIC) to the node and see that `rdma link` lists it",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// RdmaNetnsExclusive.
pub static RDMA_NETNS_EXCLUSIVE: Entry = Entry {
    name: "RdmaNetnsExclusive",
    kernel: None,
    seen: "the RDMA subsystem is in exclusive network namespace mode",
    meaning: "RDMA devices in exclusive mode are invisible in pods, so every connection would fall back",
    causes: &[Cause {
        what: "ib_core was loaded with netns_mode=0, or somebody ran `rdma system set netns exclusive` (RDMA CNI plugins ask for it)",
        check: "`rdma system`; `cat /sys/module/ib_core/parameters/netns_mode`; `grep -r netns_mode /etc/modprobe.d`",
    }],
    remedy: "boot the node with ib_core.netns_mode=1 (`rdma system set netns shared` works only while no other network namespace exists)",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// NoUeid.
pub static NO_UEID: Entry = Entry {
    name: "NoUeid",
    kernel: None,
    seen: "the node has no UEID",
    meaning: "SMC-R v2 peers must share an enterprise id (UEID); without one it is not even proposed",
    causes: &[
        Cause {
            what: "somebody removed it, or the smc module was loaded anew, after the agent added it",
            check: "`smcctl doctor`, line UEID; the agent adds it again within seconds, and tells",
        },
        Cause { what: "smc-agent does not run", check: "`smcctl status`, line agent" },
    ],
    remedy: "restart smc-agent on this node; it adds the default one",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// SameNodeGuardMissing.
pub static SAME_NODE_GUARD_MISSING: Entry = Entry {
    name: "SameNodeGuardMissing",
    kernel: None,
    seen: "the same-node guard is not in place",
    meaning: "without the guard two accelerated pods on one node would stall and could corrupt their streams",
    causes: &[
        Cause {
            what: "somebody removed its pins or took its program off the pod's interface",
            check: "on the node `ls /sys/fs/bpf/kube-smc`, in the pod `tc filter show dev eth0 ingress`; the agent puts both back",
        },
        Cause {
            what: "the kernel lacks BPF for traffic control (CONFIG_NET_CLS_BPF, CONFIG_NET_SCH_INGRESS)",
            check: "`kubectl logs` of the agent",
        },
    ],
    remedy: "see smc-agent's log on this node; it needs a kernel with BPF for traffic control",
    policy: Policy::of_a_refusal(Converted::Ends),
};

/// SourceAnchorMissing.
pub static SOURCE_ANCHOR_MISSING: Entry = Entry {
    name: "SourceAnchorMissing",
    kernel: None,
    seen: "the pod's address cannot be anchored",
    meaning: "the kernel would find no RDMA device for the pod's address",
    causes: &[
        Cause {
            what: "the link kubesmc0 was removed",
            check: "`ip link show kubesmc0`; the agent makes it again within seconds",
        },
        Cause {
            what: "the link kubesmc0 was brought up, so that the host took the pod's address for its own",
            check: "`ip link show kubesmc0`: UP stands between <>; the agent brings it down within seconds",
        },
        Cause {
            what: "the host has no route to the pod's address, or one by a gateway or another interface than the pod's own",
            check: "`ip route get POD-ADDRESS` on the node",
        },
        Cause {
            what: "the route in table local that holds the pod's packets was removed",
            check: "`ip route show table local proto 83`; the agent makes it again within seconds",
        },
    ],
    remedy: "see smc-agent's log on this node; it makes the link kubesmc0",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// TooManyAddresses.
pub static TOO_MANY_ADDRESSES: Entry = Entry {
    name: "TooManyAddresses",
    kernel: None,
    seen: "the pod has more than 16 IPv4 addresses",
    meaning: "each address of an accelerated pod takes work in the host's network, for which all pods of the node wait; more than 16 \
              are not taken, so that no pod can hold up the others",
    causes: &[Cause {
        what: "the pod, which may have NET_ADMIN, adds addresses to its interfaces",
        check: "`kubectl exec POD -- ip -4 address`",
    }],
    remedy: "give the pod fewer addresses, or take the annotation off",
    policy: Policy::of_a_refusal(Converted::Ends),
};

/// NoIpv4Route.
pub static NO_IPV4_ROUTE: Entry = Entry {
    name: "NoIpv4Route",
    kernel: None,
    seen: "the pod has no routed interface with an IPv4 address",
    meaning: "SMC-R v2 works with IPv4 only, and the pod has no routed interface with an IPv4 address",
    causes: &[Cause {
        what: "the cluster, or the pod, has IPv6 only",
        check: "`kubectl get pod POD -o jsonpath='{.status.podIPs}'`",
    }],
    remedy: "give the pod an IPv4 address",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// NoDeviceInSubnet.
pub static NO_DEVICE_IN_SUBNET: Entry = Entry {
    name: "NoDeviceInSubnet",
    kernel: None,
    seen: "no RDMA port's network device is in the pod's subnet",
    meaning: "SMC-R v2 takes an RDMA port only when its network device has an address in the pod's subnet",
    causes: &[
        Cause {
            what: "the RDMA network device has no address, or one of another subnet",
            check: "`smcctl doctor`, line subnets; `ip -4 address`",
        },
        Cause {
            what: "the address is there, and its GID is not: the kernel takes the GID away with the address, also when the same \
                   address stands there with another prefix length",
            check: "`grep . /sys/class/infiniband/*/ports/1/gids/* | grep ffff`; delete the address and add it again",
        },
        Cause {
            what: "the pod got its address from another vSwitch than the RDMA interface's",
            check: "`kubectl get pod POD -o wide`; the vSwitches in Terway's configuration (eni-config)",
        },
    ],
    remedy: "give the RDMA network device an address in the pods' subnet, or run the pod on a node whose device has one",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// RdmaPortDown.
pub static RDMA_PORT_DOWN: Entry = Entry {
    name: "RdmaPortDown",
    kernel: None,
    seen: "the RDMA port is not ACTIVE",
    meaning: "the kernel skips ports that are not ACTIVE",
    causes: &[
        Cause {
            what: "the network device below is down, or has no carrier",
            check: "`ip link`; `rdma link`",
        },
        Cause { what: "the driver or the device failed", check: "`dmesg` on the node" },
    ],
    remedy: "see `rdma link` and `ip link` on the node",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// PnetidMissing.
pub static PNETID_MISSING: Entry = Entry {
    name: "PnetidMissing",
    kernel: None,
    seen: "the RDMA port bears no PNETID",
    meaning: "the pod's interface cannot be tied to the RDMA port",
    causes: &[
        Cause {
            what: "somebody flushed the PNET table",
            check: "`smcctl doctor`, line PNETIDs; the agent sets it again within 30 s",
        },
        Cause { what: "smc-agent does not run", check: "`smcctl status`, line agent" },
    ],
    remedy: "restart smc-agent on this node; it gives every RDMA port a PNETID",
    policy: Policy::of_a_refusal(Converted::Stays),
};

/// StepFailed.
pub static STEP_FAILED: Entry = Entry {
    name: "StepFailed",
    kernel: None,
    seen: "the kernel refused a step of the set-up",
    meaning: "nothing of the set-up was left behind; the pod runs on TCP",
    causes: &[
        Cause { what: "the kernel's answer says it", check: "`smcctl pod POD`, line seen" },
        Cause {
            what: "another manager changed the same things just then",
            check: "`smcctl doctor`, line other managers",
        },
    ],
    remedy: "see the plugin's log under /var/log/kube-smc on the node, then restart the pod",
    policy: Policy {
        lasts: Lasts::ForTheMoment,
        required: Required::Fails(Failing::Attempt),
        ..Policy::of_a_refusal(Converted::Ends)
    },
};

/// ReadBackFailed.
pub static READ_BACK_FAILED: Entry = Entry {
    name: "ReadBackFailed",
    kernel: None,
    seen: "the kernel took every step, but what they made is not there",
    meaning: "nothing of the set-up was left behind; the pod runs on TCP",
    causes: &[
        Cause { what: "another manager undoes it", check: "`smcctl doctor`, line other managers" },
        Cause {
            what: "the kernel converts no sockets although it was told to",
            check: "`smcctl doctor`, line conversion",
        },
    ],
    remedy: "see the plugin's log under /var/log/kube-smc on the node, then restart the pod",
    policy: Policy {
        lasts: Lasts::ForTheMoment,
        required: Required::Fails(Failing::Attempt),
        ..Policy::of_a_refusal(Converted::Ends)
    },
};

/// CannotObserve.
pub static CANNOT_OBSERVE: Entry = Entry {
    name: "CannotObserve",
    kernel: None,
    seen: "the pod's namespace or the node could not be looked at",
    meaning: "nothing was changed; the pod runs on TCP",
    causes: &[Cause { what: "the kernel's answer says it", check: "`smcctl pod POD`, line seen" }],
    remedy: "see the plugin's log under /var/log/kube-smc on the node, then restart the pod",
    policy: Policy { lasts: Lasts::ForTheMoment, ..Policy::of_a_refusal(Converted::Stays) },
};

/// BudgetExceeded.
pub static BUDGET_EXCEEDED: Entry = Entry {
    name: "BudgetExceeded",
    kernel: None,
    seen: "the time for setting the pod up was used up",
    meaning: "a pod's start is never held up for long; what had been done was undone, and the agent sets the pod up afterwards",
    causes: &[
        Cause {
            what: "another program holds the kernel's nftables or network configuration (kube-proxy with thousands of Services)",
            check: "cni.log on the node names the kernel's function that was waited for",
        },
        Cause { what: "the node is overloaded", check: "`uptime`; `smcctl pod POD`: which step took long?" },
    ],
    remedy: "nothing, once `smcctl pods` says configured: the agent has made up for it; restart the pod if it says NeedsRestart",
    policy: Policy {
        lasts: Lasts::ForTheMoment,
        required: Required::Fails(Failing::Attempt),
        ..Policy::of_a_refusal(Converted::Ends)
    },
};

pub(crate) static ALL: &[&Entry] = &[
    &ANNOTATION_INVALID,
    &ANNOTATION_MISSPELT,
    &INBOUND_PEERS_INVALID,
    &BANDWIDTH_LIMITED,
    &HOST_NETWORK_POD,
    &OWN_KERNEL,
    &MESH_SIDECAR,
    &SWITCHED_OFF,
    &AGENT_NOT_READY,
    &NODE_FILE_UNUSABLE,
    &KERNEL_DEFECTS,
    &SMC_NOT_AVAILABLE,
    &NO_CONVERSION,
    &NO_RDMA_DEVICE,
    &RDMA_NETNS_EXCLUSIVE,
    &NO_UEID,
    &SAME_NODE_GUARD_MISSING,
    &PEER_FILTER_MISSING,
    &SOURCE_ANCHOR_MISSING,
    &NO_IPV4_ROUTE,
    &TOO_MANY_ADDRESSES,
    &NO_DEVICE_IN_SUBNET,
    &RDMA_PORT_DOWN,
    &PNETID_MISSING,
    &STEP_FAILED,
    &READ_BACK_FAILED,
    &CANNOT_OBSERVE,
    &BUDGET_EXCEEDED,
];
