# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: a complete checksum is not told of the hop
s/^\tif (hop \&\& p->v6)/\tif (0)/
