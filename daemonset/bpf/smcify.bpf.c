// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Turns TCP sockets into SMC sockets in chosen network namespaces.
//
// The kernel calls update_socket_protocol() in socket(2), before the socket is made (net/socket.c, since 6.6). A
// program of type fmod_ret may replace its result; 0 leaves the decision to other such programs and then to the kernel.
// Built with clang -target bpf by build.rs; loaded by src/node/bpf.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

// Each pod needs one entry; a node has far fewer pods.
#define MAX_NAMESPACES 4096

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
// What Go's listeners ask for since 1.24; no part of uapi/linux/in.h of every kernel.
#define IPPROTO_MPTCP 262

// socket(2) passes SOCK_NONBLOCK and SOCK_CLOEXEC in the same argument.
#define SOCK_TYPE_MASK 0xf

// Only what is read; the loader finds the offsets in the running kernel's BTF.
struct net {
	__u64 net_cookie;
} __attribute__((preserve_access_index));

struct nsproxy {
	struct net *net_ns;
} __attribute__((preserve_access_index));

struct task_struct {
	struct nsproxy *nsproxy;
} __attribute__((preserve_access_index));

// The SMC protocol number of this kernel, set by the loader: 256 mainline, 263 Alibaba Cloud Linux 3.
const volatile __u32 smc_protocol = 256;

// In a namespace's value: sockets that are asked for as MPTCP stay what they are.
#define KEEPS_MPTCP 2

// Network namespaces whose new TCP sockets become SMC, by cookie (SO_NETNS_COOKIE: unlike an inode number, never used
// twice during one boot).
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, __u8);
	__uint(max_entries, MAX_NAMESPACES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} converting_netns SEC(".maps");

SEC("fmod_ret/update_socket_protocol")
int BPF_PROG(smcify, int family, int type, int protocol)
{
	struct task_struct *task;
	__u8 *value;
	__u64 cookie;

	// Cheapest tests first: every socket() of the machine comes by here.
	if ((type & SOCK_TYPE_MASK) != SOCK_STREAM)
		return 0;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (protocol != 0 && protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
		return 0;

	task = bpf_get_current_task_btf();
	cookie = task->nsproxy->net_ns->net_cookie;
	value = bpf_map_lookup_elem(&converting_netns, &cookie);
	if (!value)
		return 0;
	if (protocol == IPPROTO_MPTCP && (*value & KEEPS_MPTCP))
		return 0;
	return smc_protocol;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
