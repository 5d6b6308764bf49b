# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: nor of the ports of a datagram without a checksum
s/^\t*sum_tc_ports(skb, p);$/\t\t\t;/
