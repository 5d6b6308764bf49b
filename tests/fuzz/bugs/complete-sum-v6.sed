# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: a complete checksum is not told of IPv6 addresses
s/^\tbpf_csum_update(skb, diff);$//
