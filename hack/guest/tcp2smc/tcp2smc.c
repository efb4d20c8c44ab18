// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// A stand-in for net.smc.tcp2smc of Alibaba's 5.10 kernel, on Linux 6.12: what programs and operators see of it is the same.
//
//   - net.smc.tcp2smc in every network namespace: 0 when it is made, never inherited, there while smc is loaded;
//   - while it is not 0, a program's new TCP socket is an SMC socket, whose SO_PROTOCOL reads 6 all the same;
//   - the server side of SMC-R v2 finds its way to a peer without asking for a route from the pod's own address;
//   - no SO_NETNS_COOKIE (Linux 5.14), and no tracing by BPF for the agent: no hook to convert by, no tracepoint to hear of
//     fallbacks. Programs for traffic control that kernel takes.
//
// What it is not: there a converted socket is one object, here it is SMC's and its TCP socket.
// Built by hack/rig-module against the headers of the rig's kernel; loaded right after smc (guest/conversion.rs of tests/rig).

#include <linux/bpf.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/sock.h>

// The program that is refused tracing.
#define AGENT "smc-agent"
// IPPROTO_SMC of Linux 6.12.
#define PROTOCOL_SMC 256

static unsigned int switch_id;

struct conversion {
	int on;
	struct ctl_table_header *header;
	struct ctl_table table[1];
};

static int __net_init namespace_made(struct net *net)
{
	struct conversion *conversion = net_generic(net, switch_id);

	conversion->table[0] = (struct ctl_table){
		.procname = "tcp2smc",
		.data = &conversion->on,
		.maxlen = sizeof(int),
		.mode = 0644,
		.proc_handler = proc_dointvec,
	};
	conversion->header = register_net_sysctl_sz(net, "net/smc", conversion->table, 1);
	return conversion->header ? 0 : -ENOMEM;
}

static void __net_exit namespace_gone(struct net *net)
{
	struct conversion *conversion = net_generic(net, switch_id);

	unregister_net_sysctl_table(conversion->header);
}

static struct pernet_operations namespaces = {
	.init = namespace_made,
	.exit = namespace_gone,
	.id = &switch_id,
	.size = sizeof(struct conversion),
};

// Of a function that is waited for: what it was called with.
struct call {
	unsigned long first, second, third;
};

static int keep_arguments(struct kretprobe_instance *instance, struct pt_regs *registers)
{
	*(struct call *)instance->data = (struct call){ registers->di, registers->si, registers->dx };
	return 0;
}

// update_socket_protocol(family, type, protocol): what socket() is about to make.
static int protocol_chosen(struct kretprobe_instance *instance, struct pt_regs *registers)
{
	const struct call *call = (void *)instance->data;
	const struct conversion *conversion = net_generic(current->nsproxy->net_ns, switch_id);
	int family = call->first, type = (int)call->second & SOCK_TYPE_MASK, protocol = call->third;

	if (READ_ONCE(conversion->on) && (family == AF_INET || family == AF_INET6) && type == SOCK_STREAM &&
	    (protocol == 0 || protocol == IPPROTO_TCP))
		regs_set_return_value(registers, PROTOCOL_SMC);
	return 0;
}

// smc_inet_init_sock(sk): the socket is SMC's, and says that it is TCP.
static int socket_made(struct kretprobe_instance *instance, struct pt_regs *registers)
{
	const struct call *call = (void *)instance->data;

	if (regs_return_value(registers) == 0)
		((struct sock *)call->first)->sk_protocol = IPPROTO_TCP;
	return 0;
}

// sk_getsockopt(sk, level, name, …).
static int option_read(struct kretprobe_instance *instance, struct pt_regs *registers)
{
	const struct call *call = (void *)instance->data;

	if ((int)call->second == SOL_SOCKET && (int)call->third == SO_NETNS_COOKIE)
		regs_set_return_value(registers, -ENOPROTOOPT);
	return 0;
}

// security_bpf(command, attributes, size) is asked before bpf() does anything; its attributes are the kernel's copy.
static int bpf_allowed(struct kretprobe_instance *instance, struct pt_regs *registers)
{
	const struct call *call = (void *)instance->data;
	const union bpf_attr *attr = (void *)call->second;

	if ((int)call->first == BPF_PROG_LOAD && attr->prog_type == BPF_PROG_TYPE_TRACING &&
	    !strcmp(current->group_leader->comm, AGENT))
		regs_set_return_value(registers, -EOPNOTSUPP);
	return 0;
}

// smc_ib_find_route(net, source, destination, …): the source is left open.
static int route_wanted(struct kprobe *probe, struct pt_regs *registers)
{
	registers->si = 0;
	return 0;
}

static struct kprobe route_probe = { .symbol_name = "smc_ib_find_route", .pre_handler = route_wanted };

#define PROBE(function, on_return)                                                           \
	{                                                                                    \
		.kp.symbol_name = function, .entry_handler = keep_arguments,                 \
		.handler = on_return, .data_size = sizeof(struct call), .maxactive = 256,    \
	}

static struct kretprobe probes[] = {
	PROBE("update_socket_protocol", protocol_chosen),
	PROBE("smc_inet_init_sock", socket_made),
	PROBE("sk_getsockopt", option_read),
	PROBE("security_bpf", bpf_allowed),
};
static struct kretprobe *all_probes[ARRAY_SIZE(probes)];

static int __init tcp2smc_load(void)
{
	int i, error = register_pernet_subsys(&namespaces);

	if (error)
		return error;
	for (i = 0; i < ARRAY_SIZE(probes); i++)
		all_probes[i] = &probes[i];
	error = register_kretprobes(all_probes, ARRAY_SIZE(probes));
	if (error)
		goto no_namespaces;
	error = register_kprobe(&route_probe);
	if (!error)
		return 0;
	unregister_kretprobes(all_probes, ARRAY_SIZE(probes));
no_namespaces:
	unregister_pernet_subsys(&namespaces);
	return error;
}

static void __exit tcp2smc_unload(void)
{
	unregister_kprobe(&route_probe);
	unregister_kretprobes(all_probes, ARRAY_SIZE(probes));
	unregister_pernet_subsys(&namespaces);
}

module_init(tcp2smc_load);
module_exit(tcp2smc_unload);
MODULE_DESCRIPTION("A stand-in for net.smc.tcp2smc, for tests");
MODULE_LICENSE("Dual BSD/GPL");
