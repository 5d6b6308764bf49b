# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: "fragmentation needed" is a failed connect
s/ && code != ICMP_FRAG_NEEDED;/;/
