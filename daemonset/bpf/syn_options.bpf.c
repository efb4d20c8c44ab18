// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Takes SMC's offer out of the SYNs that come to a pod, by their source: of pods that share its RDMA device, and of whoever may
// not speak SMC with it.
//
// A program for the ingress of the pod's own interface, inside its namespace: there the destination is final, whatever DNAT,
// IPVS or another program redirected, and no firewall can flush it. A connection whose SYN bears no offer is plain TCP from its
// first packet on. For kernels from 5.10 on, also without BTF: no bpf_loop, no dynptr, no context given to global functions.
//
// Not for interfaces whose packets do not come by their own ingress (ipvlan in mode l3s), nor for those whose network header
// does not follow Ethernet's and its VLAN tags.
// Built with clang -target bpf by build.rs; loaded by src/node/bpf.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Addresses of the node's pods and of all nodes, and peers whose handshake timed out.
#define MAX_SOURCES 16384
// Ranges: the node's, and each pod's that has its own, for each of its addresses. Kernels before 5.11 charge the whole table to the
// loader's limit of locked memory.
#define MAX_RANGES 32768
// As many as a node can have addresses of pods.
#define MAX_PODS 4096
#define CAUSES 8

// The kernel takes off as many tags of VLAN 0 as there are (net/core/dev.c, __netif_receive_skb_core); who sends more than these
// has something to hide.
#define VLAN_TAGS 8
#define EXTENSION_HEADERS 6
#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_EXPERIMENT 254
// Kind, length and SMC's four bytes; longer ones of even length count, too (net/ipv4/tcp_input.c, smc_parse_options).
#define SMC_OPTION 6
// A TCP header has at most so many bytes after its first 20.
#define MAX_OPTIONS 40

#define FRAGMENT_OFFSET 0x1fff
#define MORE_FRAGMENTS 0x2000
// net/ipv6.h: the lowest bit says that more fragments follow.
#define FRAGMENT6_OFFSET 0xfff8
#define FRAGMENT6_MORE 1

// SMC's four bytes after kind and length, as this kernel sends them; set by the loader.
const volatile __u8 smc_magic[4] = {0xe2, 0xd4, 0xc3, 0xd9};

struct address {
	// 4 or 6; an IPv4 address is in the first four bytes.
	__u32 family;
	__u8 bytes[16];
};

// Offers from these addresses are taken out. The value is the cause, from 1 and below CAUSES.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct address);
	__type(value, __u32);
	__uint(max_entries, MAX_SOURCES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} strip_from SEC(".maps");

// Causes of strip_from that are none on this node, one bit each.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} spared_causes SEC(".maps");

// Who may speak SMC with a pod: of the ranges that hold the source, the longest decides. Those of the whole node have the pod of
// the source's family with all bits 0. Both must let it pass, where they say anything. The value is the cause why not, or 0.
struct range {
	// Bits: 160 of the pod, and those of the source.
	__u32 prefix;
	struct address pod;
	__u8 source[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct range);
	__type(value, __u32);
	__uint(max_entries, MAX_RANGES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} allowed_peers SEC(".maps");

// How many packets to a pod, by cause. Only pods that stand here are counted: destinations are the sender's to choose.
struct counts {
	__u64 stripped[CAUSES];
	// SYNs that are fragments, or that cannot be read.
	__u64 dropped[CAUSES];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct address);
	__type(value, struct counts);
	__uint(max_entries, MAX_PODS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} counted_pods SEC(".maps");

// Verifiers before 5.12 let nobody read the stack at an offset that is not constant, nor give memory to functions that they look at
// once.
struct scratch {
	__u8 options[64];
	struct address from;
	struct address to;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct scratch);
	__uint(max_entries, 1);
} scratch_map SEC(".maps");

struct packet {
	// So that the addresses' bytes are whole words of the stack. Of others the verifier of 5.10 remembers each half, finds no two ways to
	// here alike, and gives up after a million instructions (seen; 19,352 this way).
	__u32 unused;
	struct address from;
	struct address to;
	// Where the TCP header begins, and where the packet ends by its own word: what is behind that is cut off later.
	__u32 tcp;
	__u32 end;
	// A part of a packet, the first.
	__u32 fragment;
};

_Static_assert(__builtin_offsetof(struct packet, from.bytes) % 8 == 0, "see struct packet");

enum kind {
	// Nothing to look at, or a part of a packet without whose first part, which is dropped, it comes to nothing.
	OTHER,
	TCP,
	// From a source that can be told.
	UNREADABLE,
	HIDDEN,
};

static __always_inline enum kind read_ipv4(struct __sk_buff *skb, struct packet *packet, __u32 at)
{
	struct iphdr ip;
	__u16 fragment;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) < 0 || ip.protocol != IPPROTO_TCP)
		return OTHER;
	fragment = bpf_ntohs(ip.frag_off);
	if (fragment & FRAGMENT_OFFSET)
		return OTHER;
	packet->fragment = fragment & MORE_FRAGMENTS;
	packet->from.family = packet->to.family = 4;
	__builtin_memcpy(packet->from.bytes, &ip.saddr, sizeof(ip.saddr));
	__builtin_memcpy(packet->to.bytes, &ip.daddr, sizeof(ip.daddr));
	packet->tcp = at + ip.ihl * 4;
	packet->end = at + bpf_ntohs(ip.tot_len);
	return TCP;
}

static __always_inline enum kind read_ipv6(struct __sk_buff *skb, struct packet *packet, __u32 at)
{
	struct ipv6hdr ip;
	__u8 head[4];
	__u8 next;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) < 0)
		return OTHER;
	packet->from.family = packet->to.family = 6;
	__builtin_memcpy(packet->from.bytes, &ip.saddr, sizeof(ip.saddr));
	__builtin_memcpy(packet->to.bytes, &ip.daddr, sizeof(ip.daddr));
	next = ip.nexthdr;
	at += sizeof(ip);
	packet->end = at + bpf_ntohs(ip.payload_len);
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
		if (packet->fragment && at + sizeof(head) > packet->end)
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

static __always_inline int is_tag(__u16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

static __always_inline enum kind read_packet(struct __sk_buff *skb, struct packet *packet)
{
	__u32 at = ETH_HLEN;
	__u16 protocol = skb->protocol;
	__u16 tag[2];

#pragma unroll
	for (int tags = 0; tags < VLAN_TAGS; tags++) {
		if (!is_tag(protocol))
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
	return is_tag(protocol) ? HIDDEN : OTHER;
}

static __always_inline struct scratch *scratch(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&scratch_map, &first);
}

// The mask is for the verifier, and the assembly for the compiler, which knows that it changes nothing.
static __always_inline __u8 byte_at(const struct scratch *scratch, __u64 at)
{
	asm volatile("%0 &= 63" : "+r"(at));
	return scratch->options[at];
}

#define NO_MORE 0xff
#define OFFER 0x100

// Looks at the option at `at`, as the kernel reads them (net/ipv4/tcp_input.c, tcp_parse_options). Returns where the next begins,
// or NO_MORE, and OFFER beside it. Not static: the verifier looks at it once, not at each step again.
__attribute__((noinline)) __u32 look_at_option(__u32 at, __u32 length)
{
	struct scratch *read = scratch();
	__u32 kind, size;

	if (!read || at >= length)
		return NO_MORE;
	kind = byte_at(read, at);
	if (kind == OPTION_END)
		return NO_MORE;
	if (kind == OPTION_NOP)
		return at + 1;
	size = byte_at(read, at + 1);
	if (at + 2 > length || size < 2 || at + size > length)
		return NO_MORE;
	if (kind != OPTION_EXPERIMENT || size < SMC_OPTION || size & 1 || byte_at(read, at + 2) != smc_magic[0] ||
	    byte_at(read, at + 3) != smc_magic[1] || byte_at(read, at + 4) != smc_magic[2] ||
	    byte_at(read, at + 5) != smc_magic[3])
		return at + size;
	return (at + size) | OFFER;
}

// Makes the offer at this offset of the options an experiment that nobody knows. Returns other than 0 where it stays.
static __always_inline long spoil(struct __sk_buff *skb, __u32 tcp, __u32 at)
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
	return bpf_skb_store_bytes(skb, tcp + sizeof(struct tcphdr) + at + 2, &nothing, sizeof(nothing), 0) ?:
		bpf_l4_csum_replace(skb, tcp + __builtin_offsetof(struct tcphdr, check), 0, difference, 0);
}

static __always_inline __u32 refused(struct range *range)
{
	__u32 *found = bpf_map_lookup_elem(&allowed_peers, range);

	return found ? *found & (CAUSES - 1) : 0;
}

// Why the offer of the packet from and to the addresses in scratch is to be taken out; 0 where it is not. Not static: the verifier looks
// at it once.
__attribute__((noinline)) __u32 cause_of(__u32 family)
{
	struct scratch *packet = scratch();
	struct range range = {};
	__u32 *found, cause, first = 0;

	if (!packet)
		return 0;
	found = bpf_map_lookup_elem(&strip_from, &packet->from);
	if (found) {
		__u32 *spared = bpf_map_lookup_elem(&spared_causes, &first);

		cause = *found & (CAUSES - 1);
		if (!spared || !(*spared & 1u << cause))
			return cause;
	}
	range.prefix = 8 * (sizeof(range.pod) + sizeof(range.source));
	range.pod.family = family;
	__builtin_memcpy(range.source, packet->from.bytes, sizeof(range.source));
	cause = refused(&range);
	if (cause)
		return cause;
	__builtin_memcpy(range.pod.bytes, packet->to.bytes, sizeof(range.pod.bytes));
	return refused(&range);
}

SEC("tc")
int strip_offer(struct __sk_buff *skb)
{
	struct packet packet = {};
	struct counts *counts;
	struct scratch *read;
	struct tcphdr tcp;
	__u32 cause, length, at = 0, spoilt = 0;
	enum kind kind;

	kind = read_packet(skb, &packet);
	if (kind == OTHER)
		return TC_ACT_UNSPEC;
	if (kind == HIDDEN)
		return TC_ACT_SHOT;
	if (kind == TCP && (bpf_skb_load_bytes(skb, packet.tcp, &tcp, sizeof(tcp)) < 0 ||
			    (packet.fragment && packet.tcp + sizeof(tcp) > packet.end)))
		kind = UNREADABLE;
	// A SYN-ACK is left alone: without its offer the server would wait for a handshake that never comes.
	if (kind == TCP && (!tcp.syn || tcp.ack))
		return TC_ACT_UNSPEC;

	read = scratch();
	if (!read)
		return TC_ACT_UNSPEC;
	read->from = packet.from;
	read->to = packet.to;
	cause = cause_of(packet.from.family) & (CAUSES - 1);
	if (!cause)
		return TC_ACT_UNSPEC;
	counts = bpf_map_lookup_elem(&counted_pods, &packet.to);
	if (kind == UNREADABLE || packet.fragment)
		goto drop;
	if (tcp.doff < 5)
		goto drop;
	length = tcp.doff * 4 - sizeof(tcp);
	// Word by word: to old verifiers a length that is not constant may be 0, which they do not allow.
#pragma unroll
	for (__u32 word = 0; word < MAX_OPTIONS; word += 4) {
		if (word < length &&
		    bpf_skb_load_bytes(skb, packet.tcp + sizeof(tcp) + word, read->options + word, 4) < 0)
			goto drop;
	}
	for (int step = 0; step < MAX_OPTIONS && at != NO_MORE; step++) {
		__u32 next = look_at_option(at, length);

		if (next & OFFER) {
			if (spoil(skb, packet.tcp, at))
				goto drop;
			spoilt = 1;
		}
		at = next & NO_MORE;
	}
	if (spoilt && counts)
		__sync_fetch_and_add(&counts->stripped[cause], 1);
	return TC_ACT_UNSPEC;
drop:
	if (counts)
		__sync_fetch_and_add(&counts->dropped[cause], 1);
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
