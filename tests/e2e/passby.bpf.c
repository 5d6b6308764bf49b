/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* passby: somebody else's XDP program, which lets everything pass. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int passby(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
