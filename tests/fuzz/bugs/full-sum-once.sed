# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: the checksum knows of one new address, not of both
s/^\tif (unlikely(p->both) \&\& !sum_tc_address(skb, p, own_client_address(p), \&p->client_address))/\tif (0)/
