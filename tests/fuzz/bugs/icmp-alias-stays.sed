# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: the alias of a refused connect goes on
s/^\tif (p->alias_tag)/\tif (0)/
