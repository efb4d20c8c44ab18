//! The kernel's codes that a connection meant for SMC-R can end with.

use super::{Cause, Entry, KernelCode, Policy};

const fn mainline(code: u32, constant: &'static str) -> KernelCode {
    KernelCode { code, constant: Some(constant), alibaba_only: false }
}

const fn alibaba(code: u32, constant: Option<&'static str>) -> KernelCode {
    KernelCode { code, constant, alibaba_only: true }
}

const OLD_HANDSHAKE: &str = "kernel versions that differ between the two nodes";
const BOTH_KERNELS: &str = "`uname -r` on both nodes";

pub(super) static ALL: &[Entry] = &[
    Entry {
        name: "OutOfMemory",
        kernel: Some(mainline(0x0101_0000, "SMC_CLC_DECL_MEM")),
        seen: "not enough memory for the connection's buffers",
        meaning: "the kernel could not get memory for the send or receive buffer, so this connection is TCP",
        causes: &[
            Cause {
                what: "memory is fragmented and the buffers must be in one piece",
                check: "`sysctl net.smc.smcr_buf_type` says 0, and `cat /proc/buddyinfo` has zeros in its right-hand columns",
            },
            Cause { what: "the node is short of memory", check: "`smcctl doctor`, line memory" },
        ],
        remedy: "set net.smc.smcr_buf_type=2 on the node (for new link groups), or lower net.smc.wmem and net.smc.rmem in the pod",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "RdmaTimeout",
        kernel: Some(mainline(0x0201_0000, "SMC_CLC_DECL_TIMEOUT_CL")),
        seen: "no answer over RDMA in time",
        meaning: "the handshake over TCP succeeded, but RDMA packets do not arrive. This is worse than TCP: connecting takes \
                  4 to 6 seconds, other new connections of the node wait meanwhile, and handshake bytes can get into the \
                  applications' streams",
        causes: &[
            Cause {
                what: "something between the nodes drops RDMA (RoCE is UDP port 4791)",
                check: "`smcctl selftest serve` and `smcctl selftest connect` between the two nodes fail too; see security groups and firewalls",
            },
            Cause {
                what: "both pods are on one node and the same-node guard does not stop them",
                check: "`kubectl get pods -o wide`; `smcctl doctor`, line same-node guard",
            },
            Cause {
                what: "the RDMA ports have different MTUs, or packets of that size do not pass",
                check: "`smcctl doctor` on both nodes, line MTU; `ping -M do -s` between the RDMA network devices",
            },
        ],
        remedy: "repair the RDMA path between the two nodes; until then take the annotation off the pods, or switch the feature off",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "AddLinkTimeout",
        kernel: Some(mainline(0x0202_0000, "SMC_CLC_DECL_TIMEOUT_AL")),
        seen: "timeout while adding an RDMA link",
        meaning: "the first RDMA link of the link group worked, the second did not come up",
        causes: &[Cause {
            what: "RDMA is dropped on the second pair of ports",
            check: "`rdma link` on both nodes: do several ports bear one PNETID (`smcctl doctor`, line PNETIDs)?",
        }],
        remedy: "repair the path between the second ports, or give each port a PNETID of its own",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "NoLocalPrefix",
        kernel: Some(mainline(0x0300_0000, "SMC_CLC_DECL_CNFERR")),
        seen: "the local address has no prefix on the route's device",
        meaning: "SMC-R v1 compares subnets and found none for this connection's address",
        causes: &[Cause {
            what: "the connection leaves by an interface that does not have its source address",
            check: "`ip route get PEER from ADDRESS` in the pod",
        }],
        remedy: "let SMC-R v2 be used: a UEID on both nodes (`smcctl doctor`) and IPv4 sockets",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "PeerWithoutSmc",
        kernel: Some(mainline(0x0301_0000, "SMC_CLC_DECL_PEERNOSMC")),
        seen: "peer has no SMC",
        meaning: "the peer's SYN or SYN-ACK came without the SMC option, so the connection is plain TCP. That is as it should be \
                  for every peer that is not an accelerated pod: probes, scrapes, load balancers, the outside world",
        causes: &[
            Cause {
                what: "the peer is not annotated, or is no pod of a node with kube-smc",
                check: "`kubectl get pod PEER -o yaml`: annotation smc.asm.alibabacloud.com/enabled",
            },
            Cause {
                what: "the peer is on the same node: the same-node guard takes the option out",
                check: "`kubectl get pods -o wide`",
            },
            Cause {
                what: "the peer listens on a socket that is older than its conversion (NeedsRestart), or its node refused it",
                check: "`smcctl pod PEER` on the peer's node",
            },
            Cause {
                what: "a proxy or load balancer in between ends the TCP connection, or takes option 254 out of the SYN",
                check: "`tcpdump -vni eth0 'tcp[tcpflags] & tcp-syn != 0'` in both pods: is unknown-254 there at one end only?",
            },
            Cause {
                what: "the listener answers with SYN cookies, or limits SMC handshakes while it is flooded",
                check: "`nstat -az TcpExtSyncookiesSent` and `sysctl net.smc` in the peer's pod (limit_smc_hs, limit_handshake)",
            },
        ],
        remedy: "nothing, unless both ends are accelerated pods on two nodes; then see the causes",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "ChosenTcp",
        kernel: Some(alibaba(0x0301_0001, Some("SMC_CLC_DECL_ACTIVE"))),
        seen: "this node's kernel chose TCP",
        meaning: "the connection was never offered as SMC: a policy in the kernel, or the kind of socket, spoke for TCP",
        causes: &[Cause {
            what: "a BPF policy of the kernel's SMC negotiator decides per connection",
            check: "`bpftool struct_ops list` on the node",
        }],
        remedy: "nothing, if that policy is wanted; else remove it",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "IpsecOnSocket",
        kernel: Some(mainline(0x0302_0000, "SMC_CLC_DECL_IPSEC")),
        seen: "the socket has an IPsec policy",
        meaning: "RDMA would carry the data past IPsec, so the kernel keeps such a connection on TCP",
        causes: &[Cause {
            what: "an IPsec policy matches the connection",
            check: "`ip xfrm policy` in the pod",
        }],
        remedy: "nothing: encryption and SMC-R exclude each other",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "NoSmcDevice",
        kernel: Some(mainline(0x0303_0000, "SMC_CLC_DECL_NOSMCDEV")),
        seen: "no usable SMC device for this connection",
        meaning: "a client that says this found no RDMA device that fits the connection, so nothing was proposed to the peer; a \
                  server did not look for one, because the proposal has none of its UEIDs. The agent names the cause where it can \
                  be told",
        causes: &[
            Cause { what: "the node has no UEID", check: "`smcctl doctor`, line UEID" },
            Cause {
                what: "the server's side: the two nodes have no UEID in common (UeidsDiffer)",
                check: "`smcctl status` on both nodes, line UEIDs",
            },
            Cause {
                what: "the RDMA network device has no address in the pod's subnet",
                check: "`smcctl doctor`, line subnets",
            },
            Cause {
                what: "the client's socket is AF_INET6 with a mapped IPv4 address (Java, dual-stack programs); mainline up to 6.12 takes AF_INET only",
                check: "`smcctl conns --pod POD`: the addresses begin with ::ffff:",
            },
            Cause {
                what: "the pod's interface and no RDMA port bear one PNETID",
                check: "`smcctl pod POD`, lines PNETID",
            },
            Cause { what: "the RDMA port is down", check: "`rdma link`; `smcctl doctor`, line port" },
            Cause {
                what: "the peer is in the same pod (an application and its sidecar): there is no RDMA on the loopback",
                check: "`smcctl conns --pod POD`: both addresses are the pod's",
            },
            Cause {
                what: "RDMA devices are bound to namespaces (exclusive mode)",
                check: "`rdma system`; `smcctl doctor`, line RDMA namespaces",
            },
        ],
        remedy: "run `smcctl doctor` on this node and do what its ✗ lines say",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "NoSmcrDevice",
        kernel: Some(mainline(0x0303_0002, "SMC_CLC_DECL_NOSMCRDEV")),
        seen: "no usable SMC-R device for this connection",
        meaning: "the peer proposed SMC-R, and this side found no RDMA device that fits",
        causes: &[
            Cause {
                what: "the source anchor of this side's pod is missing (mainline kernels): no route from the pod's address",
                check: "`smcctl doctor`, line source anchor; `ip address show kubesmc0` lacks the pod's address",
            },
            Cause {
                what: "this side's RDMA network device has no address in the pod's subnet",
                check: "`smcctl doctor`, line subnets",
            },
            Cause {
                what: "the pod's interface and no RDMA port bear one PNETID",
                check: "`smcctl pod POD`, lines PNETID",
            },
            Cause { what: "the RDMA port is down", check: "`rdma link`; `smcctl doctor`, line port" },
            Cause {
                what: "RDMA devices are bound to namespaces (exclusive mode)",
                check: "`rdma system`; `smcctl doctor`, line RDMA namespaces",
            },
        ],
        remedy: "run `smcctl doctor` on the node of the side that declined and do what its ✗ lines say",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "PeerWithoutV2",
        kernel: Some(mainline(0x0303_0004, "SMC_CLC_DECL_NOV2EXT")),
        seen: "peer sent no SMC version 2 extension",
        meaning: "the peer speaks SMC version 1 only, and version 1 does not fit here",
        causes: &[Cause { what: OLD_HANDSHAKE, check: BOTH_KERNELS }],
        remedy: "use kernels with SMC-R v2 on both nodes (mainline 5.16 or newer, Alibaba Cloud Linux 3)",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "PeerWithoutUeid",
        kernel: Some(mainline(0x0303_0008, "SMC_CLC_DECL_NOUEID")),
        seen: "peer sent no user EID",
        meaning: "version 2 peers recognise each other by an enterprise id (UEID), and the peer has none",
        causes: &[Cause {
            what: "the peer's node has no UEID",
            check: "`smcctl doctor` on the peer's node, line UEID",
        }],
        remedy: "run smc-agent on the peer's node; it adds the default UEID",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "ReleaseMismatch",
        kernel: Some(mainline(0x0303_0009, "SMC_CLC_DECL_RELEASEERR")),
        seen: "no common SMC release",
        meaning: "the two kernels do not agree on a release of SMC version 2",
        causes: &[Cause { what: OLD_HANDSHAKE, check: BOTH_KERNELS }],
        remedy: "use the same kernel on both nodes",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "MaxConnectionsMismatch",
        kernel: Some(mainline(0x0303_000a, "SMC_CLC_DECL_MAXCONNERR")),
        seen: "no agreement on connections per link group",
        meaning: "the peer answered with a number of connections per link group that this side did not offer",
        causes: &[Cause {
            what: "net.smc.smcr_max_conns_per_lgr out of range at one end",
            check: "`sysctl net.smc.smcr_max_conns_per_lgr` in both pods: 16 to 255",
        }],
        remedy: "take the sysctl's default (255) at both ends",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "MaxLinksMismatch",
        kernel: Some(mainline(0x0303_000b, "SMC_CLC_DECL_MAXLINKERR")),
        seen: "no agreement on links per link group",
        meaning: "the peer answered with a number of links per link group that this side did not offer",
        causes: &[Cause {
            what: "net.smc.smcr_max_links_per_lgr differs in an unexpected way",
            check: "`sysctl net.smc.smcr_max_links_per_lgr` in both pods: 1 or 2",
        }],
        remedy: "take the sysctl's default (2) at both ends",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "VendorMismatch",
        kernel: Some(alibaba(0x0303_000c, None)),
        seen: "no agreement on vendor options",
        meaning: "Alibaba's additions to SMC are not understood alike by the two kernels",
        causes: &[
            Cause { what: OLD_HANDSHAKE, check: BOTH_KERNELS },
            Cause {
                what: "the options are switched on at one end only",
                check: "`sysctl net.smc` in both pods: vendor_exp_options, experiment_vendor_options",
            },
        ],
        remedy: "use the same kernel and the same net.smc settings on both nodes",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "ModeMismatch",
        kernel: Some(mainline(0x0304_0000, "SMC_CLC_DECL_MODEUNSUPP")),
        seen: "one side speaks SMC-R only, the other SMC-D only",
        meaning: "the two sides found devices of different kinds, or nothing in common that both can use",
        causes: &[
            Cause { what: "one side found no RDMA device", check: "`smcctl doctor` on both nodes" },
            Cause {
                what: "one node has an SMC-D device (s390, or SMC's loopback device) and prefers it",
                check: "`smcctl status` on both nodes",
            },
        ],
        remedy: "make both nodes offer SMC-R: see `smcctl doctor` on each",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "EyeCatcherWanted",
        kernel: Some(mainline(0x0305_0000, "SMC_CLC_DECL_RMBE_EC")),
        seen: "peer wants eye catchers in the receive buffers",
        meaning: "the peer asks for a feature of SMC that Linux does not have",
        causes: &[Cause { what: "the peer is not Linux (z/OS)", check: "ask who runs the peer" }],
        remedy: "nothing on this side",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "FastOpen",
        kernel: Some(mainline(0x0306_0000, "SMC_CLC_DECL_OPTUNSUPP")),
        seen: "the socket uses TCP fast open",
        meaning: "data in the SYN leaves no room for SMC's handshake, so the kernel keeps such a socket on TCP",
        causes: &[Cause {
            what: "the program sets TCP_FASTOPEN or TCP_FASTOPEN_CONNECT, or sends with MSG_FASTOPEN",
            check: "`strace -f -e trace=network -p PID`; options such as nginx's `fastopen=`, HAProxy's `tfo`, Envoy's tcp_fast_open_queue_length",
        }],
        remedy: "switch fast open off in the program's configuration",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "PrefixMismatch",
        kernel: Some(mainline(0x0307_0000, "SMC_CLC_DECL_DIFFPREFIX")),
        seen: "the two addresses are in different subnets",
        meaning: "SMC-R v1 works within one subnet only; version 2 was not possible, or failed first",
        causes: &[
            Cause {
                what: "version 2 is not possible: no UEID, or none in common",
                check: "`smcctl status` on both nodes, line UEIDs",
            },
            Cause {
                what: "version 2 failed too, and the kernel reports one of the two (pods with /32 addresses never pass version 1)",
                check: "`smcctl doctor` on the node of the side that declined",
            },
        ],
        remedy: "see that version 2 works: `smcctl doctor` on both nodes",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "VlanUnknown",
        kernel: Some(mainline(0x0308_0000, "SMC_CLC_DECL_GETVLANERR")),
        seen: "the connection's VLAN could not be found out",
        meaning: "the device of the connection's route went away during the handshake, or there is no route",
        causes: &[Cause { what: "the pod's interface changed just then", check: "`ip route` in the pod" }],
        remedy: "nothing, if it does not come again",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "NoActiveLink",
        kernel: Some(mainline(0x030a_0000, "SMC_CLC_DECL_NOACTLINK")),
        seen: "no active link in the link group",
        meaning: "the RDMA links of the existing link group were down when this connection was made",
        causes: &[Cause {
            what: "the RDMA port went down, or the device was taken away",
            check: "`rdma link` and `dmesg | grep -i smc` on both nodes",
        }],
        remedy: "bring the port up again; new connections make a new link group",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "ServerLinkUnknown",
        kernel: Some(mainline(0x030b_0000, "SMC_CLC_DECL_NOSRVLINK")),
        seen: "the server's link is unknown here",
        meaning: "the two sides' views of their link group differ",
        causes: &[Cause {
            what: "a link was lost or added at that moment",
            check: "`dmesg | grep -i smc` on both nodes",
        }],
        remedy: "nothing, if it does not come again; else restart the client",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "VersionMismatch",
        kernel: Some(mainline(0x030c_0000, "SMC_CLC_DECL_VERSMISMAT")),
        seen: "SMC versions do not match",
        meaning: "the answer was of another SMC version than the proposal",
        causes: &[Cause { what: OLD_HANDSHAKE, check: BOTH_KERNELS }],
        remedy: "use the same kernel on both nodes",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "NoRouteToGid",
        kernel: Some(mainline(0x030e_0000, "SMC_CLC_DECL_NOROUTE")),
        seen: "no route to the peer's RDMA address",
        meaning: "this node cannot send from its RDMA port to the address of the peer's RDMA port",
        causes: &[
            Cause {
                what: "no route, or no ARP answer, between the two RDMA network devices",
                check: "`ip route get GID-ADDRESS` and `ping` from one RDMA network device's address to the other's",
            },
            Cause {
                what: "the source anchor of the pod is missing (mainline kernels)",
                check: "`smcctl doctor`, line source anchor",
            },
        ],
        remedy: "route the two RDMA networks to each other",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "GatewayMismatch",
        kernel: Some(mainline(0x030f_0000, "SMC_CLC_DECL_NOINDIRECT")),
        seen: "one side sees a gateway between the RDMA devices, the other does not",
        meaning: "the routes between the two RDMA network devices are not alike in both directions",
        causes: &[Cause {
            what: "different prefix lengths, or a route at one end only",
            check: "`ip -4 address` and `ip route` of the RDMA network devices on both nodes",
        }],
        remedy: "make addresses and routes of the RDMA network devices alike on both nodes",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "OutOfStep",
        kernel: Some(mainline(0x0400_0000, "SMC_CLC_DECL_SYNCERR")),
        seen: "the two sides' link groups are out of step",
        meaning: "one side knows a link group that the other has forgotten, for instance after a restart",
        causes: &[Cause {
            what: "the peer's node or device restarted",
            check: "`uptime` and `dmesg | grep -i smc` on both nodes",
        }],
        remedy: "nothing, if it does not come again: the next connection makes a new link group",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "PeerDeclined",
        kernel: Some(mainline(0x0500_0000, "SMC_CLC_DECL_PEERDECL")),
        seen: "peer declined",
        meaning: "the other side gave up SMC; its reason stands beside this one, as the peer's",
        causes: &[
            Cause {
                what: "the peer's reason is the cause",
                check: "`smcctl conns --pod POD` shows it; then `smcctl explain` with that code",
            },
            Cause {
                what: "the peer is in the same pod (an application and its sidecar): there is no RDMA on the loopback",
                check: "`smcctl conns --pod POD`: both addresses are the pod's",
            },
        ],
        remedy: "look at the peer: `smcctl doctor` on its node",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "InternalError",
        kernel: Some(mainline(0x0999_0000, "SMC_CLC_DECL_INTERR")),
        seen: "internal error",
        meaning: "the kernel could not make what it needs for the connection: a link group, a queue pair, a work queue",
        causes: &[
            Cause {
                what: "the device has no queue pairs left",
                check: "`smcctl capacity`; `smcctl doctor`, line queue pairs",
            },
            Cause { what: "the RDMA driver failed", check: "`dmesg` on the node" },
        ],
        remedy: "see the kernel's log; fewer accelerated pods or peers on the node if queue pairs are used up",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "RtokenRefused",
        kernel: Some(mainline(0x0999_0001, "SMC_CLC_DECL_ERR_RTOK")),
        seen: "the peer's RDMA buffer token could not be stored",
        meaning: "the link group's table of remote buffers is full or out of step",
        causes: &[Cause {
            what: "very many connections in one link group",
            check: "`smcctl conns`: connections per link group (255 buffers at most)",
        }],
        remedy: "nothing, if it does not come again",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "QueuePairNotReady",
        kernel: Some(mainline(0x0999_0002, "SMC_CLC_DECL_ERR_RDYLNK")),
        seen: "the RDMA queue pair could not be made ready",
        meaning: "the device refused the peer's parameters or could not reach its GID",
        causes: &[
            Cause {
                what: "no ARP answer from the peer's RDMA address",
                check: "`ip neigh` for the address of the peer's RDMA network device",
            },
            Cause { what: "the RDMA driver failed", check: "`dmesg` on both nodes" },
        ],
        remedy: "repair the path between the two RDMA network devices",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "BufferNotRegistered",
        kernel: Some(mainline(0x0999_0003, "SMC_CLC_DECL_ERR_REGBUF")),
        seen: "a buffer could not be registered with the RDMA device",
        meaning: "the device refused to take the connection's buffer",
        causes: &[
            Cause {
                what: "the device's memory regions or translation entries are used up",
                check: "`rdma resource` on the node, column mr",
            },
            Cause { what: "the RDMA driver failed", check: "`dmesg` on the node" },
        ],
        remedy: "fewer connections, or smaller buffers (net.smc.wmem, net.smc.rmem in the pod)",
        policy: Policy::ONLY_TOLD,
    },
    Entry {
        name: "CreditsNotAnnounced",
        kernel: Some(alibaba(0x0999_0004, Some("SMC_CLC_DECL_CREDITSERR"))),
        seen: "receive credits could not be announced",
        meaning: "Alibaba's flow control for SMC-R failed on an existing link",
        causes: &[Cause {
            what: "the RDMA link was just lost",
            check: "`dmesg | grep -i smc` on both nodes",
        }],
        remedy: "nothing, if it does not come again",
        policy: Policy::ONLY_TOLD,
    },
];
