// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Stands where smcify.bpf.c stands, and does nothing: what a socket() costs more with it is the kernel's own price for any
// program there. Built like the agent's programs by build.rs; loaded by main.rs only.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

SEC("fmod_ret/update_socket_protocol")
int BPF_PROG(nothing, int family, int type, int protocol)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
