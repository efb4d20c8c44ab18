// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Takes SMC's offer out of the SYNs that come to a pod, by their source.
//
// A program for the ingress of the pod's own interface, inside its namespace: there the destination is final, whatever DNAT,
// IPVS or another program redirected, and no firewall can flush it. A connection whose SYN bears no offer is plain TCP from its
// first packet on. Runs at TCX and at clsact with direct action, on kernels from 5.10 on: no BTF, no bpf_loop, no dynptr.
// Built with clang -target bpf by build.rs; loaded by src/bpf.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Addresses of the node's pods and of all nodes, ranges, and peers whose handshake timed out.
#define MAX_SOURCES 65536
// Of each pod and cause that ever had one; the oldest make room.
#define MAX_COUNTS 16384

#define VLAN_TAGS 2
#define EXTENSION_HEADERS 6
// A TCP header has at most so many bytes after its first 20.
#define MAX_OPTIONS 40
#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_EXPERIMENT 254
// Kind, length and SMC's four bytes; longer ones of even length count, too (net/ipv4/tcp_input.c, smc_parse_options).
#define SMC_OPTION 6

#define FRAGMENT_OFFSET 0x1fff
#define MORE_FRAGMENTS 0x2000
// net/ipv6.h: the lowest bit says that more fragments follow.
#define FRAGMENT6_OFFSET 0xfff8
#define FRAGMENT6_MORE 1

// SMC's four bytes after kind and length, as this kernel sends them; set by the loader.
const volatile __u8 smc_magic[4] = {0xe2, 0xd4, 0xc3, 0xd9};

struct address {
	__u8 bytes[16];
};

// What comes from here, IPv4 as ::ffff:0:0/96; the longest prefix decides. The value is the cause, and 0 lets the offer pass.
struct source {
	__u32 prefix;
	struct address address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct source);
	__type(value, __u32);
	__uint(max_entries, MAX_SOURCES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} strip_from SEC(".maps");

// How often, by the pod's address.
struct counted {
	struct address pod;
	__u32 cause;
	// Whether the packet was dropped: a SYN that is a fragment, or that cannot be read.
	__u32 dropped;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct counted);
	__type(value, __u64);
	__uint(max_entries, MAX_COUNTS);
} stripped SEC(".maps");

// Verifiers before 5.12 let nobody read the stack at an offset that is not constant.
struct options {
	__u8 bytes[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct options);
	__uint(max_entries, 1);
} scratch SEC(".maps");

struct packet {
	struct source from;
	struct counted to;
	// Where the TCP header begins.
	__u32 tcp;
	// A part of a packet, the first.
	__u32 fragment;
};

enum kind { OTHER, TCP, UNREADABLE };

static __always_inline void map_ipv4(struct address *address, __u32 ipv4)
{
	__builtin_memset(address->bytes, 0, 10);
	address->bytes[10] = 0xff;
	address->bytes[11] = 0xff;
	__builtin_memcpy(address->bytes + 12, &ipv4, 4);
}

static __always_inline enum kind read_ipv4(struct __sk_buff *skb, struct packet *packet, __u32 at)
{
	struct iphdr ip;
	__u16 fragment;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) < 0 || ip.protocol != IPPROTO_TCP)
		return OTHER;
	fragment = bpf_ntohs(ip.frag_off);
	// Without its first part, which is dropped, the rest comes to nothing.
	if (fragment & FRAGMENT_OFFSET)
		return OTHER;
	packet->fragment = fragment & MORE_FRAGMENTS;
	map_ipv4(&packet->from.address, ip.saddr);
	map_ipv4(&packet->to.pod, ip.daddr);
	packet->tcp = at + ip.ihl * 4;
	return TCP;
}

static __always_inline enum kind read_ipv6(struct __sk_buff *skb, struct packet *packet, __u32 at)
{
	struct ipv6hdr ip;
	__u8 head[4];
	__u8 next;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) < 0)
		return OTHER;
	__builtin_memcpy(&packet->from.address, &ip.saddr, sizeof(ip.saddr));
	__builtin_memcpy(&packet->to.pod, &ip.daddr, sizeof(ip.daddr));
	next = ip.nexthdr;
	at += sizeof(ip);
#pragma unroll
	for (int header = 0; header <= EXTENSION_HEADERS; header++) {
		if (next == IPPROTO_TCP) {
			packet->tcp = at;
			return TCP;
		}
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT && next != IPPROTO_AH && next != IPPROTO_MH)
			return OTHER;
		if (bpf_skb_load_bytes(skb, at, head, sizeof(head)) < 0)
			return UNREADABLE;
		if (next == IPPROTO_FRAGMENT) {
			__u16 fragment = head[2] << 8 | head[3];

			if (fragment & FRAGMENT6_OFFSET)
				return OTHER;
			packet->fragment |= fragment & FRAGMENT6_MORE;
			at += 8;
		} else if (next == IPPROTO_AH) {
			at += (head[1] + 2) * 4;
		} else {
			at += (head[1] + 1) * 8;
		}
		next = head[0];
	}
	return UNREADABLE;
}

static __always_inline enum kind read_packet(struct __sk_buff *skb, struct packet *packet)
{
	__u32 at = ETH_HLEN;
	__u16 protocol = skb->protocol;
	__u16 tag[2];

#pragma unroll
	for (int tags = 0; tags < VLAN_TAGS; tags++) {
		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
			break;
		if (bpf_skb_load_bytes(skb, at, tag, sizeof(tag)) < 0)
			return OTHER;
		protocol = tag[1];
		at += sizeof(tag);
	}
	if (protocol == bpf_htons(ETH_P_IP))
		return read_ipv4(skb, packet, at);
	if (protocol == bpf_htons(ETH_P_IPV6))
		return read_ipv6(skb, packet, at);
	return OTHER;
}

static __always_inline void count(struct packet *packet, __u32 cause, __u32 dropped)
{
	__u64 *value, one = 1;

	packet->to.cause = cause;
	packet->to.dropped = dropped;
	value = bpf_map_lookup_elem(&stripped, &packet->to);
	if (value)
		__sync_fetch_and_add(value, 1);
	else
		bpf_map_update_elem(&stripped, &packet->to, &one, BPF_NOEXIST);
}

// The mask is for the verifier, and the assembly for the compiler, which knows that it changes nothing.
static __always_inline __u8 byte_at(const struct options *options, __u64 at)
{
	asm volatile("%0 &= 63" : "+r"(at));
	return options->bytes[at];
}

// Makes SMC's bytes, at this offset of the options, an experiment that nobody knows.
static __always_inline void spoil(struct __sk_buff *skb, __u32 tcp, __u32 at)
{
	const __u32 nothing = 0;
	__u8 was[8] = {}, now[8] = {};
	__s64 difference;

	// At the place within a word that they have in the packet.
	if (at & 1) {
		was[1] = smc_magic[0];
		was[2] = smc_magic[1];
		was[3] = smc_magic[2];
		was[4] = smc_magic[3];
	} else {
		was[0] = smc_magic[0];
		was[1] = smc_magic[1];
		was[2] = smc_magic[2];
		was[3] = smc_magic[3];
	}
	difference = bpf_csum_diff((__be32 *)was, sizeof(was), (__be32 *)now, sizeof(now), 0);
	if (bpf_skb_store_bytes(skb, tcp + sizeof(struct tcphdr) + at, &nothing, sizeof(nothing), 0) == 0)
		bpf_l4_csum_replace(skb, tcp + __builtin_offsetof(struct tcphdr, check), 0, difference, 0);
}

static __always_inline struct options *options_read(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&scratch, &first);
}

#define NO_MORE 0xff
#define SPOILT 0x100

// Spoils the option at `at` if it is an offer, read as the kernel reads them (net/ipv4/tcp_input.c, tcp_parse_options). Returns
// where the next begins, or NO_MORE, and SPOILT beside it. Not static: the verifier looks at it once, not at each step again.
__attribute__((noinline)) __u32 spoil_offer(struct __sk_buff *skb, __u32 tcp, __u32 at, __u32 length)
{
	struct options *options = options_read();
	__u32 kind, size;

	if (!options || at >= length)
		return NO_MORE;
	kind = byte_at(options, at);
	if (kind == OPTION_END)
		return NO_MORE;
	if (kind == OPTION_NOP)
		return at + 1;
	size = byte_at(options, at + 1);
	if (at + 2 > length || size < 2 || at + size > length)
		return NO_MORE;
	if (kind != OPTION_EXPERIMENT || size < SMC_OPTION || size & 1 ||
	    byte_at(options, at + 2) != smc_magic[0] || byte_at(options, at + 3) != smc_magic[1] ||
	    byte_at(options, at + 4) != smc_magic[2] || byte_at(options, at + 5) != smc_magic[3])
		return at + size;
	spoil(skb, tcp, at + 2);
	return (at + size) | SPOILT;
}

SEC("tc")
int strip_offer(struct __sk_buff *skb)
{
	struct packet packet = {};
	struct options *options;
	struct tcphdr tcp;
	__u32 *cause, length, next = 0, spoilt = 0;
	enum kind kind;

	kind = read_packet(skb, &packet);
	if (kind == OTHER)
		return TC_ACT_UNSPEC;
	if (kind == TCP && bpf_skb_load_bytes(skb, packet.tcp, &tcp, sizeof(tcp)) < 0)
		kind = UNREADABLE;
	// A SYN-ACK is left alone: without its offer the server would wait for a handshake that never comes.
	if (kind == TCP && (!tcp.syn || tcp.ack))
		return TC_ACT_UNSPEC;

	packet.from.prefix = 128;
	cause = bpf_map_lookup_elem(&strip_from, &packet.from);
	if (!cause || !*cause)
		return TC_ACT_UNSPEC;
	if (kind == UNREADABLE || packet.fragment || tcp.doff < 5)
		goto drop;
	length = tcp.doff * 4 - sizeof(tcp);
	if (length == 0)
		return TC_ACT_UNSPEC;
	options = options_read();
	// For the verifier, which has forgotten how long it can be.
	if (!options || length > MAX_OPTIONS)
		return TC_ACT_UNSPEC;
	if (bpf_skb_load_bytes(skb, packet.tcp + sizeof(tcp), options->bytes, length) < 0)
		goto drop;
	for (int step = 0; step < MAX_OPTIONS && next != NO_MORE; step++) {
		next = spoil_offer(skb, packet.tcp, next, length);
		spoilt |= next & SPOILT;
		next &= NO_MORE;
	}
	if (spoilt)
		count(&packet, *cause, 0);
	return TC_ACT_UNSPEC;
drop:
	count(&packet, *cause, 1);
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
