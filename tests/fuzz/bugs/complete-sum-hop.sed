# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: a complete checksum is not told of the hop limit
s/^\t\tsum_tc_hop(skb, p);$/\t\t;/
