// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Tells the agent of each SMC connection that falls back to TCP in a converting network namespace, when it happens.
//
// smc_switch_to_fallback() (net/smc/af_smc.c) passes its tracepoint after reason and counters are set, in whatever context:
// a program's system call or a kernel worker. So the namespace is the socket's, not the current task's.
// Built with clang -target bpf by build.rs; loaded by src/node/bpf/fallbacks.rs.

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define MAX_NAMESPACES 4096
// 4096 events of 64 bytes with their headers, several times what a node's pods open in the time between two readings.
#define RING_BYTES (512 * 1024)

// Only what is read; the loader finds the offsets in the BTF of the running kernel and its smc module.
struct net {
	__u64 net_cookie;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
} __attribute__((preserve_access_index));

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
} __attribute__((preserve_access_index));

struct socket {
	struct sock *sk;
} __attribute__((preserve_access_index));

struct smc_sock {
	struct sock sk;
	struct socket *clcsock;
	struct smc_sock *listen_smc;
	__u32 peer_diagnosis;
} __attribute__((preserve_access_index));

// As `Event` in src/node/bpf/fallbacks.rs reads it. IPv4 addresses stand in the first four bytes.
struct event {
	__u64 cookie;
	__u32 reason;
	__u32 peer_diagnosis;
	__u16 family; // of the TCP socket within
	__u16 local_port;
	__u16 remote_port;
	__u8 is_server;
	__u8 padding;
	__u8 local[16];
	__u8 remote[16];
};

// The pinned map of the conversion program.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, __u8);
	__uint(max_entries, MAX_NAMESPACES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} converting_netns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} fallbacks SEC(".maps");

// How many events found no room.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} lost SEC(".maps");

SEC("raw_tp/smc_switch_to_fallback")
int BPF_PROG(tell_fallback, struct smc_sock *smc, int reason)
{
	__u64 cookie = BPF_CORE_READ(smc, sk.__sk_common.skc_net.net, net_cookie);
	struct sock *tcp;
	struct event *event;
	__u32 zero = 0;
	__u64 *missed;

	if (!bpf_map_lookup_elem(&converting_netns, &cookie))
		return 0;
	event = bpf_ringbuf_reserve(&fallbacks, sizeof(*event), 0);
	if (!event) {
		missed = bpf_map_lookup_elem(&lost, &zero);
		if (missed)
			__sync_fetch_and_add(missed, 1);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->cookie = cookie;
	event->reason = reason;
	event->peer_diagnosis = BPF_CORE_READ(smc, peer_diagnosis);
	event->is_server = BPF_CORE_READ(smc, listen_smc) != 0;
	tcp = BPF_CORE_READ(smc, clcsock, sk);
	if (tcp) {
		event->family = BPF_CORE_READ(tcp, __sk_common.skc_family);
		event->local_port = BPF_CORE_READ(tcp, __sk_common.skc_num);
		event->remote_port = __builtin_bswap16(BPF_CORE_READ(tcp, __sk_common.skc_dport));
		if (event->family == 10) {
			BPF_CORE_READ_INTO(&event->local, tcp, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
			BPF_CORE_READ_INTO(&event->remote, tcp, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
		} else {
			BPF_CORE_READ_INTO((__be32 *)event->local, tcp, __sk_common.skc_rcv_saddr);
			BPF_CORE_READ_INTO((__be32 *)event->remote, tcp, __sk_common.skc_daddr);
		}
	}
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
