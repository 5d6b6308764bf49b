# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/toobig.h: less is told than every IPv6 host takes
s/bpf_htonl(mtu < IPV6_MTU_LEAST ? IPV6_MTU_LEAST : mtu)/bpf_htonl(mtu)/
