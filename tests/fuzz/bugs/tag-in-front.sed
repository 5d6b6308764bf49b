# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: XDP sends a frame with its tags
s/return likely(p->ip == ETH_HLEN) || !bpf_xdp_adjust_head(ctx, p->ip - ETH_HLEN);/return true;/
